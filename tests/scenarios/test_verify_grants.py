"""A share is an entry in a list and a grant on its node. verify sees where oCIS has one without the other, which no list shows."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))
import cs3.storage.provider.v1beta1.provider_api_pb2 as api  # noqa: E402
from client import OK, VIEWER, Client  # noqa: E402

EQUAL, DIFFERENT = 0, 3
SETS = {"control.key": "a key for tests that is long enough"}


def verify(world):
    status, text = world.daemons.lockstep("verify", "--json", "--log-level", "error", "--wait", "0")
    assert status in (EQUAL, DIFFERENT), text
    return {(d["user"], d["what"], d["place"]) for d in json.loads(text)["differences"]}


def repair(world):
    return world.daemons.lockstep("repair", "--all", "--wait", "0", "--yes", "--log-level", "error")


def test_a_share_without_its_grant_and_a_grant_without_a_share_are_differences(new_world):
    world = new_world(sets=SETS)
    site = world.site
    for uid in ("ann", "bob", "eve"):
        site.create_user(uid)
        site.login(uid)
    shared = site.upload(site.files("ann"), "shared.txt", b"shared")
    site.upload(site.files("ann"), "hers.txt", b"hers alone")
    world.work.shares.to_user(shared, "bob")
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.assert_equal()
    client, nodes = Client(world.target), world.cs3.walk("ann")
    ann, bob, eve = (client.sign_in(uid) for uid in ("ann", "bob", "eve"))
    node, hers = nodes["shared.txt"].id.opaque_id, nodes["hers.txt"].id.opaque_id

    def take_grant():
        return ann.call("RemoveGrant", api.RemoveGrantRequest(ref=ann.ref(node), grant=ann.grant(bob, {}))).status.code

    # a share that opens nothing, although all lists have it
    assert take_grant() == OK and len(bob.received()) == 1
    assert verify(world) == {("ann", "share: grant missing", "files/shared.txt, given to the user bob")}
    status, text = repair(world)
    assert status == EQUAL, text
    world.drained()
    assert verify(world) == set()
    assert [g.grantee.user_id.opaque_id for g in ann.grants(node)] == [bob.uid]

    # and what is open to somebody although no list has it, which no row of ownCloud's can mend
    assert ann.add_grant(hers, eve, VIEWER).status.code == OK
    assert eve.stat(hers, space=ann.uid).status.code == OK and ann.my_shares()[1:] == []
    left = {("ann", "share: grant without a share", "files/hers.txt, given to the user eve")}
    assert verify(world) == left
    status, text = repair(world)
    assert status == DIFFERENT and verify(world) == left, text

    # sharing it once more, as oCIS's own interface does, fails and takes the grant away
    ann.share(hers, eve, VIEWER)
    again = ann.share(hers, eve, VIEWER)
    assert again.status.code == OK and ann.remove_share(again.share.id.opaque_id).status.code == OK
    assert verify(world) == set()
