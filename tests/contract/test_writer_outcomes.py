"""
Our writer when the target has trouble of its own (INTERNAL, UNKNOWN) around a call that changes
something: such an answer does not say whether the change was made. What was made must be known, or
its outcome be "timeout", which the core repeats: it must never read as refused, since by the next
try the source may want something else, and then nobody comes back to what was made.

Only against the simulator.
"""
import pytest
from client import NOT_FOUND, OK, VIEWER
from probe import bits
from test_writer_faults import fault, new_site, one_file, site  # noqa: F401 (fixtures)

TROUBLES = pytest.mark.parametrize("trouble", [
    {"effect": "grpc", "status": "UNKNOWN"}, {"effect": "code", "code": 15}],
    ids=["unknown", "internal"])
FILE = {"mtime": 1600000000, "mtime_ns": 7}


def lost(site, call, /, **arguments):
    """The call's outcome is unknown to the writer, and it says so; then the core repeats it."""
    refused = site.fails(call, **arguments)
    assert (refused.kind, refused.cause) == ("retry", "timeout")
    site.sim.ask("/faults", "DELETE")
    return site.call(call, doubtful=True, **arguments)


def names(site, node=None):
    return [i.name for i in site.see.list(node).infos]


def trashed(site):
    return [i.ref.path for i in site.see.trash().recycle_items]


@TROUBLES
def test_a_folder_made_but_not_seen_is_not_refused(site, trouble):
    fault(site, call="storage-users.Stat", nth=1, **trouble)
    node = lost(site, "make_folder", parent_id=site.root, name="A")["node"]["id"]
    assert [i.id.opaque_id for i in site.see.list().infos] == [node]


@TROUBLES
def test_a_folder_made_although_the_answer_is_an_error_is_known(site, trouble):
    fault(site, call="storage-users.CreateContainer", nth=1, after=True, **trouble)
    node = site.folder("A")
    assert [i.id.opaque_id for i in site.see.list().infos] == [node]


@TROUBLES
def test_a_folder_not_made_is_the_targets_own_trouble(site, trouble):
    fault(site, call="storage-users.CreateContainer", nth=1, **trouble)
    refused = site.fails("make_folder", parent_id=site.root, name="A")
    assert (refused.kind, refused.cause) == ("retry", "internal")
    assert names(site) == []


@TROUBLES
def test_a_folder_below_one_that_cannot_be_read_is_the_targets_own_trouble(site, trouble):
    parent = site.folder("A")
    fault(site, call="storage-users.*", times=9, **trouble)
    refused = site.fails("make_folder", parent_id=parent, name="B")
    assert (refused.kind, refused.cause) == ("retry", "internal")


@TROUBLES
@pytest.mark.parametrize("text", ["hello", ""])
def test_a_file_uploaded_but_not_seen_is_not_refused(site, text, trouble):
    fault(site, call="storage-users.Stat", times=2, **trouble)
    lost(site, "put_file", parent_id=site.root, name="f", blob=site.blob(text), **FILE)
    one_file(site, text)


@TROUBLES
def test_a_file_whose_upload_is_answered_with_an_error_is_known(site, trouble):
    fault(site, call="storage-users.InitiateFileUpload", nth=1, after=True, **trouble)
    site.put("f", "")  # an empty file is complete with that call
    one_file(site, "")


@TROUBLES
def test_new_content_that_arrived_but_is_not_seen_is_not_refused(site, trouble):
    node = site.put("f", "hello")["id"]
    fault(site, call="storage-users.Stat", nth=2, times=2, **trouble)
    lost(site, "put_file", node_id=node, blob=site.blob("other"), mtime=1600000001, mtime_ns=8)
    assert site.see.get(node).content == b"other"


@TROUBLES
def test_a_move_that_happened_although_the_answer_is_an_error_is_done(site, trouble):
    node, parent = site.folder("A"), site.folder("B")
    fault(site, call="storage-users.Move", nth=1, after=True, **trouble)
    site.call("move", node_id=node, parent_id=parent, name="C")
    assert names(site, parent) == ["C"]


@TROUBLES
def test_a_deletion_that_happened_although_the_answer_is_an_error_is_done(site, trouble):
    node = site.folder("A")
    fault(site, call="storage-users.Delete", nth=1, after=True, **trouble)
    site.call("trash", node_id=node)
    assert names(site) == [] and len(trashed(site)) == 1


@TROUBLES
def test_a_deletion_is_done_only_when_the_item_is_seen_in_the_trash(site, trouble):
    node = site.folder("A")
    site.call("trash", node_id=node)
    fault(site, call="storage-users.ListRecycle", times=2, **trouble)
    lost(site, "trash", node_id=node)
    site.call("purge", top_id=node)
    assert site.fails("trash", node_id=node, doubtful=True).cause == "gone"


@TROUBLES
@pytest.mark.parametrize("relative", ["", "B"])
def test_a_restore_that_happened_although_the_answer_is_an_error_is_done(site, trouble, relative):
    node = site.folder("A")
    inner = site.folder("B", node)
    site.call("trash", node_id=node)
    fault(site, call="storage-users.RestoreRecycleItem", nth=1, after=True, **trouble)
    back = site.call("restore", top_id=node, relative=relative, parent_id=site.root, name="C")
    assert back["node"]["id"] == (inner if relative else node)
    assert names(site) == ["C"]


@TROUBLES
def test_trouble_at_a_purge_is_never_taken_for_done(site, trouble):
    node = site.folder("A")
    site.call("trash", node_id=node)
    fault(site, call="storage-users.*", times=3, **trouble)
    assert site.fails("purge", top_id=node).cause == "internal"
    assert len(trashed(site)) == 1
    site.sim.ask("/faults", "DELETE")
    site.call("purge", top_id=node)
    assert trashed(site) == []


@TROUBLES
def test_trouble_of_the_look_before_a_purge_is_not_taken_for_somebody(site, trouble):
    node = site.folder("A")
    site.call("trash", node_id=node)
    at = site.see.trash().recycle_items[0].deletion_time.seconds
    fault(site, call="storage-users.ListRecycle", nth=1, **trouble)
    site.call("purge", top_id=node, expect={"deleted_at": at})
    assert trashed(site) == []


@TROUBLES
def test_trouble_at_a_restore_is_never_taken_for_a_lost_item(site, trouble):
    node = site.folder("A")
    site.call("trash", node_id=node)
    fault(site, call="storage-users.RestoreRecycleItem", nth=1, **trouble)
    fault(site, call="storage-users.ListRecycle", times=2, **trouble)
    refused = site.fails("restore", top_id=node, relative="", parent_id=site.root, name="A")
    assert refused.cause != "gone"
    site.sim.ask("/faults", "DELETE")
    site.call("restore", top_id=node, relative="", parent_id=site.root, name="A", doubtful=True)
    assert names(site) == ["A"]


@TROUBLES
def test_a_share_made_but_not_seen_is_not_refused(site, trouble):
    other = site.probe("user_ensure", uid=site.name + "x", display_name="X")["id"]
    node = site.folder("A")
    fault(site, call="*.ListGrants", nth=1, **trouble)
    arguments = {"node_id": node, "folder": True, "group": False, "grantee_id": other,
                 "sharer": site.name, "expires": 0, "permissions": bits(VIEWER)}
    sid = lost(site, "share_set", **arguments)["id"]
    assert site.see.get_share(sid).status.code == OK
    site.call("share_remove", sharer=site.name, share_id=sid)
    assert site.see.get_share(sid).status.code == NOT_FOUND
    assert len(site.see.my_shares()) == 0


@TROUBLES
def test_a_share_made_although_the_answer_is_an_error_is_known(site, trouble):
    other = site.probe("user_ensure", uid=site.name + "x", display_name="X")["id"]
    node = site.folder("A")
    fault(site, call="*.CreateShare", nth=1, after=True, **trouble)
    sid = site.call("share_set", node_id=node, folder=True, group=False, grantee_id=other,
                    sharer=site.name, expires=0, permissions=bits(VIEWER))["id"]
    assert [s.id.opaque_id for s in site.see.my_shares()] == [sid]


@TROUBLES
@pytest.mark.parametrize("mine", [True, False])
def test_a_link_made_although_the_answer_is_an_error_is_finished(site, trouble, mine):
    other = site.name + "x"
    site.probe("user_ensure", uid=other, display_name="X")
    fault(site, call="*.CreatePublicShare", nth=1, after=True, **trouble)
    site.call("link_set", node_id=site.folder("A"), folder=True, expires=0, has_password=False,
              sharer=site.name if mine else other, label="one", permissions=bits(VIEWER))
    assert [x.display_name for x in site.see.my_links()] == ["one"]


@TROUBLES
def test_a_share_made_although_the_answer_and_a_look_are_errors_is_known(site, trouble):
    other = site.probe("user_ensure", uid=site.name + "x", display_name="X")["id"]
    node = site.folder("A")
    fault(site, call="*.CreateShare", nth=1, after=True, **trouble)
    fault(site, call="*.ListShares", nth=1, **trouble)
    sid = site.call("share_set", node_id=node, folder=True, group=False, grantee_id=other,
                    sharer=site.name, expires=0, permissions=bits(VIEWER))["id"]
    assert [s.id.opaque_id for s in site.see.my_shares()] == [sid]


@TROUBLES
@pytest.mark.parametrize("looks", [1, 99])
def test_a_link_perhaps_made_for_the_sharer_is_not_made_by_the_owner_too(site, trouble, looks):
    other = site.name + "x"
    site.probe("user_ensure", uid=other, display_name="X")
    want = {"node_id": site.folder("A"), "folder": True, "expires": 0, "has_password": False,
            "sharer": other, "label": "one", "permissions": bits(VIEWER)}
    fault(site, call="*.CreatePublicShare", nth=1, after=True, **trouble)
    fault(site, call="*.ListPublicShares", times=looks, **trouble)
    if looks > 1:
        refused = site.fails("link_set", **want)
        assert (refused.kind, refused.cause) == ("retry", "internal")
        site.sim.ask("/faults", "DELETE")
        site.call("link_set", doubtful=True, **want)
    else:
        site.call("link_set", **want)
    assert [x.display_name for x in site.see.my_links()] == ["one"]
