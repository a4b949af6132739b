"""verify while both sides are in use: what the stream still carries is no difference, what differs for good is one."""

import json
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))
from client import OK, Client  # noqa: E402

EQUAL, DIFFERENT, CARRIED = 0, 3, 10


@pytest.fixture
def living(new_world):
    """A site, towards a target that takes its time; and one user whom nobody else works with."""
    world = new_world()
    world.work.populate(3, actions=20)
    site = world.site
    site.create_user("hermit")
    site.login("hermit")
    site.upload(site.files("hermit"), "his.txt", b"text")
    site.users.remove("hermit")
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.assert_equal()
    if world.target.kind == "simulator":
        world.target.ask("/faults", "POST", {"call": "*", "effect": "latency", "ms": 30, "probability": 0.5})
    return world


def verify_beside_work(world):
    """(status, who has a difference that is real, document), begun and ended while people work or have just done so."""
    thread = threading.Thread(target=lambda: world.work.run(actions=60))
    thread.start()
    try:
        status, text = world.daemons.lockstep("verify", "--json", "--log-level", "error", "--wait", "100")
    finally:
        thread.join(120)
    assert not thread.is_alive()
    document = json.loads(text)
    assert document["not_told_apart"] is None, text
    return status, {d["user"] for d in document["differences"] if d["state"] == "real"}, document


def test_beside_living_sides_only_what_differs_for_good_is_a_difference(living):
    status, real, document = verify_beside_work(living)
    assert real == set() and status in (EQUAL, CARRIED), document
    node = living.cs3.walk("hermit")["his.txt"].id.opaque_id
    assert Client(living.target).sign_in("hermit").delete(node).status.code == OK
    status, real, document = verify_beside_work(living)
    assert real == {"hermit"} and status == DIFFERENT, document
