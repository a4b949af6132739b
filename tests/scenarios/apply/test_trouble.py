"""
apply in trouble: the target slow, refusing, gone; answers lost; apply stopped and started in the
middle. The end is the same state, nothing dead-lettered, and the counters add up.
"""

import signal
import sqlite3
import time

import pytest
from bed import wait_until

pytestmark = pytest.mark.skipif(
    "__import__('os').environ.get('LOCKSTEP_TEST_TARGET', 'sim') != 'sim'",
    reason="trouble to order: only with the simulator")


def fault(world, **rule):
    world.target.ask("/faults", "POST", rule)


def no_faults(world):
    world.target.ask("/faults", "DELETE")


def assert_good_end(world):
    world.drained(90)
    world.assert_equal()
    world.assert_balanced()
    assert world.dead_letters() == []


@pytest.mark.parametrize("rule", [
    {"call": "storage-users.*", "effect": "drop-after", "probability": 0.15},
    {"call": "storage-users.*", "effect": "drop-before", "probability": 0.15},
    {"call": "data.PUT", "effect": "drop-after", "probability": 0.3},
    {"call": "data.PUT", "effect": "die", "bytes": 10, "probability": 0.3},
    {"call": "data.PUT", "effect": "http", "http": 503, "retry_after": 1, "times": 5},
    {"call": "storage-users.*", "effect": "grpc", "status": "UNAVAILABLE", "probability": 0.1},
    {"call": "storage-users.*", "effect": "grpc", "status": "UNKNOWN", "probability": 0.2},
    {"call": "storage-users.*", "effect": "code", "code": 15, "after": True, "probability": 0.2},
    {"call": "*.CreateShare", "effect": "drop-after", "times": 3},
    {"call": "*.CreatePublicShare", "effect": "drop-after", "times": 2},
    {"call": "graph.*", "effect": "http", "http": 403, "times": 20},
    {"call": "*.CreateHome", "effect": "code", "code": 8, "times": 10},
], ids=["lost answers", "lost calls", "lost answers of uploads", "uploads cut off", "slow down",
        "unavailable", "unknown", "done but internal", "lost answers of shares", "lost answers of links",
        "roles not known", "permissions not known"])
def test_trouble_of_the_target_changes_nothing_in_the_end(new_world, rule):
    world = new_world(sets={"apply.retry_max_ms": 500, "target.timeout_ms": 3000})
    world.work.populate(3, actions=20)
    world.daemons.start()
    fault(world, **rule)
    world.daemons.wait_snapshot()
    world.work.run(actions=40)
    time.sleep(3)
    no_faults(world)
    assert_good_end(world)


@pytest.mark.parametrize("rule", [
    {"call": "storage-system.*", "effect": "drop-after", "probability": 0.1},
    {"call": "system-data.*", "effect": "http", "http": 500, "probability": 0.3},
    {"call": "system-data.PUT", "effect": "drop-after", "probability": 0.5},
], ids=["lost answers", "data server", "lost answers of writes"])
def test_trouble_of_the_share_managers_files_changes_nothing_in_the_end(new_world, rule):
    """Apply is killed in the midst of it, too."""
    world = new_world(sets={"apply.retry_max_ms": 500, "target.timeout_ms": 3000,
                            "apply.shares": "exact", "capture.link_secrets": "true"})
    world.work.populate(3, actions=20)
    world.daemons.start()
    fault(world, **rule)
    world.daemons.wait_snapshot()
    world.work.run(actions=20)
    world.daemons.kill("apply")
    world.work.run(actions=10)
    world.daemons.start("apply")
    no_faults(world)
    assert_good_end(world)
    rows = world.site.sql("SELECT s.id, s.token FROM oc_share s JOIN oc_filecache f"
                          " ON s.file_source = f.fileid WHERE s.share_type = 3"
                          " AND s.expiration IS NULL AND f.path REGEXP '^files/'").fetchall()
    known = [world.cs3.open_link(token) for _, token in rows]
    assert {a.status.code for a in known} <= {1, 8}  # open, or asking for a password
    assert [a.share.id.opaque_id for a in known if a.status.code == 1] == \
        [str(number) for (number, _), a in zip(rows, known) if a.status.code == 1]


def test_what_was_made_but_not_seen_is_not_forgotten_when_the_source_goes_on(new_world):
    """Made at the target, and every look at it fails; meanwhile the source wants it no more."""
    world = new_world(sets={"apply.retry_max_ms": 500})
    world.work.populate(2, actions=5)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    site, uid = world.site, world.site.users[0]
    before = world.target.counts()

    def heard(fileid, **row):
        with sqlite3.connect(f"file:{world.daemons.ledger}?mode=ro", uri=True) as ledger:
            return ledger.execute(f"SELECT {', '.join(row)} FROM desired WHERE fileid = ?",
                                  (fileid,)).fetchone() == tuple(row.values())

    fault(world, call="storage-users.Stat", effect="grpc", status="UNKNOWN")
    folder = site.mkdir(site.files(uid), "made and gone")
    file = site.upload(site.files(uid), "made.txt", b"content")
    wait_until(lambda: {"CreateContainer", "PUT"} <= world.target.writes_since(before).keys(), 60,
               "the folder and the file to be made")
    site.delete(folder)
    site.purge(uid, site.trashed(uid)[-1])
    site.move(file, site.files(uid), "renamed.txt")
    wait_until(lambda: heard(folder.id, deleted=1) and heard(file.id, name="renamed.txt"), 60,
               "apply to hear of it")
    time.sleep(0.5)  # who had forgotten what was made goes on now
    no_faults(world)
    assert_good_end(world)


def test_a_target_that_is_away_pauses_everything_and_readyz_says_so(new_world):
    world = new_world(sets={"apply.retry_max_ms": 500})
    world.work.populate(3, actions=10)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    taken = world.daemons.status("apply")["counters"]["in"]
    world.target.process.signal(signal.SIGSTOP)

    def taken_in():
        status = world.daemons.status("apply")
        return status["counters"]["in"] > taken and status["in_flight"] > 0
    try:
        world.work.run(actions=15)
        wait_until(taken_in, 60, "records to be taken in while nothing answers", 0.2)
    finally:
        world.target.process.signal(signal.SIGCONT)
    assert_good_end(world)


def test_what_is_denied_while_the_target_comes_up_is_no_dead_letter(new_world):
    """Of every kind: folders, files, moves, the trash, shares."""
    world = new_world(sets={"apply.retry_max_ms": 2000})
    world.work.populate(3, actions=10)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.target.ask("/down", "POST")
    world.work.run(actions=30)
    world.target.ask("/coming_up", "POST", {"seconds": 600})
    world.target.ask("/up", "POST")

    def denied():
        return (world.daemons.status("apply").get("parked") or {}).get("denied")
    wait_until(denied, 60, "calls to be denied", 0.2)
    world.target.ask("/coming_up", "POST", {"seconds": 0})
    assert_good_end(world)


def test_a_graph_that_refuses_while_it_starts_is_waited_for(world):
    """Its proxy is up before those who know passwords and roles."""
    world.work.populate(2, actions=5)
    world.daemons.start()
    world.daemons.stop("apply")
    for status in 401, 403:
        fault(world, call="graph.*", effect="http", http=status)
        world.daemons.spawn("apply")
        wait_until(lambda: "target-config" in world.daemons.get("apply", "/readyz")[1], 60,
                   "/readyz to name it")
        no_faults(world)
        world.daemons.wait_ready("apply")
        world.daemons.stop("apply")
    world.daemons.spawn("apply")
    world.daemons.wait_ready("apply")
    world.daemons.wait_snapshot()
    assert_good_end(world)


def test_a_data_directory_that_is_not_mounted_makes_no_dead_letters(new_world):
    """What is there then is the empty mount point."""
    world = new_world(sets={"apply.retry_max_ms": 200})
    world.work.populate(2, actions=10)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.daemons.stop("apply")
    world.work.run(actions=40)
    away = world.data.with_name("away")
    world.data.rename(away)
    world.data.mkdir()
    try:
        world.daemons.spawn("apply")
        world.daemons.wait_ready("apply")
        wait_until(lambda: world.daemons.status("apply")["parked"].get("content-away"), 60,
                   "files to be parked")
        time.sleep(5)  # of the tries that would have been the last
    finally:
        world.data.rmdir()
        away.rename(world.data)
    assert_good_end(world)


def test_a_stop_in_the_middle_ends_with_0_and_goes_on_where_it_was(world):
    world.work.populate(3, actions=60)
    world.daemons.start()
    fault(world, call="storage-users.*", effect="latency", ms=100)
    for _ in range(4):
        time.sleep(0.7)
        assert world.daemons.stop("apply") == {"apply": 0}
        world.work.run(actions=5)
        world.daemons.spawn("apply")
    no_faults(world)
    world.daemons.wait_ready("apply")
    world.daemons.wait_snapshot()
    assert_good_end(world)


def test_reading_everything_once_more_makes_no_writing_call(world):
    world.work.populate(3, actions=60)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    taken = world.daemons.status("apply")["counters"]["in"]
    before = world.target.counts()
    world.daemons.stop("apply")
    world.daemons.start("apply", args=["--from-start"])
    wait_until(lambda: world.daemons.status("apply")["counters"]["in"] >= taken * 1.5, 60,
               "the records to come again", 0.2)
    world.drained()
    assert world.target.writes_since(before) == {}
    world.assert_balanced()
