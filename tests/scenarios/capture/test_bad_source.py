"""A source that refuses, is away, or no longer has our place: a clear word and a documented status."""

import time

from bed import free_port, wait_until
from bed.daemons import last_error

USAGE, SOURCE, PURGED, FAILURE, FENCED = 2, 4, 5, 1, 8


def test_a_wrong_password_is_said_and_ends_with_4(new_capture):
    capture = new_capture({"source.password_file": None, "source.password": "wrong"})
    status, lines = capture.run()
    assert status == SOURCE
    assert "Access denied" in last_error(lines)["message"]


def test_an_unreachable_source_is_tried_for_ever_and_readyz_tells(new_capture):
    port = free_port()
    capture = new_capture({"source.port": port})
    capture.site.spawn("capture")
    wait_until(lambda: str(port) in capture.site.get("capture", "/readyz")[1], 60, "/readyz")
    assert capture.site.get("capture", "/readyz")[0] == 503
    wait_until(lambda: 2 <= sum(x.get("event") == "retry" and str(port) in x["message"]
                                for x in capture.site.log_lines("capture")), 60, "two tries")
    assert capture.stop() == 0


def test_a_wrong_binlog_format_ends_with_4(capture):
    capture.sql("SET GLOBAL binlog_format = 'STATEMENT'")
    try:
        status, lines = capture.run()
    finally:
        capture.sql("SET GLOBAL binlog_format = 'ROW'")
    assert status == SOURCE
    assert "binlog_format=STATEMENT" in last_error(lines)["message"]


def test_a_row_image_that_is_not_full_ends_with_4(capture):
    capture.sql("SET GLOBAL binlog_row_image = 'MINIMAL'")
    try:
        status, lines = capture.run()
    finally:
        capture.sql("SET GLOBAL binlog_row_image = 'FULL'")
    assert status == SOURCE
    assert "binlog_row_image=MINIMAL" in last_error(lines)["message"]


def test_a_session_with_minimal_images_stops_capture(capture):
    capture.sql("INSERT INTO oc_filecache(fileid, path_hash) VALUES(1, 'x')")
    capture.start()
    capture.sql("SET SESSION binlog_row_image = 'MINIMAL'; UPDATE oc_filecache SET size = 5")
    process = capture.site.running["capture"]
    wait_until(lambda: not process.alive(), 60, "the end")
    assert process.status() == FAILURE
    assert "binlog_row_image" in last_error(capture.site.log_lines("capture"))["message"]


def test_a_statement_on_a_watched_table_stops_capture_with_its_place(capture):
    capture.start()
    capture.sql("SET SESSION binlog_format = 'STATEMENT';"
                "INSERT INTO `owncloud` . `oc_share`(uid_owner) VALUES('a')")
    process = capture.site.running["capture"]
    wait_until(lambda: not process.alive(), 60, "the end")
    message = last_error(capture.site.log_lines("capture"))["message"]
    assert process.status() == FAILURE
    assert "statement" in message and "mysql-bin." in message


def test_an_address_that_the_host_does_not_have_yet_is_no_wrong_configuration(capture):
    """systemd starts it again after 1, not after 2."""
    status, lines = capture.run("--set", "http.listen=192.0.2.1")
    assert status == FAILURE and last_error(lines)["cause"] == "http"
    status, lines = capture.run("--set", "http.listen=here")
    assert status == USAGE and last_error(lines)["cause"] == "config"


def test_a_table_prefix_that_is_not_there_ends_with_4(new_capture):
    status, lines = new_capture({"source.table_prefix": "xx_"}).run()
    assert status == SOURCE
    assert "xx_filecache" in last_error(lines)["message"]


def test_a_purged_position_ends_with_5_and_names_the_range(capture):
    capture.start()
    capture.drain()
    assert capture.stop() == 0
    capture.sql("INSERT INTO oc_filecache(fileid, path_hash) VALUES(1, 'x'); FLUSH BINARY LOGS;"
                "INSERT INTO oc_filecache(fileid, path_hash) VALUES(2, 'y'); FLUSH BINARY LOGS")
    newest = capture.sql("SHOW BINARY LOGS")[-1][0]

    def purged():  # refused while the server has not noticed that capture is gone
        capture.sql(f"PURGE BINARY LOGS TO '{newest}'")
        return capture.sql("SHOW BINARY LOGS")[0][0] == newest
    wait_until(purged, 60, "the purge", 0.5)
    status, lines = capture.run()
    assert status == PURGED
    told = [x for x in lines if x.get("event") == "position-purged"][-1]
    assert told["source_first_file"] == newest and "--snapshot" in told["do"]
    capture.start("--snapshot", snapshot=False)
    wait_until(lambda: capture.status()["counters"].get("snapshots") == 2, 60, "the repair")
    capture.drain()
    assert set(capture.state("filecache")) == {"1", "2"}


def test_a_second_capture_fences_the_first_which_ends_when_it_may_not_wait(new_capture):
    capture = new_capture({"capture.standby": "false"})
    capture.start()
    first = capture.site.running.pop("capture")
    other = capture.site.command("capture", "--set", "source.server_id=77")
    from bed import Process
    second = Process("second", other[:3] + ["--set", "http.port=0"] + other[5:],
                     capture.folder / "second.log")
    try:
        wait_until(lambda: not first.alive(), 60, "the end of the fenced one")
        assert first.status() == FENCED
    finally:
        second.stop()


def test_without_snapshots_a_loss_stops_capture_until_one_is_asked_for(new_capture):
    capture = new_capture({"capture.snapshot": "never"})
    capture.start(snapshot=False)
    capture.sql("INSERT INTO oc_groups VALUES('staff'); TRUNCATE oc_groups")
    process = capture.site.running["capture"]
    wait_until(lambda: not process.alive(), 60, "the end")
    assert process.status() == FAILURE
    status, lines = capture.run()
    assert status == FAILURE and "--snapshot" in last_error(lines)["message"]
    capture.start("--snapshot")
    assert capture.drain()["balance"] == 0
    assert capture.state("groups") == {}
