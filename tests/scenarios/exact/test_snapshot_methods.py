"""
The ways to find a chunk's place on MySQL, each as exact as the other, and what one needs that is
not allowed. What exact means stands in replay.py.
"""

import pytest
import work
from replay import Table, differences
from servers import source

from bed import wait_until

BEHIND = 100000  # from this fileid on only what is deleted behind capture's back
PLAYED = ("filecache", "group_user")
SNAPSHOTS = 2


@pytest.fixture(scope="module")
def mysql(databases):
    return databases("mysql-8.0")


@pytest.fixture
def allowed(mysql):
    """The rights that the methods need beside those that the stream needs."""
    mysql.sql("CREATE DATABASE IF NOT EXISTS lockstep; CREATE TABLE IF NOT EXISTS "
              "lockstep.watermark (id INT PRIMARY KEY, n BIGINT UNSIGNED NOT NULL); "
              "GRANT INSERT, UPDATE, SELECT ON lockstep.watermark TO lockstep@'%'; "
              "GRANT RELOAD ON *.* TO lockstep@'%'")
    yield
    mysql.sql("REVOKE INSERT, UPDATE, SELECT ON lockstep.watermark FROM lockstep@'%'; "
              "REVOKE RELOAD ON *.* FROM lockstep@'%'")


def methods(capture):
    return [line["method"] for line in capture.site.log_lines("capture")
            if line["event"] == "snapshot-method"]


@pytest.mark.parametrize("method", ["gtid", "watermark", "lock"])
def test_a_snapshot_with_writers_at_work_is_exact_by(new_capture, mysql, allowed, method):
    capture = new_capture({"capture.snapshot_chunk": 29, "capture.commit_rows": 500,
                           "capture.snapshot_method": method,
                           "capture.watermark_table": "lockstep.watermark"}, mysql)
    work.fill(mysql, 1, work.MANY)
    work.fill(mysql, BEHIND, BEHIND + SNAPSHOTS)
    with work.Writers(mysql, 3, "methods", method):
        capture.start()
        for n in range(SNAPSHOTS):
            capture.sql(f"SET sql_log_bin = 0; DELETE FROM oc_filecache "
                        f"WHERE fileid = {BEHIND + n}")
            capture.sql("TRUNCATE oc_vcategory")  # calls for a snapshot
            wait_until(lambda: capture.status()["counters"]["snapshots"] >= n + 2, 300,
                       "a snapshot")
    status = capture.drain(120)
    assert status["balance"] == 0 and status["dead"] == {}
    assert capture.stop() == 0
    assert set(methods(capture)) == {method}
    played = {table: Table().play(capture.records(table)) for table in PLAYED}
    for table in PLAYED:
        assert differences(played[table], work.source_rows(mysql, table)) == []
    assert played["filecache"].swept == [set()] + [{str(BEHIND + n)} for n in range(SNAPSHOTS)]


def test_on_a_server_that_had_no_gtid_yet_a_snapshot_is_exact_also_behind_restarts(new_capture,
                                                                                   mysql):
    """Each commit is in the binlog, and read, a good while before the engine shows it."""
    capture = new_capture({"capture.snapshot": "never", "capture.snapshot_chunk": 29,
                           "capture.snapshot_method": "gtid"}, mysql)
    work.fill(mysql, 1, work.MANY)
    mysql.sql("RESET MASTER")
    capture.start(snapshot=False)
    assert capture.stop() == 0
    assert capture.committed()["gtid"] == ""
    mysql.sql("SET GLOBAL binlog_group_commit_sync_delay = 200000")
    try:
        with work.Writers(mysql, 3, "no gtid yet"):
            capture.start("--snapshot", snapshot=False)
            wait_until(lambda: capture.status()["snapshot"]["rows"] > 0, 60, "a chunk")
            assert capture.stop() == 0
            capture.start()
    finally:
        mysql.sql("SET GLOBAL binlog_group_commit_sync_delay = 0")
    status = capture.drain(120)
    assert status["balance"] == 0 and status["dead"] == {}
    assert methods(capture) == ["gtid", "gtid"]
    assert capture.stop() == 0
    for table in PLAYED:
        assert differences(Table().play(capture.records(table)),
                           work.source_rows(mysql, table)) == []


def test_a_method_that_is_not_allowed_is_refused_in_words(new_capture, mysql):
    for method, sets, why in [
            ("lock", {}, "RELOAD"),
            ("watermark", {}, "capture.watermark_table"),
            ("watermark", {"capture.watermark_table": "lockstep.nothing"}, "nothing"),
            ("watermark", {"capture.watermark_table": "nothing"}, "database.table")]:
        status, log = new_capture({"capture.snapshot_method": method, **sets}, mysql).run()
        assert status == 4, log[-1]
        assert log[-1]["cause"] in ("source-grants", "source-settings")
        assert f"snapshots by {method}" in log[-1]["message"] and why in log[-1]["message"]


def test_a_source_that_is_read_only_for_a_while_delays_the_snapshot_and_not_the_stream(new_capture,
                                                                                       databases):
    """The watermark cannot be written, and the lock is not granted."""
    server, sets = source(databases, "mysql-8.0, file and offset")
    capture = new_capture(sets, server)
    capture.sql("INSERT INTO oc_groups VALUES('before')")
    server.sql("SET GLOBAL read_only = ON")
    try:
        process = capture.site.spawn("capture")
        wait_until(lambda: not process.alive() or [x for x in capture.site.log_lines("capture")
                                                   if x.get("event") == "snapshot-waits"], 60, "a try")
        assert process.alive(), capture.site.log_lines("capture")[-1]
        capture.sql("INSERT INTO oc_groups VALUES('meanwhile')")
        wait_until(lambda: "meanwhile" in capture.state("groups"), 60, "the row")
        wait_until(lambda: capture.status()["ready"], 60, "capture, ready behind it")
        snapshot = capture.status()["snapshot"]
        assert snapshot["state"] == "running" and snapshot["rows"] == 0
    finally:
        server.sql("SET GLOBAL read_only = OFF")
    capture.site.wait_snapshot(60)
    capture.drain()
    assert methods(capture) == ["watermark"]
    assert {"before", "meanwhile"} <= set(capture.state("groups"))
    assert capture.stop() == 0


def test_of_itself_it_takes_gtids_where_there_are_some(new_capture, mysql):
    capture = new_capture(database=mysql)
    capture.start()
    assert methods(capture) == ["gtid"]
    assert capture.stop() == 0
