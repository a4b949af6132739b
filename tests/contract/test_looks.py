"""Looks of our writer: where the target has a node, a user, a space now; nothing is changed by one.

Only what the target says plainly is absence; trouble is trouble.
"""
import uuid

import pytest
from client import UNKNOWN_ID, VIEWER
from probe import bits
from test_writer import make_site

WRITES = ("CreateContainer InitiateFileUpload Move Delete RestoreRecycleItem PurgeRecycle "
          "SetArbitraryMetadata AddGrant UpdateGrant RemoveGrant CreateHome CreateShare UpdateShare "
          "RemoveShare UpdateReceivedShare CreatePublicShare UpdatePublicShare RemovePublicShare "
          "PUT").split()


@pytest.fixture
def site(target, clients, tmp_path):
    site = make_site(target, clients, tmp_path)
    yield site
    site.probe.stop()


def look(site, node_id, **more):
    found = site.call("node_look", node_id=node_id, **more)
    nothing_written(site)
    return found


def nothing_written(site):
    assert not [c for c in site.probe.calls
                if c in WRITES or c.startswith(("graph P", "graph D"))], site.probe.calls


def test_a_live_node_is_found_where_it_is_with_what_it_has(site):
    folder = site.folder("A folder")
    file = site.put(" odd [name] %41 ", "hello", parent=folder, mtime=1600000000)
    found = look(site, file["id"], mtime=1600000000)
    assert (found["where"], found["folder"]) == ("live", False)
    assert (found["parent_id"], found["name"]) == (folder, " odd [name] %41 ")
    assert {k: found["node"][k] for k in ("id", "sha1", "size", "mtime")} == \
        {k: file[k] for k in ("id", "sha1", "size", "mtime")}
    found = look(site, folder)
    assert (found["where"], found["folder"], found["parent_id"], found["name"]) == \
        ("live", True, site.root, "A folder")


@pytest.mark.parametrize("mtime", [-5, 0, 1 << 40])
def test_a_time_that_the_target_holds_as_the_nearest_counts_as_the_one_it_was_given(site, mtime):
    file = site.put("f", "x", mtime=mtime)
    assert look(site, file["id"], mtime=mtime)["node"]["mtime"] == mtime
    assert look(site, file["id"], mtime=99)["node"]["mtime"] != 99


def test_what_was_deleted_is_found_in_the_trash(site):
    folder, inner = site.folder("F"), None
    inner = site.folder("G", parent=folder)
    deep = site.put("deep.txt", "12345", parent=inner)["id"]
    file = site.put("f.txt", "1234567", parent=folder)["id"]
    site.call("trash", node_id=file)
    found = look(site, file)
    assert (found["where"], found["folder"], found["name"]) == ("trashed", False, "f.txt")
    assert found["node"]["size"] in (7, -1)
    site.call("trash", node_id=folder)
    found = look(site, folder)
    assert (found["where"], found["folder"], found["name"]) == ("trashed", True, "F")
    found = look(site, deep, top_id=folder, relative="G/deep.txt")
    assert (found["where"], found["folder"], found["node"]["size"]) == ("below", False, 5)
    found = look(site, inner, top_id=folder, relative="G")
    assert (found["where"], found["folder"]) == ("below", True)
    for wrong in ("G/other.txt", "H/deep.txt", "G/deep.txt/x"):
        assert look(site, deep, top_id=folder, relative=wrong)["where"] == "not"
    site.call("restore", top_id=folder, parent_id=site.root, name="F")
    assert look(site, deep, top_id=folder, relative="G/deep.txt")["where"] == "live"


def test_what_is_gone_is_gone_and_a_space_that_is_gone_is_trouble(site):
    file = site.put("f.txt", "x")["id"]
    site.call("trash", node_id=file)
    site.call("purge", top_id=file)
    assert look(site, file)["where"] == "not"
    assert look(site, UNKNOWN_ID)["where"] == "not"
    elsewhere = dict(site.space, space_id=str(uuid.uuid4()))
    elsewhere["root_id"] = elsewhere["space_id"]
    refused = site.probe.fails("node_look", space=elsewhere, node_id=file)
    assert refused.kind == "retry" and refused.cause in ("space-gone", "internal")
    assert site.fails("node_look", node_id="").kind == "poison"


def test_people_and_their_groups_are_looked_up(site):
    user = site.probe("person_look", name=site.name)
    assert (user["found"], user["id"], user["enabled"], user["display_name"]) == \
        (True, site.user_id, True, "W. Riter")
    assert not site.probe("person_look", name="no-" + site.name)["found"]
    assert not site.probe("person_look", name="no-" + site.name, group=True)["found"]
    gid = site.probe("group_ensure", gid="grp " + site.name)["id"]
    assert site.probe("person_look", name="grp " + site.name, group=True)["id"] == gid
    for member in (True, False):
        site.probe("member_set", group_id=gid, user_id=site.user_id, member=member)
        seen = site.probe("member_look", group_id=gid, user_id=site.user_id)
        nothing_written(site)
        assert seen["found"] == member
    site.probe("user_enable", user_id=site.user_id, enabled=False)
    assert not site.probe("person_look", name=site.name)["enabled"]


def test_a_space_is_looked_up_with_its_quota(site):
    home = site.probe("space_look", uid=site.name)
    nothing_written(site)
    assert home["found"] and home["space"] == site.space
    for bytes_, seen in ((123456789, 123456789), (-1, -1), (0, 1)):
        site.call("space_quota", bytes=bytes_)
        assert site.probe("space_look", uid=site.name)["quota"] == seen
    name = "n" + uuid.uuid4().hex[:8]
    site.probe("user_ensure", uid=name, display_name="N. Ew")
    assert not site.probe("space_look", uid=name)["found"]


def test_what_is_right_or_gone_is_not_written_again_in_doubt(pair):
    site = pair.site
    node = site.folder("F")
    want = dict(node_id=node, folder=True, group=False, grantee_id=pair.uid, sharer=site.name,
                permissions=bits(VIEWER), expires=0)
    share = site.call("share_set", **want)["id"]
    assert site.call("share_set", share_id=share, doubtful=True, **want)["id"] == share
    nothing_written(site)
    received = dict(recipient=pair.name, share_id=share, state="accepted", mount_point="/Mine")
    site.probe("received_set", **received)
    site.probe("received_set", doubtful=True, **received)
    nothing_written(site)
    site.probe("received_set", doubtful=True, **dict(received, state="pending"))
    assert "UpdateReceivedShare" in site.probe.calls
    link = dict(want, has_password=True, label="L")
    made = site.call("link_set", **link)["id"]
    assert site.call("link_set", link_id=made, doubtful=True, **link)["id"] == made
    nothing_written(site)
    for what, name, id_ in (("share_remove", "share_id", share), ("link_remove", "link_id", made)):
        for n in range(2):
            site.call(what, sharer=site.name, doubtful=True, **{name: id_})
        nothing_written(site)
    assert site.call("share_set", share_id=share, doubtful=True, **want)["id"]
    assert "CreateShare" in site.probe.calls
