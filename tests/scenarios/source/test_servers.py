"""
Which server capture follows: failover by GTID, servers that lack what was read or are others, places
that are gone, and how near that is.
"""

import json
import os

import pytest
import work
from bed import DATABASE, Databases, wait_until

PURGED = 5
KINDS = ("mariadb", "mysql")
NEVER = {"capture.snapshot": "never"}


class Pair:
    """A primary and its replica, both with a binlog of all."""

    NAMES = {"mariadb": "mariadb-10.11", "mysql": "mysql-8.0"}

    def __init__(self, made, kind):
        self.kind = kind
        options = ("log_slave_updates=ON", "innodb_flush_log_at_trx_commit=2")
        self.a = made(self.NAMES[kind], "server_id=11", *options)
        self.b = made(self.NAMES[kind], "server_id=12", *options)
        for server in (self.a, self.b):
            server.sql("RESET MASTER")  # both made the same accounts: not to be replicated
        self.replicate(self.b, self.a)

    def replicate(self, replica, primary):
        how = "MASTER_USE_GTID=slave_pos" if self.kind == "mariadb" else "MASTER_AUTO_POSITION=1"
        if self.kind == "mariadb":
            replica.sql("SET GLOBAL gtid_slave_pos=@@global.gtid_binlog_pos")
        replica.sql(f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={primary.port},"
                    f" MASTER_USER='lockstep', MASTER_PASSWORD='lockstep', {how}; START SLAVE")

    @staticmethod
    def promote(server):
        server.sql("STOP SLAVE; RESET SLAVE ALL")

    def follow(self):
        """b follows a, as in the beginning, whatever was done before."""
        for server in (self.a, self.b):
            server.sql(f"STOP SLAVE; RESET SLAVE ALL; DROP DATABASE IF EXISTS {DATABASE}; "
                       "RESET MASTER")
        self.replicate(self.b, self.a)

    def wait_equal(self):
        wait_until(lambda: self.a.gtids() == self.b.gtids(), 60,
                   f"replication: {self.a.gtids()} and {self.b.gtids()}")

    def hosts(self):
        return {"source.host": f"127.0.0.1:{self.a.port},127.0.0.1:{self.b.port}"}


@pytest.fixture(scope="module", params=KINDS)
def pair(request, bed):
    made = Databases(bed.folder / f"pair-{request.param}")
    yield Pair(made, request.param)
    made.stop()


@pytest.fixture(scope="module")
def servers(bed):
    """One of each kind for the tests that purge and reset; MySQL 5.7 without GTIDs."""
    made = Databases(bed.folder / "places")
    yield {"mariadb": made("mariadb-10.11"), "mysql": made("mysql-8.0"),
           "files": made("mysql-5.7", "gtid_mode=OFF", "enforce_gtid_consistency=OFF")}
    made.stop()


def files(first, last, path=""):
    """Rows of the filecache with these ids, as one statement."""
    values = ",".join(f"({i}, 'h{i}', '{path}')" for i in range(first, last + 1))
    return f"INSERT INTO oc_filecache(fileid, path_hash, path) VALUES {values};"


def published(capture):
    """The ids of the filecache's rows as a reader of committed records sees them, in order of seq."""
    rows = sorted(capture.rows("filecache"), key=lambda row: tuple(row["seq"]))
    return [int(row["key"]) for row in rows]


def followed(capture):
    """The id of the server that the position belongs to."""
    return capture.status().get("server_id")


def errors(lines):
    return [line for line in lines if line.get("level") == "error"]


def run_to_refusal(capture, *args):
    status, lines = capture.run(*args)
    return status, errors(lines)[-1], lines


def test_failover_and_back_while_rows_are_written_gives_each_row_once_in_order(pair, new_capture):
    capture = new_capture({**NEVER, **pair.hosts(), "capture.commit_rows": 20,
                           "source.headroom_ms": 300}, pair.a)
    pair.wait_equal()
    capture.start(snapshot=False)
    capture.sql(files(1, 10))
    capture.drain()
    assert followed(capture) == 11

    # cut off while 12 MB of one transaction are on their way: what is not there yet comes from b
    capture.site.pause("capture")
    statements = [files(first, first + 749, "p" * 3900) for first in range(11, 3011, 750)]
    capture.sql("START TRANSACTION;" + "".join(statements) + "COMMIT")
    pair.wait_equal()
    pair.a.kill()  # at its leisure it waits half a minute for who does not read
    capture.site.resume("capture")
    pair.promote(pair.b)
    pair.b.sql(files(3011, 3020), DATABASE)
    capture.database = pair.b
    capture.drain(60)
    assert followed(capture) == 12
    assert published(capture) == list(range(1, 3021))

    # a, now the replica, is late: passed by at a start, although it is the first of the list
    pair.a.start()
    pair.replicate(pair.a, pair.b)
    pair.wait_equal()
    pair.a.sql("STOP SLAVE")
    pair.b.sql(files(3021, 3030), DATABASE)
    capture.drain()
    assert capture.stop() == 0
    capture.start(snapshot=False)
    words = [x for x in capture.site.log_lines("capture") if x.get("cause") == "source-behind"]
    assert words and "which was read already" in words[-1]["message"]
    assert followed(capture) == 12

    # once it has all, it is good enough
    pair.a.sql("START SLAVE")
    pair.wait_equal()
    pair.b.stop()
    pair.promote(pair.a)
    pair.a.sql(files(3031, 3040), DATABASE)
    capture.database = pair.a
    capture.drain(60)
    assert followed(capture) == 11
    assert published(capture) == list(range(1, 3041))
    assert capture.stop() == 0
    pair.b.start()


@pytest.mark.parametrize("pair", ["mysql"], indirect=True)
def test_a_transaction_in_part_that_a_new_primary_never_got_is_repaired_also_without_a_pause(
        pair, new_capture):
    pair.follow()
    capture = new_capture({**pair.hosts(), "capture.commit_rows": 20,
                           "source.heartbeat_ms": 20000}, pair.a)
    capture.start()
    pair.wait_equal()
    pair.b.sql("STOP SLAVE")
    capture.site.pause("capture")
    statements = [files(first, first + 749, "p" * 3900) for first in range(1001, 4001, 750)]
    capture.sql("START TRANSACTION;" + "".join(statements) + "COMMIT")
    pair.a.kill()  # with what capture has of it in its socket
    pair.promote(pair.b)
    capture.database = pair.b
    try:
        with work.Writers(pair.b, 1, "no pause", pause=0.02):
            capture.site.resume("capture")
            wait_until(lambda: capture.status()["counters"]["snapshots"] == 2, 90, "the repair")
        told = [x["why"] for x in capture.site.log_lines("capture")
                if x.get("event") == "rows-without-events"]
        assert len(told) == 1 and "published in part" in told[0]
        capture.drain()
        assert capture.state("filecache") == work.source_rows(pair.b, "filecache")
        assert capture.stop() == 0
    finally:
        pair.a.start()


def test_behind_an_address_that_moves_a_snapshot_and_the_stream_come_from_one_server(
        pair, new_capture, new_proxy):
    """The dump stays where it was; whoever connects now comes out at the other server."""
    pair.follow()
    address = new_proxy(pair.a)
    capture = new_capture({"source.host": "127.0.0.1", "source.port": address.listen_port,
                           "source.tls": "disabled"}, pair.a)
    pair.wait_equal()
    capture.start()
    capture.sql(files(1, 10))
    capture.drain()
    pair.wait_equal()
    address.port = pair.b.port
    capture.sql("TRUNCATE oc_vcategory")  # calls for a snapshot
    wait_until(lambda: capture.status()["counters"]["snapshots"] == 2, 60, "the second snapshot")
    assert followed(capture) == 12
    words = [x["message"] for x in capture.site.log_lines("capture") if x.get("event") == "retry"]
    assert any("another server answers (server_id 12)" in w for w in words), words
    assert sorted(int(key) for key in capture.state("filecache")) == list(range(1, 11))
    assert capture.stop() == 0


@pytest.mark.parametrize("pair", ["mariadb"], indirect=True)
def test_a_server_that_is_behind_for_good_is_followed_with_snapshot_and_what_it_lacks_goes(
        pair, new_capture):
    pair.follow()
    capture = new_capture(NEVER, pair.a)
    capture.start(snapshot=False)
    capture.sql(files(1, 3))
    capture.drain()
    pair.wait_equal()
    pair.b.sql("STOP SLAVE")
    capture.sql(files(4, 6))
    capture.drain()
    assert capture.stop() == 0
    capture.start("--set", f"source.port={pair.b.port}", "--snapshot")
    assert followed(capture) == 12
    capture.database = pair.b
    capture.sql(files(7, 7))
    capture.drain()
    assert set(capture.state("filecache")) == {"1", "2", "3", "7"}
    assert capture.stop() == 0


def test_a_host_that_refuses_is_passed_by_and_only_when_all_do_capture_stops(pair, new_capture):
    """The other one's table has a column more, which only it can tell: rows come without names."""
    both = (pair.a, pair.b)
    for server in both:
        server.sql("SET GLOBAL binlog_row_metadata = 'MINIMAL'"
                   if pair.kind == "mysql" else "SET GLOBAL binlog_row_metadata = 'NO_LOG'")
    try:
        pair.follow()
        capture = new_capture({**NEVER, **pair.hosts()}, pair.a)
        pair.wait_equal()
        capture.start(snapshot=False)
        capture.sql("INSERT INTO oc_group_user VALUES ('g', 'a')")
        capture.drain()
        assert followed(capture) == 11
        assert capture.stop() == 0
        pair.wait_equal()
        pair.b.sql("SET sql_log_bin = 0; ALTER TABLE oc_group_user ADD extra INT", DATABASE)
        pair.a.sql("SET GLOBAL binlog_row_image = 'MINIMAL'")
        capture.start(snapshot=False)
        capture.sql("SET SESSION binlog_row_image = 'FULL'; "
                    "INSERT INTO oc_group_user VALUES ('g', 'b')")
        capture.drain()
        assert followed(capture) == 12
        assert set(capture.state("group_user")) == {"g/a", "g/b"}
        assert capture.stop() == 0
        pair.b.sql("SET GLOBAL binlog_row_image = 'MINIMAL'")
        status, error, lines = run_to_refusal(capture)
        assert (status, error["cause"]) == (4, "source-settings")
        told = [x["level"] for x in lines if x.get("cause") == "source-settings"]
        assert told[-2:] == ["warn", "error"]
    finally:
        for server in both:
            server.sql("SET GLOBAL binlog_row_image = 'FULL'; "
                       "SET GLOBAL binlog_row_metadata = 'FULL'")


def test_a_replica_that_stands_still_is_not_called_in_step(pair, new_capture):
    pair.follow()
    capture = new_capture({**NEVER, "source.port": pair.b.port, "source.headroom_ms": 200}, pair.a)
    if pair.kind == "mariadb":
        pair.b.sql("SET sql_log_bin = 0; GRANT SLAVE MONITOR ON *.* TO lockstep@'%'")
    pair.wait_equal()
    capture.start(snapshot=False)
    capture.sql(files(1, 3))
    pair.wait_equal()
    capture.drain()
    assert followed(capture) == 12

    def told(event):
        return any(x.get("event") == event for x in capture.site.log_lines("capture"))
    pair.b.sql("STOP SLAVE SQL_THREAD")
    capture.sql(files(4, 4))
    wait_until(lambda: told("source-stale"), 60, "the word that the replica stands still")
    wait_until(lambda: capture.status()["lag_us"] > 5_000_000, 60, "a lag that grows")
    pair.b.sql("START SLAVE SQL_THREAD")
    wait_until(lambda: told("source-fresh"), 60, "the word that it goes on")
    capture.drain()
    assert published(capture) == [1, 2, 3, 4]
    wait_until(lambda: capture.status()["lag_us"] < 3_000_000, 60, "no lag any more")
    assert capture.stop() == 0


@pytest.mark.parametrize("kind, options", (("mariadb-10.11", ()), ("mysql-8.0", ()), (
    "mysql-8.0", ("gtid-mode=OFF", "enforce-gtid-consistency=OFF"))))
def test_a_server_that_lost_the_end_of_its_binlog_in_a_crash_is_refused(kind, options, bed, new_capture):
    """
    It gives the numbers of what it lost to other transactions, so by GTID nothing seems wrong. Asked
    for a place it says itself that the file has none such, and begins no file anew.
    """
    made = Databases(bed.folder / f"lost-{kind}-{len(options)}")
    try:
        server = made(kind, *options)
        if options:
            server.sql("GRANT RELOAD ON *.* TO lockstep@'%'")  # for the snapshot
        capture = new_capture(NEVER, server)
        capture.start(snapshot=False)
        capture.sql(files(1, 1))
        file, end = server.place()
        for i in range(2, 5):
            capture.sql(files(i, i))
        capture.drain()
        assert capture.stop() == 0
        server.kill()
        path, = server.folder.rglob(file)
        os.truncate(path, end)
        server.start()
        for i in range(5, 15):
            capture.sql(f"INSERT IGNORE INTO oc_groups VALUES('g{i}')")
        status, error, lines = run_to_refusal(capture)
        assert (status, error["cause"]) == (PURGED, "diverged"), error
        if options:  # which file and place it read says where; what was behind it is not known
            assert [x["missing"] for x in lines if x.get("event") == "position-not-there"] == [""]
        assert ("position > file size" if options else "has lost the end of its binlog") in error["message"]
        capture.start("--snapshot", snapshot=False)
        wait_until(lambda: capture.status()["counters"].get("snapshots") == 1, 60, "the repair")
        capture.drain()
        assert "g14" in capture.state("groups")
        assert capture.stop() == 0
    finally:
        made.stop()


@pytest.mark.parametrize("kind", ("mariadb", "mysql"))
def test_a_binlog_that_the_server_cannot_open_for_a_while_is_waited_for(kind, servers, new_capture):
    """It lists such a file with no bytes: it is not shorter than what was read, nobody knows."""
    server = servers[kind]
    capture = new_capture(NEVER, server)
    capture.start(snapshot=False)
    capture.sql(files(1, 1))
    capture.drain()
    assert capture.stop() == 0
    file = server.folder / "binlog" / capture.committed()["file"]
    capture.sql("FLUSH BINARY LOGS;" + files(2, 2))
    file.rename(file.with_suffix(".away"))
    try:
        process = capture.site.spawn("capture")
        wait_until(lambda: not process.alive() or [x for x in capture.site.log_lines("capture")
                                                   if x.get("cause") == "source-file"], 60, "a try")
        assert process.alive(), capture.site.log_lines("capture")[-1]
    finally:
        file.with_suffix(".away").rename(file)
    capture.drain()
    assert set(capture.state("filecache")) == {"1", "2"}
    assert capture.stop() == 0


def purge_all(capture):
    """Leaves the newest binlog only; refused while the server has not noticed that capture is gone."""
    capture.sql("FLUSH BINARY LOGS")
    newest = capture.sql("SHOW BINARY LOGS")[-1][0]

    def purged():
        capture.sql(f"PURGE BINARY LOGS TO '{newest}'")
        return capture.sql("SHOW BINARY LOGS")[0][0] == newest
    wait_until(purged, 60, "the purge", 0.3)
    return newest


@pytest.mark.parametrize("kind", ("mariadb", "mysql", "files"))
def test_a_purged_place_ends_with_5_and_names_what_is_missing(kind, servers, new_capture):
    server = servers[kind]
    capture = new_capture(NEVER, server)
    capture.start(snapshot=False)
    capture.sql(files(1, 1))
    capture.drain()
    assert capture.stop() == 0
    before = capture.committed()
    capture.sql(files(2, 2))
    after = server.gtids()
    newest = purge_all(capture)
    status, error, lines = run_to_refusal(capture)
    assert status == PURGED and error["cause"] == "purged"
    told = [x for x in lines if x.get("event") == "position-purged"][-1]
    assert "--snapshot" in told["do"] and told["source_first_file"] == newest
    if kind == "mariadb":
        assert told["missing"] == f"up to {after}"
    elif kind == "mysql":
        uuid, last = after.rsplit(":", 1)
        assert told["missing"] == f"{uuid}:{last.rsplit('-', 1)[-1]}"
    else:
        assert told["missing"] == f"{before['file']}:{before['pos']} to {newest}:4"


@pytest.mark.parametrize("kind", ("mariadb", "mysql"))
def test_a_server_that_lost_what_it_sent_ends_with_5_and_says_what(kind, servers, new_capture):
    server = servers[kind]
    capture = new_capture(NEVER, server)
    capture.start(snapshot=False)
    capture.sql(files(1, 3))
    capture.drain()
    assert capture.stop() == 0
    read = capture.committed()["gtid"]
    server.sql("RESET MASTER")
    status, error, lines = run_to_refusal(capture)
    assert status == PURGED and error["cause"] == "diverged"
    assert [x for x in lines if x.get("event") == "position-not-there"][-1]["missing"] == read
    capture.sql("DELETE FROM oc_filecache WHERE fileid = 2")
    capture.start("--snapshot")
    capture.sql(files(4, 4))
    capture.drain()
    assert set(capture.state("filecache")) == {"1", "3", "4"}
    assert capture.stop() == 0


@pytest.mark.parametrize("kind", ("mariadb", "mysql"))
def test_a_damaged_binlog_stops_capture_until_a_snapshot_leaves_it_behind(kind, servers,
                                                                         new_capture):
    server = servers[kind]
    capture = new_capture(NEVER, server)
    capture.start(snapshot=False)
    capture.sql(files(1, 1))
    capture.drain()
    assert capture.stop() == 0
    file, place = server.place()
    capture.sql(files(2, 2) + "FLUSH BINARY LOGS;" + files(3, 3))
    with open(server.folder / "binlog" / file, "r+b") as f:
        f.seek(place + 9)  # how long the next event is
        f.write(b"\xff\xff\xff\x7f")
    status, error, _ = run_to_refusal(capture)
    assert (status, error["cause"]) == (1, "binlog")
    capture.start("--snapshot")
    capture.sql(files(4, 4))
    capture.drain()
    assert set(capture.state("filecache")) == {"1", "2", "3", "4"}
    assert capture.stop() == 0
    purge_all(capture)


def test_file_and_offset_of_another_server_end_with_5(servers, new_capture):
    capture = new_capture(NEVER, servers["files"])
    capture.start(snapshot=False)
    capture.drain()
    assert capture.stop() == 0
    status, error, _ = run_to_refusal(capture, "--set", f"source.port={servers['mysql'].port}")
    assert status == PURGED and error["cause"] == "source-server"
    assert "belong to one server" in error["message"] and "--snapshot" in error["message"]


def test_gtids_of_another_kind_of_server_end_with_5(servers, new_capture):
    other = new_capture(NEVER, servers["mysql"])
    capture = new_capture(NEVER, servers["mariadb"])
    capture.start(snapshot=False)
    capture.sql(files(1, 1))
    capture.drain()
    assert capture.stop() == 0
    status, error, _ = run_to_refusal(capture, "--set",
                                      f"source.port={other.database.port}")
    assert status == PURGED and error["cause"] == "source-server"
    assert "another kind" in error["message"]
    other.sql(files(7, 8))
    capture.start("--set", f"source.port={other.database.port}", "--snapshot")
    other.sql(files(9, 9))
    capture.database = other.database
    capture.drain()
    assert set(capture.state("filecache")) == {"7", "8", "9"}
    assert capture.stop() == 0


CHANGE = ("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=1, MASTER_USER='nobody'; "
          "START SLAVE")


@pytest.mark.parametrize("kind", ("mariadb-10.11", "mysql-8.0"))
def test_a_replica_that_does_not_log_what_it_is_sent_is_refused(kind, bed, new_capture):
    made = Databases(bed.folder / f"silent-{kind}")
    try:
        server = made(kind, "log_slave_updates=OFF", *(
            () if kind == "mariadb-10.11" else ("gtid_mode=OFF", "enforce_gtid_consistency=OFF",
                                                "server_id=13")))
        capture = new_capture(NEVER, server)
        capture.start(snapshot=False)
        capture.sql(files(1, 3))
        capture.drain()
        assert published(capture) == [1, 2, 3]
        assert capture.stop() == 0
        server.sql(CHANGE)
        status, error, _ = run_to_refusal(capture)
        assert (status, error["cause"]) == (4, "source-settings")
        assert "updates=OFF, Lockstep needs ON on a replica" in error["message"]
        server.sql("STOP SLAVE; RESET SLAVE ALL")
        if kind == "mariadb-10.11":
            server.sql("SET GLOBAL gtid_slave_pos = @@gtid_binlog_pos")
        capture.start(snapshot=False)
        told = [x for x in capture.site.log_lines("capture") if x.get("event") == "source-updates"]
        assert len(told) == (kind == "mariadb-10.11")
        assert capture.stop() == 0
        status, error, _ = run_to_refusal(capture, "--set",
                                          f"source.host=127.0.0.1,127.0.0.1:{server.port}")
        assert status == 4 and "where several hosts are configured" in error["message"]
    finally:
        made.stop()


def test_a_node_of_a_galera_cluster_logs_what_the_others_did(bed, new_capture):
    """No cluster is here, but a server that says that it is a node of one."""
    made = Databases(bed.folder / "node")
    try:
        server = made("mariadb-10.11", "wsrep_on=ON", "log_slave_updates=OFF")
        status, error, _ = run_to_refusal(new_capture({}, server))
        assert (status, error["cause"]) == (4, "source-settings")
        assert "updates=OFF, Lockstep needs ON on a node of a Galera" in error["message"]
        server = made("mariadb-10.11", "wsrep_on=ON", "log_slave_updates=ON")
        capture = new_capture({}, server)
        status, error, _ = run_to_refusal(capture, "--set",
                                          f"source.host=127.0.0.1,127.0.0.1:{server.port}")
        assert status == 4 and "wsrep_gtid_mode=OFF, Lockstep needs ON" in error["message"]
        capture.start()
        capture.sql(files(1, 3))
        capture.drain()
        assert set(capture.state("filecache")) == {"1", "2", "3"}
        assert capture.stop() == 0
    finally:
        made.stop()


@pytest.mark.parametrize("kind", ("mariadb-10.11", "mysql-8.0"))
@pytest.mark.parametrize("option", ("binlog-ignore-db=owncloud", "binlog-do-db=other",
                                    "binlog-do-db=owncloud"))
def test_a_server_that_keeps_the_database_out_of_its_binlog_is_refused(kind, option, bed,
                                                                       new_capture):
    made = Databases(bed.folder / f"filter-{kind}-{option}")
    try:
        capture = new_capture({}, made(kind, option))
        status, text = capture.site.lockstep("check", "--source", "--json")
        line, = (x for x in json.loads(text)["lines"] if "binlog-do-db" in x["found"])
        if option.endswith("do-db=owncloud"):  # it is in there, statements from elsewhere are not
            assert line["level"] == "warn"
            capture.start()
            assert any(x.get("event") == "source-filters"
                       for x in capture.site.log_lines("capture"))
            return
        assert line["level"] == "fail" and status == 3
        status, error, _ = run_to_refusal(capture)
        assert (status, error["cause"]) == (4, "source-settings")
        assert "keeps owncloud out of its binlog" in error["message"]
        assert option.split("=")[0] in error["message"]
    finally:
        made.stop()


def headroom(capture):
    return capture.status().get("headroom") or {}


def test_headroom_counts_the_binlogs_that_go_before_ours_and_the_time(servers, new_capture):
    server = servers["mariadb"]
    capture = new_capture({**NEVER, "source.headroom_ms": 200}, server)
    purge_all(capture)
    server.sql("SET GLOBAL binlog_expire_logs_seconds=1000")
    try:
        capture.start(snapshot=False)
        for i in range(1, 4):
            capture.sql(files(i, i) + "FLUSH BINARY LOGS")
        capture.sql(files(4, 4))
        logs = {name: int(size) for name, size, *_ in capture.sql("SHOW BINARY LOGS")}
        capture.drain()
        room = wait_until(lambda: headroom(capture).get("files") == 3 and headroom(capture), 60,
                          "three files in front of ours")
        assert room["bytes"] == sum(list(logs.values())[:-1])
        assert 0 < room["seconds"] <= 1000
        text = capture.site.get("capture", "/metrics")[1]
        assert "lockstep_capture_binlog_headroom_files 3" in text
        assert not [x for x in capture.site.log_lines("capture")
                    if x.get("event") == "headroom-small"]
    finally:
        server.sql("SET GLOBAL binlog_expire_logs_seconds=0")


def test_a_small_headroom_is_warned_about_once_and_its_end_is_told(servers, new_capture):
    """By file and offset: the place stays in the oldest file until a transaction ends in the next."""
    server = servers["files"]
    server.sql("SET GLOBAL expire_logs_days=0")
    capture = new_capture({**NEVER, "source.headroom_ms": 200}, server)
    purge_all(capture)
    capture.start(snapshot=False)
    capture.sql(files(1, 1))
    capture.drain()
    capture.sql("FLUSH BINARY LOGS")

    def told(event):
        return [x for x in capture.site.log_lines("capture") if x.get("event") == event]
    wait_until(lambda: told("headroom-small"), 60, "the warning")
    assert headroom(capture)["files"] == 0
    capture.sql(files(2, 2))
    wait_until(lambda: told("headroom-fine"), 60, "its end")
    assert len(told("headroom-small")) == 1
