"""
Dead letters retried and dropped, topics replayed, a target put right: by the admins' command alone,
through signed records on <p>.replay.
"""

import hashlib
import json
import os
import re

import pytest
from bed import topics, wait_until

KEY = "a key for tests that is long enough"
SETS = {"control.key": KEY, "apply.content_tries": 2, "apply.retry_max_ms": 300}


def ask(world, *words, status=0):
    """What `lockstep` answers, as data."""
    code, text = world.daemons.lockstep(*words, "--json")
    assert code == status, text
    return json.loads(text)


def letter_states(world):
    return {letter["letter"]: letter["state"] for letter in ask(world, "dlq", "list", "--all")}


def test_a_replay_of_everything_writes_nothing_and_letters_are_retried_and_dropped(new_world):
    world = new_world(sets=SETS)
    world.work.populate(2, actions=5)
    world.daemons.start()
    world.daemons.wait_snapshot()
    site, uid = world.site, world.site.users[0]
    lost = [site.upload(site.files(uid), name, name.encode()) for name in ("back.txt", "gone.txt")]
    paths = [world.data / uid / "files" / name for name in ("back.txt", "gone.txt")]
    world.drained()
    counted = hasattr(world.target, "counts")
    before = world.target.counts() if counted else None
    replayed = world.daemons.status("apply")["counters"].get("replayed", 0)
    assert ask(world, "replay", "--topic", "cs3.resource", "--dry-run")["sent"] == 0
    mine = ask(world, "replay", "--topic", "cs3.resource", "--user", uid, "--dry-run")["entities"]
    sent = 0
    for topic in ("cs3.resource", "cs3.space", "cs3.person", "cs3.share"):
        did = ask(world, "replay", "--topic", topic)
        assert did["sent"] == did["entities"] and did["left"] == 0
        assert topic != "cs3.resource" or did["entities"] > mine > 0
        sent += did["sent"]
    one = ask(world, "replay", "--topic", "cs3.resource", "--entity", str(lost[0].id))
    assert one["sent"] == 1
    for nothing in (("--entity", "999999"), ("--user", "nobody"), ("--from", "99999999")):
        code, text = world.daemons.lockstep("replay", "--topic", "cs3.resource", *nothing)
        assert code == 3 and "nothing in the topic is what was asked for" in text, (nothing, text)
    by_gtid(world, lost[1].id)
    wait_until(lambda: world.daemons.status("apply")["counters"].get("replayed")
               == replayed + sent + 1, 60, "apply to have taken them")
    world.drained()
    assert not counted or world.target.writes_since(before) == {}

    for file, path in zip(lost, paths):  # the row says one thing, the disk another
        site.sql("UPDATE oc_filecache SET checksum = %s, mtime = mtime + 5, etag = 'new'"
                 " WHERE fileid = %s",
                 "SHA1:" + hashlib.sha1(path.name.upper().encode()).hexdigest(), file.id)
    wait_until(lambda: len(world.dead_letters()) == 2, 60, "two dead letters")

    found = {letter["key"]: letter for letter in ask(world, "dlq", "list")}
    assert {l["cause"] for l in found.values()} == {"content-mismatch"}
    assert {l["user"] for l in found.values()} == {uid}
    back, gone = (found[str(file.id)] for file in lost)
    shown = ask(world, "dlq", "show", str(back["letter"]))[0]
    assert shown["record"]["name"] == "back.txt"
    assert ask(world, "dlq", "list", "--user", "nobody") == []

    # nobody without the key gets anything done
    topics.send(world.bed.kafka.bootstrap, f"{world.prefix}.replay", back["key"], b"",
                headers={"topic": "cs3.resource", "time": "1", "mac": "0" * 64})
    wait_until(lambda: world.daemons.status("apply")["counters"].get("replay-refused") == 1, 60,
               "the record to be refused")
    assert world.daemons.lockstep("dlq", "retry", "--all", "--set", "control.key=")[0] == 2

    paths[0].write_bytes(b"BACK.TXT")
    mtime = site.sql("SELECT mtime FROM oc_filecache WHERE fileid = %s", lost[0].id).fetchone()[0]
    os.utime(paths[0], (mtime, mtime))
    code, text = world.daemons.lockstep("dlq", "retry", str(back["letter"]), "99999999")
    assert code == 3 and "1 letters retried" in text and "1 of these letters are not there" in text, text
    wait_until(lambda: letter_states(world)[back["letter"]] == "alive", 60, "the letter to be alive")
    code, text = world.daemons.lockstep("dlq", "drop", str(gone["letter"]), "--reason", "a test's")
    assert code == 2 and "--yes" in text
    ask(world, "dlq", "drop", str(gone["letter"]), "--reason", "a test's", "--yes")
    wait_until(lambda: world.daemons.status("apply")["dead"] == {}, 60, "nothing to be dead")
    dropped = ask(world, "dlq", "list", "--state", "dropped")
    assert [(l["letter"], l["reason"]) for l in dropped] == [(gone["letter"], "a test's")]
    assert "@" in dropped[0]["by"] and dropped[0]["state_time"] > gone["time"][:10]
    # said in the dlq itself, too, so that it is kept as long as the letter
    word, = (d for d in world.dead_letters() if d["headers"].get("state") == "dropped")
    assert json.loads(word["value"]) == {
        "letter": f"0/{gone['letter']}", "reason": "a test's", "by": dropped[0]["by"],
        "run": dropped[0]["run"], "time_us": json.loads(word["value"])["time_us"]}
    assert ask(world, "dlq", "list") == []
    wait_until(lambda: world.cs3.walk(uid)["back.txt"].checksum.sum
               == hashlib.sha1(b"BACK.TXT").hexdigest(), 60, "the content to be there")
    world.assert_balanced()
    copies_are_refused(world)


def copies_are_refused(world):
    """Who may write to the topic sends a record again as it was, also to an applier on a new host."""
    kafka, name = world.bed.kafka.bootstrap, f"{world.prefix}.replay"
    records = [r for r in topics.read(kafka, name) if "mac" in r["headers"]]
    copies = [next(r for r in records if what in r["headers"]) for what in ("drop", "letter", "n")]

    def refused():
        return world.daemons.status("apply")["counters"].get("replay-refused", 0)

    def send():
        for r in copies:
            topics.send(kafka, name, r["key"], r["value"], r["partition"], r["headers"])
    before, taken = refused(), world.daemons.status("apply")["counters"]["replayed"]
    send()
    wait_until(lambda: refused() == before + len(copies), 60, "the copies to be refused")
    assert world.daemons.status("apply")["counters"]["replayed"] == taken
    world.daemons.kill("apply")
    for path in world.daemons.folder.glob("ledger.db*"):
        path.unlink()
    send()
    world.daemons.start("apply")
    wait_until(lambda: refused() == before + 2 * len(copies), 60, "all copies to be refused")
    # in a ledger made anew each record counts anew, and once
    wait_until(lambda: world.daemons.status("apply")["counters"].get("replayed") == taken, 60,
               "the records themselves to be taken")
    world.drained()


def by_gtid(world, fileid):
    """A range of GTIDs holds what changed in it, and says what it does not have."""
    def seen():
        return world.bed.mariadb.sql("SELECT @@gtid_binlog_pos")[0][0].split(",")[0]

    begin = seen()
    world.site.sql("UPDATE oc_filecache SET etag = 'again' WHERE fileid = %s", fileid)
    now = seen()
    domain, server, number = now.split("-")
    after = f"{domain}-{server}-{int(number) + 1}"
    world.drained()
    words = ("replay", "--topic", "cs3.resource", "--dry-run")
    found = ask(world, *words, "--from", now, "--to", after)
    assert (found["records"], found["entities"]) == (1, 1)
    late = ask(world, *words, "--from", after, status=3)
    assert late["records"] == 0 and f"{after} and what came after it is not in" in late["notes"][0]
    other = ask(world, *words, "--from", "77-1-1", status=3)
    assert "no record of its domain" in other["notes"][0] and now in other["notes"][0]
    assert ask(world, *words, "--from", begin)["entities"] > 0
    code, text = world.daemons.lockstep(*words, "--from", "0-1-9", "--to", "1-1-10")
    assert code == 2 and "two domains" in text


TOPICS = ("cs3.person", "cs3.space", "cs3.resource", "cs3.share")


def reconcile(world):
    """Every entity compared with the target itself; returns when that is done."""
    taken = world.daemons.status("apply")["counters"].get("replayed", 0)
    sent = sum(ask(world, "replay", "--topic", topic, "--reconcile", "--yes")["sent"] for topic in TOPICS)

    def done():
        status = world.daemons.status("apply")
        return status["counters"].get("replayed") == taken + sent and status["looking"] == 0
    wait_until(done, 120, "apply to have looked at all of it")
    world.drained(120)


def lost(world):
    page = world.daemons.get("apply", "/metrics")[1]
    return float(re.search(r"^lockstep_apply_lost_total (\S+)", page, re.M)[1])


@pytest.mark.skipif("__import__('os').environ.get('LOCKSTEP_TEST_TARGET', 'sim') != 'sim'",
                    reason="the simulator's state is saved and put back")
@pytest.mark.parametrize("shares", ["exact", "api"])
def test_a_target_restored_from_a_backup_is_brought_up_to_date(new_world, shares):
    world = new_world(sets={**SETS, "apply.shares": shares, "people.mode": "create",
                            "capture.link_secrets": "true", "apply.probe_ms": 200})
    world.work.populate(3, actions=30)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    before = world.target.counts()
    code, text = world.daemons.lockstep("replay", "--topic", "cs3.resource", "--reconcile")
    assert code == 2 and "whatever somebody has changed there? Say --yes" in text, text
    assert world.read("replay") == []
    reconcile(world)
    assert world.target.writes_since(before) == {}

    world.target.ask("/backup", "POST")
    world.work.run(actions=50)
    uid = world.site.users[0]
    world.site.empty_trash(uid)
    world.drained()
    world.assert_equal()
    assert lost(world) == 0
    before = world.target.counts()
    world.target.ask("/restore", "POST")
    wait_until(lambda: lost(world) > 0, 60, "apply to miss what it made")
    assert world.target.writes_since(before) == {}
    status, _ = world.verify()
    assert status == 3
    reconcile(world)
    world.assert_equal()
    world.assert_balanced()
    before = world.target.counts()
    reconcile(world)
    assert world.target.writes_since(before) == {}
