"""A snapshot with writers at work is exact: no row is missed, none is undone, none is left over."""

import random
import threading

import envelopes
import pymysql

from bed import DATABASE, wait_until

TABLES = {"filecache": "fileid, storage, path, size, etag", "group_user": "gid, uid"}
KEYS = {"filecache": 1, "group_user": 2}


class Writer(threading.Thread):
    """Inserts, changes, moves and deletes rows at random until told to stop."""

    def __init__(self, socket, seed):
        super().__init__(daemon=True)
        self.random, self.end, self.error = random.Random(seed), threading.Event(), None
        self.db = pymysql.connect(unix_socket=socket, user="root", database=DATABASE,
                                  charset="utf8mb4", autocommit=True)
        self.db.cursor().execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def act(self, c):
        n, r = self.random.randrange(400), self.random.random()
        if r < 0.3:
            c.execute("INSERT IGNORE INTO oc_filecache(fileid, storage, path, path_hash, size) "
                      "VALUES(%s, %s, %s, MD5(%s), %s)", (n, n % 7, f"files/ü{n}", n, n))
        elif r < 0.55:
            c.execute("UPDATE oc_filecache SET size = size + 1, etag = UUID() WHERE fileid = %s", (n,))
        elif r < 0.65:
            c.execute("UPDATE oc_filecache SET storage = %s WHERE fileid = %s",
                      (self.random.randrange(7), n))
        elif r < 0.8:
            c.execute("DELETE FROM oc_filecache WHERE fileid = %s", (n,))
        elif r < 0.9:
            c.execute("REPLACE INTO oc_group_user VALUES(%s, %s)", (f"g{n % 9}", f"u'{n % 5}"))
        elif r < 0.95:
            c.execute("DELETE FROM oc_group_user WHERE gid = %s", (f"g{n % 9}",))
        else:
            c.execute("BEGIN")
            for i in range(20):
                c.execute("UPDATE oc_filecache SET size = -1 WHERE fileid = %s", (n + i,))
            c.execute("COMMIT")

    def run(self):
        try:
            with self.db.cursor() as c:
                while not self.end.wait(0.002):
                    self.act(c)
        except Exception as e:  # shown by stop()
            self.error = e

    def stop(self):
        self.end.set()
        self.join(10)
        self.db.close()
        assert self.error is None, self.error


def source_rows(capture):
    """What the tables hold, by key, as text."""
    out = {}
    for table, columns in TABLES.items():
        for row in capture.sql(f"SELECT {columns} FROM oc_{table}"):
            out[table, "/".join(row[:KEYS[table]])] = row
    return out


def topic_rows(records, until):
    """The same, as a reader of the topics had it when capture stood at `until`."""
    out = {}
    for table, columns in TABLES.items():
        for key, after in envelopes.state_of(records[table], until).items():
            out[table, key] = ["NULL" if after[n] is None else str(after[n])
                               for n in columns.split(", ")]
    return out


def one_try(capture, seed):
    """A snapshot while writers work; returns what the source then holds, and capture's place."""
    # behind capture's back: only the snapshot's sweep can tell
    capture.sql(f"SET sql_log_bin=0; DELETE FROM oc_filecache WHERE fileid % 13 = {seed % 13}")
    writers = [Writer(capture.bed.mariadb.socket, seed * 10 + i) for i in range(3)]
    for w in writers:
        w.start()
    try:
        capture.sql("TRUNCATE oc_vcategory")  # calls for a snapshot
        wait_until(lambda: capture.status()["counters"]["snapshots"] == seed + 2, 30, "a snapshot")
    finally:
        for w in writers:
            w.stop()
    status = capture.drain()
    assert status["balance"] == 0
    return source_rows(capture), (status["epoch"], status["counter"])


def test_twenty_snapshots_with_writers_at_work_are_exact(new_capture):
    capture = new_capture({"capture.snapshot_chunk": 30, "capture.commit_rows": 50})
    capture.sql("INSERT INTO oc_filecache(fileid, storage, path, path_hash) "
                "SELECT seq, seq % 7, CONCAT('files/', seq), MD5(seq) FROM seq_1_to_300")
    capture.start()
    tries = [one_try(capture, seed) for seed in range(20)]
    assert capture.stop() == 0
    records = {table: capture.records(table) for table in TABLES}
    for seed, (source, place) in enumerate(tries):
        assert topic_rows(records, place) == source, f"try {seed}"


def test_a_snapshot_that_was_killed_goes_on_under_the_same_begin(new_capture):
    capture = new_capture({"capture.snapshot_chunk": 20, "capture.commit_rows": 20})
    capture.sql("INSERT INTO oc_filecache(fileid, storage, path, path_hash) "
                "SELECT seq, seq % 5, CONCAT('files/', seq), MD5(seq) FROM seq_1_to_6000")
    capture.start(snapshot=False)
    for rows in (500, 2000):
        wait_until(lambda: capture.status().get("snapshot", {}).get("rows", 0) > rows
                   or capture.status().get("snapshot", {}).get("state") == "done", 20, "rows")
        capture.site.kill("capture")
        capture.start(snapshot=False)
    capture.site.wait_snapshot(60)
    capture.drain()
    records = capture.records("filecache")
    begins = {r["seq"] for r in records if r["op"] == "b"}
    ends = {(r["begin_epoch"], r["begin_counter"], r["begin_part"]) for r in records
            if r["op"] == "e"}
    assert len(begins) == 1 and begins == ends
    keys = [int(r["key"]) for r in records if r["op"] == "r"]
    assert sorted(keys) == list(range(1, 6001))
