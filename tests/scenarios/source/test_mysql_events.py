"""Transactions as MySQL writes them: in payloads, with savepoints, by XA, in the old row format."""

import pytest

from bed import wait_until

ONLY_STREAM = {"capture.snapshot": "never"}


@pytest.fixture
def database(databases):
    return databases("mysql-8.0")


@pytest.fixture
def capture(new_capture, database):
    capture = new_capture(ONLY_STREAM, database)
    capture.start(snapshot=False)
    return capture


def insert(first, last, storage=1):
    return (f"INSERT INTO oc_filecache(fileid, storage, path, path_hash, size) WITH RECURSIVE s(n) "
            f"AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last}) "
            f"SELECT n, {storage}, CONCAT('files/', REPEAT('x', 80), n), MD5(n), n FROM s")


def agrees(capture):
    """What was published is what the table holds, and nothing is unaccounted for."""
    counters = capture.drain()["counters"]
    files = capture.sql("SELECT fileid, storage, path, size FROM oc_filecache")
    assert {k: [k, str(v["storage"]), v["path"], str(v["size"])]
            for k, v in capture.state("filecache").items()} == {f[0]: f for f in files}
    assert counters["in"] == counters["published"] + counters["filtered"] + counters["dead"]
    return counters


def test_compressed_transactions_are_followed_row_by_row(capture):
    capture.sql("SET SESSION binlog_transaction_compression = ON;" + insert(1, 900) + ";"
                "BEGIN;" + insert(1001, 1200, 2) + "; CREATE TEMPORARY TABLE t (a INT);"
                "UPDATE oc_filecache SET storage = 3, size = 0 WHERE fileid > 1100;"
                "DELETE FROM oc_filecache WHERE fileid <= 100; COMMIT")
    assert agrees(capture)["in"] == 900 + 200 + 2 * 100 + 100  # a move counts as two
    assert capture.stop() == 0
    capture.sql("SET SESSION binlog_transaction_compression = ON;" + insert(2001, 2010))
    capture.start(snapshot=False)
    assert agrees(capture)["in"] == 1410
    times = {r["source_ts_us"] % 1000000 for r in capture.rows("filecache") if r["op"] == "c"}
    assert len(times) == 3 and times != {0}  # one commit time each, in microseconds


def test_what_was_rolled_back_to_a_savepoint_never_was(capture):
    capture.sql("BEGIN;" + insert(1, 3) + "; SAVEPOINT s;" + insert(4, 6) + "; ROLLBACK TO s;" +
                insert(7, 9) + "; RELEASE SAVEPOINT s; COMMIT;"
                "CREATE TABLE copied AS SELECT * FROM oc_filecache;"
                "CREATE TABLE oc_copied LIKE oc_filecache; DROP TABLE oc_copied")
    assert agrees(capture)["in"] == 6


def test_rows_of_the_first_version_are_read(capture, database):
    database.sql("SET GLOBAL log_bin_use_v1_row_events = ON")
    try:
        capture.sql(insert(1, 5) + "; UPDATE oc_filecache SET size = -1 WHERE fileid = 3")
    finally:
        database.sql("SET GLOBAL log_bin_use_v1_row_events = OFF")
    assert agrees(capture)["in"] == 6


def test_what_load_data_brings_is_followed_as_rows(capture, database):
    folder = database.folder / "tmp"
    (folder / "rows.txt").write_text("".join(f"{n}\t1\tfiles/{n}\th{n}\t{n}\n" for n in range(1, 501)))
    load = f"LOAD DATA LOCAL INFILE '{folder}/rows.txt'"
    into = "INTO TABLE oc_filecache(fileid, storage, path, path_hash, size)"
    database.sql("SET GLOBAL local_infile = ON")
    try:
        capture.sql(f"{load} {into}; {load} REPLACE {into} SET size = size + 1")
    finally:
        database.sql("SET GLOBAL local_infile = OFF")
    assert agrees(capture)["in"] >= 1000


def prepare_both(capture):
    """Two XA transactions, one of them on a table of ours; what is ours stands in the position."""
    capture.sql("XA START 'ours'; INSERT INTO oc_groups VALUES('staff'); XA END 'ours';"
                "XA PREPARE 'ours'")
    capture.sql("XA START 'theirs'; INSERT INTO others VALUES(1); XA END 'theirs';"
                "XA PREPARE 'theirs'")
    counters = capture.drain()["counters"]
    assert (counters["in"], counters["filtered:xa"], counters["published"]) == (1, 1, 0)
    assert capture.stop() == 0


def test_the_commit_of_what_xa_prepared_stops_a_stream_without_snapshots(capture):
    capture.sql("CREATE TABLE others (a INT)")
    prepare_both(capture)
    capture.start(snapshot=False)
    capture.sql("XA COMMIT 'theirs'")
    capture.drain()
    capture.sql("XA COMMIT 'ours'")
    process = capture.site.running["capture"]
    wait_until(lambda: not process.alive(), 60, "the end of capture")
    assert capture.site.log_lines("capture")[-1]["cause"] == "rows-lost"
    assert capture.state("groups") == {}


@pytest.mark.parametrize("server", ["mariadb-10.11", "mysql-8.0"])
def test_the_commit_of_what_xa_prepared_is_seen_by_a_snapshot(server, databases, new_capture):
    capture = new_capture(database=databases(server))
    capture.sql("CREATE TABLE others (a INT)")
    capture.start()
    prepare_both(capture)
    capture.start(snapshot=False)
    capture.sql("XA COMMIT 'theirs'")
    assert capture.drain()["counters"]["snapshots"] == 1
    assert capture.state("groups") == {}
    capture.sql("XA COMMIT 'ours'")
    wait_until(lambda: capture.status()["counters"]["snapshots"] == 2, 60, "a second snapshot")
    capture.drain()
    assert list(capture.state("groups")) == ["staff"]
