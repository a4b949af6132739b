"""Snapshots on command: who may ask for one, what it reads, how it is paused and ended."""

import hashlib
import json
import re

import commands
import envelopes
import pytest

from bed import topics, wait_until


@pytest.fixture
def ready(new_capture):
    """A capture that takes commands; two storages of users and one of nobody's, 20 rows each."""
    capture = new_capture(commands.SETS)
    capture.sql("INSERT INTO oc_storages(numeric_id, id) VALUES(1, 'home::alice'), "
                "(2, 'object::user:bob'), (3, 'local::/srv/data/')")
    capture.sql("INSERT INTO oc_filecache(fileid, storage, path, path_hash) "
                "SELECT seq, 1 + seq % 3, CONCAT('files/', seq), MD5(seq) FROM seq_1_to_60")
    capture.start()
    return capture


def brackets(capture, op):
    return [(r["partition"], r["key"], r["storage"]) for r in capture.records("filecache")
            if r["op"] == op]


def snapshots(capture):
    return capture.status()["counters"]["snapshots"]


def wait_snapshots(capture, n):
    wait_until(lambda: snapshots(capture) == n, 60, f"{n} snapshots")


def test_only_what_is_signed_fresh_and_new_is_taken(ready):
    body = commands.value("snapshot-start", {"all": True})
    commands.send(ready, commands.value("snapshot-start", {"all": True}), signature="")
    commands.send(ready, body, signature=commands.sign(ready, body, "another key that is long enough"))
    commands.send(ready, commands.value("snapshot-start", {"all": True}, id="short"))
    old = commands.send(ready, commands.value("snapshot-start", {"all": True}, age=1000))
    assert commands.answer(ready, old)["cause"] == "stale"
    good = commands.send(ready, body)
    assert commands.answer(ready, good)["accepted"]
    wait_snapshots(ready, 2)
    commands.send(ready, body)  # the same bytes with the same signature
    wait_until(lambda: commands.counts(ready).get("repeated"), 60, "the repeated one")
    assert commands.counts(ready) == {"unsigned": 1, "wrong-signature": 1, "malformed-command": 1,
                                      "stale": 1, "repeated": 1, "accepted": 1}
    assert snapshots(ready) == 2
    assert ready.stop() == 0
    assert len({r["seq"] for r in ready.records("filecache") if r["op"] == "b"}) == 2


def test_a_part_is_no_first_snapshot(new_capture):
    """It does not read what tells folders from files, and whose a storage is."""
    capture = new_capture({**commands.SETS, "capture.snapshot": "never"})
    capture.sql("INSERT INTO oc_storages(numeric_id, id) VALUES(1, 'home::alice')")
    capture.start(snapshot=False)
    answer = commands.ask(capture, "snapshot-start", {"users": ["alice"]})
    assert (answer["accepted"], answer["cause"]) == (False, "no-snapshot")
    assert commands.ask(capture, "snapshot-start", {"all": True})["accepted"]
    wait_snapshots(capture, 1)
    assert commands.ask(capture, "snapshot-start", {"users": ["alice"]})["accepted"]
    wait_snapshots(capture, 2)
    assert capture.stop() == 0


def test_a_command_that_cannot_be_done_is_refused_by_name(ready):
    def cause(command, args=None):
        a = commands.ask(ready, command, args)
        assert not a["accepted"]
        return a["cause"], a["why"]

    assert cause("snapshot-pause")[0] == "not-running"
    assert cause("snapshot-resume")[0] == "not-paused"
    assert cause("snapshot-cancel")[0] == "not-running"
    assert cause("snapshot-stop")[0] == "unknown-command"
    assert cause("snapshot-start")[0] == "arguments"
    assert cause("snapshot-start", {"all": True, "users": ["alice"]})[0] == "arguments"
    assert cause("snapshot-start", {"user": ["alice"]})[0] == "arguments"
    assert cause("snapshot-start", {"storages": ["1"]})[0] == "arguments"
    assert cause("snapshot-start", {"storages": list(range(300))})[0] == "too-many"
    assert cause("snapshot-start", {"users": ["alice", "zoë'"]}) == (
        "unknown-user", "the source has no storage of the user zoë'")
    assert cause("snapshot-start", {"storages": [1, 77]}) == (
        "unknown-storage", "the source has no storage 77")
    ready.sql("ALTER TABLE oc_filecache DROP INDEX fs_storage_path_hash")
    assert cause("snapshot-start", {"storages": [1]})[0] == "no-index"
    assert snapshots(ready) == 1
    assert len(ready.status()["control"]["answers"]) == 8
    assert ready.stop() == 0


def test_without_a_key_commands_are_off(capture):
    capture.start()
    assert capture.status()["control"]["on"] is False
    assert [line for line in capture.site.log_lines("capture") if line["event"] == "commands-off"]
    assert f"{capture.prefix}.control" not in topics.names(capture.bootstrap)
    assert capture.stop() == 0


def test_a_short_key_is_a_wrong_configuration(new_capture):
    status, log = new_capture({"control.key": "too short"}).run()
    assert status == 2
    assert log[-1]["cause"] == "control-key"


def test_a_command_is_taken_once_also_over_a_kill(ready):
    for n in range(2, 5):
        id = commands.send(ready, commands.value("snapshot-start", {"users": ["alice"]}))
        ready.site.kill("capture")
        ready.start(snapshot=False)
        assert commands.answer(ready, id)["accepted"]
        wait_snapshots(ready, n)
    assert ready.stop() == 0
    assert len(brackets(ready, "b")) == 4 + 3
    assert len(brackets(ready, "e")) == 4 + 3


def test_a_pause_survives_a_restart_and_nothing_is_read_twice(new_capture):
    capture = new_capture({**commands.SETS, "capture.commit_rows": 50})
    slow = ("--set", "capture.snapshot_chunk=1")
    capture.start(*slow)
    capture.sql("INSERT INTO oc_filecache(fileid, storage, path, path_hash) "
                "SELECT seq, seq % 5, CONCAT('files/', seq), MD5(seq) FROM seq_1_to_8000")
    capture.drain(60)
    assert commands.ask(capture, "snapshot-start", {"all": True})["accepted"]
    wait_until(lambda: capture.status()["snapshot"]["rows"] > 20, 60, "some rows")
    assert commands.ask(capture, "snapshot-start", {"all": True})["cause"] == "busy"
    assert commands.ask(capture, "snapshot-pause")["accepted"]
    paused = capture.status()["snapshot"]
    assert (paused["state"], paused["table"]) == ("paused", "filecache")
    capture.site.kill("capture")
    capture.start("--set", "capture.snapshot_chunk=5000", snapshot=False)
    capture.sql("UPDATE oc_filecache SET size = 77 WHERE fileid = 3")
    capture.drain()
    # the method is named again when a chunk is read again
    unlike = {"started_us": 0, "method": ""}
    assert capture.status()["snapshot"] | unlike == paused | unlike
    assert commands.ask(capture, "snapshot-resume")["accepted"]
    wait_snapshots(capture, 2)
    assert capture.stop() == 0
    records = capture.records("filecache")
    assert sorted(int(r["key"]) for r in records if r["op"] == "r") == list(range(1, 8001))
    begins = [r["seq"] for r in records if r["op"] == "b"]
    ends = [(r["begin_epoch"], r["begin_counter"], 0) for r in records if r["op"] == "e"]
    assert len(set(begins)) == 2 and set(begins) == set(ends)


def test_a_cancelled_snapshot_sweeps_nothing_and_another_may_begin(ready):
    ready.sql("SET sql_log_bin=0; DELETE FROM oc_filecache WHERE fileid <= 6")
    ready.stop()
    first = commands.send(ready, commands.value("snapshot-start", {"all": True}))
    end = commands.send(ready, commands.value("snapshot-cancel"))
    ready.start(snapshot=False)
    assert commands.answer(ready, first)["accepted"] and commands.answer(ready, end)["accepted"]
    commands.wait_state(ready, "cancelled")
    assert len(ready.state("filecache")) == 60
    assert commands.ask(ready, "snapshot-start", {"all": True})["accepted"]
    wait_snapshots(ready, 2)
    assert ready.stop() == 0
    assert len(ready.state("filecache")) == 54
    assert (len(brackets(ready, "b")), len(brackets(ready, "e"))) == (12, 8)


def test_a_snapshot_of_users_reads_their_storages_and_nothing_else(ready):
    long = "x" * 80
    ready.sql(f"INSERT INTO oc_storages(numeric_id, id) VALUES(4, MD5('home::{long}'))")
    assert hashlib.md5(f"home::{long}".encode()).hexdigest() in [
        row[0] for row in ready.sql("SELECT id FROM oc_storages")]
    ready.sql("INSERT INTO oc_filecache(fileid, storage, path, path_hash) VALUES(99, 4, '', 'd4')")
    ready.sql("INSERT INTO oc_share(id, uid_owner, uid_initiator, item_type) VALUES"
              "(1, 'alice', 'alice', 'file'), (2, 'carol', 'bob', 'file'), (3, 'carol', NULL, 'file')")
    ready.sql("INSERT INTO oc_files_trash(auto_id, id, user, timestamp, location) VALUES"
              "(1, 'a', 'alice', '7', '.'), (2, 'a', 'carol', '7', '.')")
    ready.drain()
    ready.sql("SET sql_log_bin=0; DELETE FROM oc_filecache WHERE fileid % 10 = 0; "
              "UPDATE oc_filecache SET size = 5 WHERE fileid % 10 = 1")
    before = {t: len(ready.records(t)) for t in ("filecache", "share", "files_trash", "storages")}
    args = {"users": ["alice", "bob", long], "storages": [4]}
    assert commands.ask(ready, "snapshot-start", args)["accepted"]
    wait_snapshots(ready, 2)
    assert ready.status()["snapshot"]["storages"] == 3
    assert ready.stop() == 0

    ours = ready.records("filecache")
    read = [r for r in ours if r["op"] == "r" and r["seq"] > max(
        e["seq"] for e in ours if e["op"] == "e" and e["storage"] is None)]
    assert {r["after"]["storage"] for r in read} == {1, 2, 4}
    assert sorted(r["key"] for r in read) == sorted(row[0] for row in ready.sql(
        "SELECT fileid FROM oc_filecache WHERE storage IN (1, 2, 4)"))
    for op in ("b", "e"):
        assert sorted(b for b in brackets(ready, op) if b[2] is not None) == [
            (s % 4, f"!{'begin' if op == 'b' else 'end'}/{s}", s) for s in (4, 1, 2)]
    assert [r["key"] for r in ready.records("share") if r["op"] == "r"] == ["1", "2"]
    assert [r["key"] for r in ready.records("files_trash") if r["op"] == "r"] == ["1"]
    assert len(ready.records("storages")) - before["storages"] == len(
        [r for r in ready.records("storages")[before["storages"]:] if r["op"] == "h"])

    state = ready.state("filecache")
    source = {row[0]: row for row in ready.sql("SELECT fileid, storage, size FROM oc_filecache")}
    assert {k for k, row in state.items() if row["storage"] != 3} == {
        k for k, row in source.items() if row[1] != "3"}
    assert all(str(row["size"]) == source[k][2] for k, row in state.items() if row["storage"] != 3)
    # nobody's storage is as it was, with what happened behind our back
    theirs = {k: row for k, row in state.items() if row["storage"] == 3}
    assert len(theirs) == 20 and not any(row["size"] for row in theirs.values())


def test_a_walk_through_a_storage_takes_its_rows_from_the_index_in_order(new_capture):
    ready = new_capture({**commands.SETS, "capture.snapshot_chunk": 300})
    ready.sql("INSERT INTO oc_storages(numeric_id, id) VALUES(1, 'home::alice')")
    ready.sql("INSERT INTO oc_filecache(fileid, storage, path, path_hash) "
              "SELECT seq, seq % 5, CONCAT('files/', seq), MD5(seq) FROM seq_1000_to_5000; "
              "ANALYZE TABLE oc_filecache")
    ready.start()
    ready.database.sql("SET GLOBAL log_output = 'TABLE'; TRUNCATE mysql.general_log; "
                       "SET GLOBAL general_log = ON")
    try:
        assert commands.ask(ready, "snapshot-start", {"storages": [1]})["accepted"]
        wait_snapshots(ready, 2)
    finally:
        ready.database.sql("SET GLOBAL general_log = OFF; SET GLOBAL log_output = 'FILE'")
    walk = [row[0] for row in ready.database.sql(
        "SELECT argument FROM mysql.general_log WHERE argument LIKE 'SELECT%FROM%oc_filecache%LIMIT%'")
        if "path_hash` LIMIT" in row[0]]
    assert len(walk) >= 3
    for sql in walk:
        plan = ready.sql("EXPLAIN " + sql)
        assert len(plan) == 1 and plan[0][5] == "fs_storage_path_hash", (sql, plan)
        assert "filesort" not in plan[0][9], plan
    assert ready.stop() == 0


def test_lost_rows_begin_a_snapshot_of_everything_over_a_paused_one(ready):
    ready.stop()
    commands.send(ready, commands.value("snapshot-start", {"users": ["alice"]}))
    last = commands.send(ready, commands.value("snapshot-pause"))
    ready.start(snapshot=False)
    assert commands.answer(ready, last)["accepted"]
    ready.sql("TRUNCATE oc_vcategory")
    wait_snapshots(ready, 2)
    assert ready.status()["snapshot"]["storages"] == 0
    assert ready.stop() == 0


def test_lockstep_snapshot_sends_commands_and_says_what_became_of_them(ready):
    def snapshot(*args):
        return ready.site.lockstep("snapshot", *args)

    status, text = snapshot("start", "--user", "alice", "--storage=3")
    assert (status, text) == (0, "accepted\n")
    wait_snapshots(ready, 2)
    assert ready.status()["snapshot"]["storages"] == 2
    assert ready.status()["snapshot"]["rows"] == 40
    assert ready.status()["snapshot"]["method"] == "binlog-snapshot"
    status, text = snapshot("pause")
    assert status == 3 and text == "refused (not-running): the snapshot is: done\n"
    status, text = snapshot("start", "--user", "nobody", "--json")
    assert status == 3
    assert json.loads(text)["why"] == "the source has no storage of the user nobody"

    status, text = snapshot("status", "--json")
    told = json.loads(text)
    assert status == 0 and (told["state"], told["rows"], told["eta_s"]) == ("done", 40, -1)
    status, text = snapshot("status")
    assert status == 0 and text.startswith("snapshot: done\nrows: 40 of about ")

    for wrong in [(), ("start",), ("start", "--all", "--user", "alice"), ("pause", "--all"),
                  ("start", "--storage", "x"), ("start", "--user"), ("begin", "--all"),
                  ("start", "--all", "--set", "control.key=")]:
        assert snapshot(*wrong)[0] == 2, wrong
    assert ready.stop() == 0
    wait_until(lambda: snapshot("status")[0] == 3, 60, "it to be told that capture is silent")
    assert re.search(r"^capture has been silent for \d+ s: that is its last word$", snapshot("status")[1], re.M)
    told = json.loads(snapshot("status", "--json")[1])
    assert told["silent_s"] >= 10 and told["eta_s"] == -1
