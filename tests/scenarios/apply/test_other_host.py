"""
apply goes on where another host's was: that one is killed and its ledger gone, or it sleeps through
its lease and wakes up. Nothing is sent twice, nobody writes beside another.
"""

import json
import signal
import sqlite3

import pytest
from bed import wait_until
from bed.daemons import Daemons

pytestmark = pytest.mark.skipif(
    "__import__('os').environ.get('LOCKSTEP_TEST_TARGET', 'sim') != 'sim'",
    reason="counts calls: only with the simulator")

SETS = {"apply.standby_ms": 4000, "apply.retry_max_ms": 500, "apply.shares": "exact",
        "capture.link_secrets": "true"}


class Host:
    """Another one, with a folder of its own, where apply runs for the same world."""

    def __init__(self, world, number):
        self.world, self.number = world, number
        self.daemons = Daemons(world.bed, world.data, prefix=world.prefix, sets={
            **SETS, "lockstep.instance": str(number)}, folder=world.folder / f"host{number}")

    def start(self):
        self.daemons.spawn("apply")
        return self

    def standby(self):
        return self.daemons.status("apply").get("standby") is True

    def active(self):
        status = self.daemons.status("apply")  # of one moment: who is just becoming standby is ready, too
        return status.get("ready") is True and status.get("standby") is None

    def words(self):
        return [line.get("event") for line in self.daemons.log_lines("apply")]

    def become(self):
        """It is the world's apply from now on."""
        daemons, mine = self.world.daemons, self.daemons
        daemons.running["apply"] = mine.running["apply"]
        daemons.ports["apply"] = mine.ports["apply"]
        daemons.ledger = mine.ledger
        daemons.log = lambda stage, log=daemons.log: mine.log(stage) if stage == "apply" \
            else log(stage)


@pytest.fixture
def hosts(new_world):
    world = new_world(sets=SETS)
    made = []

    def make():
        made.append(Host(world, len(made) + 2))
        return made[-1].start()
    yield world, make
    for host in made:
        for process in host.daemons.running.values():
            if process.alive():
                process.signal(signal.SIGCONT)
                process.kill()


def settled(world):
    world.drained(90)
    world.assert_equal()
    world.assert_balanced()
    assert world.dead_letters() == []


def test_a_killed_applier_without_its_ledger_is_replaced_and_nothing_is_sent_twice(hosts):
    world, new_host = hosts
    world.work.populate(3, actions=40)
    world.daemons.start()
    world.daemons.wait_snapshot()
    second = new_host()
    wait_until(second.standby, 60, "the second to stand by")
    world.drained()
    before = world.target.counts()
    world.daemons.kill("apply")
    for path in world.daemons.folder.glob("ledger.db*"):
        path.unlink()
    third = new_host()
    wait_until(lambda: second.active() or third.active(), 60, "one to take over")
    active, other = (second, third) if second.active() else (third, second)
    assert "rebuilt" in active.words()
    active.become()
    world.drained()
    assert world.target.writes_since(before) == {}
    world.work.run(actions=20)
    settled(world)
    with sqlite3.connect(f"file:{world.daemons.ledger}?mode=ro", uri=True) as ledger:
        fileid, node, name = ledger.execute(
            "SELECT fileid, target, name FROM node WHERE leftover = 0 AND parent = 0").fetchone()
    status, text = world.daemons.lockstep("id", str(fileid), "--json")
    assert status == 0
    assert [(p["node"], p["path"], p["state"]) for p in json.loads(text)] == \
        [(node, f"/{name}", "live")]
    assert world.daemons.lockstep("id", "987654321")[0] == 1
    wait_until(lambda: other.standby() or other.daemons.running["apply"].status() == 8, 60,
               "the other one to stand by, or to see that it was too late")


def test_one_that_slept_through_its_lease_writes_nothing_any_more(hosts):
    world, new_host = hosts
    world.work.populate(3, actions=20)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    # calls under way, so that it has something to send when it wakes up
    world.target.ask("/faults", "POST", {"call": "storage-users.*", "effect": "latency", "ms": 50})
    world.work.run(actions=40)
    wait_until(lambda: world.daemons.status("apply").get("in_flight", 0) > 0, 60, "calls")
    world.daemons.pause("apply")
    first = world.daemons.running["apply"]
    world.target.ask("/faults", "DELETE")
    second = new_host()
    wait_until(second.active, 90, "the second to take over")
    second.become()
    settled(world)
    before = world.target.counts()
    first.signal(signal.SIGCONT)
    wait_until(lambda: not first.alive(), 60, "the first to see that it was replaced")
    assert first.status() == 8
    assert world.target.writes_since(before) == {}
    settled(world)


def test_what_the_lost_host_was_about_is_looked_up_and_done_once(hosts):
    """Killed again and again in the midst of work, each time with its ledger."""
    world, new_host = hosts
    world.work.populate(3, actions=20)
    world.daemons.start()
    world.daemons.wait_snapshot()
    for _ in range(2):
        world.work.run(actions=25)
        world.daemons.kill("apply")
        for path in world.daemons.ledger.parent.glob("ledger.db*"):
            path.unlink()
        world.work.run(actions=5)
        host = new_host()
        wait_until(host.active, 90, "the next to take over")
        host.become()
    settled(world)
    with sqlite3.connect(f"file:{world.daemons.ledger}?mode=ro", uri=True) as ledger:
        twice = ledger.execute("SELECT fileid FROM node WHERE leftover = 0 GROUP BY fileid"
                               " HAVING count(*) > 1").fetchall()
    assert twice == []


def test_without_kafka_apply_says_that_it_has_no_lease_and_not_that_the_target_is_in_trouble(new_world):
    world = new_world(sets={**SETS, "apply.standby_ms": 1000})
    world.work.populate(1, actions=2)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    daemons, broker = world.daemons, world.bed.kafka.process
    broker.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: "no-lease" in daemons.get("apply", "/readyz")[1], 60, "/readyz to name it")
        assert "\nlockstep_apply_paused 0\n" in daemons.get("apply", "/metrics")[1]
    finally:
        broker.signal(signal.SIGCONT)
    wait_until(lambda: daemons.ready("apply"), 60, "/readyz to recover")
    world.drained()
    world.assert_equal()
