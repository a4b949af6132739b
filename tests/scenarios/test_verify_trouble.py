"""A comparison takes hours: what passes meanwhile, of oCIS or Kafka, does not end it, and is never "equal" either."""

import json
import signal
import sys
from pathlib import Path

import pytest
from bed import wait_until
from bed.daemons import BIN
from bed.process import Process
from bed.target import Simulator

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))
from client import INVALID, OK, Client  # noqa: E402

EQUAL, DIFFERENT, DATA, UNSEEN = 0, 3, 9, 11
LIST, RECEIVED, SHARES = "storage-users.ListContainer", "gateway.ListReceivedShares", "gateway.ListShares"


def first(world):
    return sorted(world.site.storages)[0]


@pytest.fixture
def still(new_world):
    """A site that is equal, and nobody who works."""
    world = new_world(sets={"apply.probe_ms": 0})
    if not isinstance(world.target, Simulator):
        pytest.skip("troubles are made to order")
    world.work.populate(3, actions=30)
    world.site.upload(world.site.files(first(world)), "kept.txt", b"text")
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.assert_equal()
    return world


class Verify(Process):
    def __init__(self, world, *args):
        self.world, self.out = world, world.folder / "verify.json"
        self.before = self.calls()
        with open(self.out, "wb") as out:
            super().__init__("verify", [BIN / "lockstep", "verify", "--json", "--config", world.daemons.config, *args],
                             world.folder / "verify.log", stdout=out)

    def calls(self):
        return self.world.target.ask("/counters")["calls"]

    def wait_calls(self, name, n=1):
        wait_until(lambda: self.calls().get(name, 0) >= self.before.get(name, 0) + n, 60, f"{n} calls of {name}")

    def wait_looked(self):
        """Until the first look is over."""
        self.wait_calls("gateway.ListPublicShares", len(self.world.site.storages))

    def ended(self):
        status = self.wait(360)
        text = self.out.read_text()
        return status, json.loads(text) if text else {}


@pytest.mark.parametrize("trouble", [("/down", {"seconds": 6}), ("/stopping", {"seconds": 6})], ids=lambda t: t[0][1:])
def test_a_target_that_is_restarted_beside_a_comparison_is_waited_for(still, trouble):
    still.daemons.stop("apply")  # it would find out for itself
    still.target.ask("/faults", "POST", {"call": "*", "effect": "latency", "ms": 30})
    verify = Verify(still, "--wait", "0")
    verify.wait_calls(LIST, 2)
    still.target.ask(trouble[0], "POST", trouble[1])
    status, document = verify.ended()
    assert status == EQUAL and document["differences"] == [], (status, document, verify.log.read_text())
    assert '"event":"target-away"' in verify.log.read_text()


def test_a_gateway_that_tells_of_no_shares_while_it_stops_is_asked_again(still):
    """Its first answer then is a list without any, its next ones are INTERNAL: all longer than what is tried again."""
    site, uid = still.site, first(still)
    other = next(u for u in sorted(site.storages) if u != uid)
    still.work.shares.to_user(site.files(uid).children["kept.txt"], other, 1)
    still.drained()
    still.assert_equal()
    still.daemons.stop("apply")
    still.target.ask("/faults", "POST", {"call": SHARES, "effect": "latency", "ms": 2000})
    verify = Verify(still, "--wait", "0")
    verify.wait_calls(SHARES)
    still.target.ask("/stopping", "POST", {"seconds": 10})
    status, document = verify.ended()
    assert (status, document["differences"]) == (EQUAL, []), (status, document, verify.log.read_text())
    assert '"event":"target-away"' in verify.log.read_text()


def test_quotas_are_equal_only_when_graph_has_told_them(still):
    uid = first(still)
    still.site.sql("UPDATE oc_accounts SET quota = '1 GB' WHERE user_id = %s", uid)
    wait_until(lambda: still.cs3.quota(uid) == 1 << 30, 60, "the quota", 0.3)
    still.drained()
    still.target.ask("/faults", "POST", {"call": "graph.*", "nth": 1, "effect": "http", "http": 502})
    status, document = Verify(still, "--wait", "0").ended()
    assert (status, document["differences"]) == (EQUAL, []), document
    assert not any(n for what, n in document["not_compared"].items() if what.startswith("quotas")), document

    still.target.ask("/faults", "POST", {"call": "graph.*", "effect": "http", "http": 502})
    status, document = Verify(still, "--wait", "0").ended()
    assert status == UNSEEN and not document["equal"] and document["unseen"] == len(document["differences"]), document
    assert {(d["what"], d["state"]) for d in document["differences"]} == {("quota cannot be looked at", "unseen")}
    assert uid in {d["user"] for d in document["differences"]}


def test_a_data_directory_that_is_away_is_one_word_and_no_difference(still):
    uid, data = first(still), still.data
    assert Verify(still, "--wait", "0", "--deep").ended()[0] == EQUAL
    away = data.rename(data.with_name("away"))
    try:
        verify = Verify(still, "--wait", "0", "--deep")
        assert verify.ended() == (DATA, {})
        assert "nobody's files can be read" in verify.log.read_text()
    finally:
        away.rename(data)
    home = (data / uid).rename(data.with_name("away"))
    try:
        status, document = Verify(still, "--wait", "0", "--deep").ended()
    finally:
        home.rename(data / uid)
    assert status == UNSEEN, document
    assert [(d["user"], d["what"]) for d in document["differences"]] == [(uid, "content cannot be read at the source")]


def test_kafka_that_is_restarted_while_verify_waits_for_the_stream_costs_no_answer(still):
    broker, uid = still.bed.kafka, first(still)
    node = still.cs3.walk(uid)["kept.txt"].id.opaque_id
    assert Client(still.target).sign_in(uid).delete(node).status.code == OK
    broker.process.signal(signal.SIGTERM)
    try:
        verify = Verify(still, "--wait", "300")
        wait_until(lambda: not broker.process.alive(), 60, "the broker's end")
        verify.wait_looked()
    finally:
        broker.stop()
        broker.start()
    status, document = verify.ended()
    assert document["not_told_apart"] is None and status == DIFFERENT, (status, document, verify.log.read_text())


def test_what_was_found_is_told_when_the_target_cannot_be_looked_at_again(still):
    still.daemons.pause("apply")
    still.site.upload(still.site.files(first(still)), "on its way.txt", b"text")
    verify = Verify(still, "--wait", "45")
    verify.wait_looked()
    still.target.ask("/faults", "POST", {"call": RECEIVED, "effect": "grpc", "status": "UNIMPLEMENTED"})
    still.daemons.resume("apply")
    status, document = verify.ended()
    assert status == DIFFERENT, (status, verify.log.read_text())
    assert document["not_told_apart"].startswith("a side could not be read again: ListReceivedShares"), document
    assert [d["what"] for d in document["differences"]] == ["missing"], document


def test_what_is_shared_of_a_file_that_came_late_is_looked_at_as_well(still):
    """It hangs on a difference that goes by itself, so the first look says nothing of it."""
    owner, other = sorted(still.site.storages)[:2]
    still.target.ask("/faults", "POST", {"call": "*.CreateShare", "effect": "code", "code": INVALID})
    still.daemons.pause("apply")
    still.work.shares.to_user(still.site.upload(still.site.files(owner), "late.txt", b"text"), other)
    verify = Verify(still, "--wait", "60")
    verify.wait_looked()
    still.daemons.resume("apply")
    status, document = verify.ended()
    assert status == DIFFERENT and not document["equal"], document
    assert [(d["user"], d["what"]) for d in document["differences"]] == [(other, "share: missing")], document
