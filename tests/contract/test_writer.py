"""Our own writer, `ocis-api`, against every target: each function, its errors, its repeats.

What the target holds afterwards is looked at with the raw client, not with the writer.
"""
import hashlib
import uuid

import pytest
from bed import wait_until
from client import DENIED, EDITOR, EXISTS, FILE_EDITOR, NOT_FOUND, OK, UNKNOWN_ID, VIEWER, grpc_code
from probe import Probe, bits


class Site:
    """A writer, a user with a space, and his folder of the data directory."""

    def __init__(self, probe, client, folder):
        self.probe, self.client = probe, client
        self.name = "w" + uuid.uuid4().hex[:8]
        self.data = folder / "data" / self.name
        (self.data / "files").mkdir(parents=True)
        self.user_id = probe("user_ensure", uid=self.name, display_name="W. Riter")["id"]
        self.space = probe("space_ensure", uid=self.name)["space"]
        self.root = self.space["root_id"]
        self.see = client.sign_in(self.name)

    def blob(self, text, name="blob", sums=True):
        data = text if isinstance(text, bytes) else text.encode()
        (self.data / "files" / name).write_bytes(data)
        blob = {"home": str(self.data), "relative": "files/" + name, "size": len(data)}
        if sums:
            blob["sha1"] = hashlib.sha1(data).hexdigest()
        return blob

    def call(self, call, /, **arguments):
        return self.probe(call, space=self.space, **arguments)

    def fails(self, call, /, **arguments):
        return self.probe.fails(call, space=self.space, **arguments)

    def folder(self, name, parent=None):
        return self.call("make_folder", parent_id=parent or self.root, name=name)["node"]["id"]

    def put(self, name, text, parent=None, mtime=1600000000, ns=7, **more):
        return self.call("put_file", parent_id=parent or self.root, name=name,
                         blob=self.blob(text), mtime=mtime, mtime_ns=ns, **more)["node"]

    def overwrite(self, node, text, mtime=1600000001, ns=8, **more):
        return self.call("put_file", node_id=node, blob=self.blob(text), mtime=mtime,
                         mtime_ns=ns, **more)["node"]


def make_site(target, clients, folder, **options):
    probe = Probe(target, folder, people__mode="create", **options)
    probe("open")
    return Site(probe, clients(target), folder)


@pytest.fixture
def site(target, clients, tmp_path):
    site = make_site(target, clients, tmp_path)
    yield site
    site.probe.stop()


# ---- people
def test_open_and_ping(site):
    assert site.probe("ping")["ok"]


def test_a_user_is_found_by_name_or_made(site):
    again = site.probe("user_ensure", uid=site.name, display_name="W. Riter")
    assert again["id"] == site.user_id == site.see.uid
    assert not any(c.startswith("POST") for c in site.probe.calls)


def test_an_address_is_changed_and_kept_and_one_that_is_refused_stays_as_it_was(site, clients, target):
    def ensure(**more):
        again = site.probe("user_ensure", uid=site.name, **{"display_name": "W. Riter", **more})
        assert again["id"] == site.user_id
        seen = clients(target).authenticate(site.name).user
        return seen.mail, seen.display_name

    made_up = ensure()[0]
    assert made_up.startswith(site.name + "@")
    assert ensure(mail="w@example.org") == ("w@example.org", "W. Riter")
    assert ensure() == ("w@example.org", "W. Riter")
    assert ensure(mail="wr@example.com", display_name="W. R.") == ("wr@example.com", "W. R.")
    assert ensure(mail="jürgen@exämple.org", display_name="J.") == ("wr@example.com", "J.")
    assert ensure(mail="", display_name="J.") == (made_up, "J.")


def test_a_user_is_disabled_and_enabled(site, clients, target):
    site.probe("user_enable", user_id=site.user_id, enabled=False)
    assert clients(target).authenticate(site.name).status.code == NOT_FOUND
    site.probe("user_enable", user_id=site.user_id, enabled=True)
    assert clients(target).authenticate(site.name).status.code == OK


def test_the_account_that_signs_in_to_graph_is_never_disabled(site, clients, target):
    admin = site.probe("user_ensure", uid=target.graph_user, display_name="Somebody else")["id"]
    site.probe("user_enable", user_id=admin, enabled=False)
    assert clients(target).authenticate(target.graph_user).status.code == OK
    assert not any(c.startswith("graph PATCH") for c in site.probe.calls)
    site.probe("open")


def test_in_mode_match_nothing_is_changed_at_graph(site, clients, target, tmp_path):
    gid = site.probe("group_ensure", gid="grp " + site.name)["id"]
    site.probe("member_set", group_id=gid, user_id=site.user_id, member=True)
    folder = tmp_path / "match"
    folder.mkdir()
    match = Probe(target, folder, people__mode="match")
    match("open")
    found = match("user_ensure", uid=site.name, display_name="Another name")["id"]
    assert found == site.user_id
    match("user_enable", user_id=found, enabled=False)
    match("member_set", group_id=gid, user_id=found, member=False)
    match("group_remove", group_id=gid)
    for refused in (match.fails("user_ensure", uid="new-" + site.name, display_name="N"),
                    match.fails("group_ensure", gid="new-" + site.name)):
        assert (refused.kind, refused.cause) == ("retry", "grantee-missing")
    match.stop()
    seen = clients(target).authenticate(site.name)
    assert seen.status.code == OK and gid in seen.user.groups
    assert seen.user.display_name == "W. Riter"


def test_groups_and_members_can_be_set_twice_and_removed_twice(site, clients, target):
    gid = site.probe("group_ensure", gid="grp " + site.name)["id"]
    assert site.probe("group_ensure", gid="grp " + site.name)["id"] == gid
    for member in (True, True, False, False):
        site.probe("member_set", group_id=gid, user_id=site.user_id, member=member)
        groups = clients(target).authenticate(site.name).user.groups
        assert (gid in groups) == member
    site.probe("group_remove", group_id=gid)
    site.probe("group_remove", group_id=gid)


def test_a_space_is_the_users_own_and_making_it_again_is_the_same(site):
    again = site.probe("space_ensure", uid=site.name)["space"]
    assert again == site.space
    assert (again["space_id"], again["root_id"]) == (site.see.uid, site.see.uid)


def test_a_space_that_was_there_before_is_the_one_when_the_target_has_forgotten_making_it(site):
    wait_until(lambda: site.see.client.create_home(site.see.token).status.code == EXISTS, 30,
               "the gateway to forget")
    assert site.probe("space_ensure", uid=site.name)["space"] == site.space


@pytest.mark.parametrize("mode", ["create", "match"])
def test_who_has_no_role_is_given_the_one_of_a_first_sign_in_and_has_a_space_then(
        target, clients, tmp_path, mode):
    name, client = "r" + uuid.uuid4().hex[:8], clients(target)
    client.make_user(name)
    roles = "/users/%s/appRoleAssignments" % client.graph("GET", "/users/" + name).json()["id"]
    given, = client.graph("GET", roles).json()["value"]
    assert client.graph("DELETE", roles + "/" + given["id"]).status_code == 204
    assert client.graph("GET", roles).json()["value"] == []
    assert client.create_home(client.authenticate(name).token).status.code == DENIED
    probe = Probe(target, tmp_path, people__mode=mode)
    probe("open")
    assert probe("space_ensure", uid=name)["space"]
    probe.stop()
    again, = client.graph("GET", roles).json()["value"]
    assert again["appRoleId"] == given["appRoleId"]


def test_a_quota_limits_the_space_until_it_is_lifted(site, clients, target):
    site.put("before", "x" * 20)
    site.call("space_quota", bytes=50)
    answer = site.see.quota()
    assert (answer.total_bytes, answer.used_bytes) == (50, 20)
    refused = site.fails("put_file", parent_id=site.root, name="much", blob=site.blob("y" * 40),
                         mtime=1600000000, mtime_ns=7)
    assert (refused.kind, refused.cause) == ("retry", "quota")
    site.call("space_quota", bytes=10)  # below what is there: all of it stays
    assert site.see.info(None, "before").size == 20
    site.fails("put_file", parent_id=site.root, name="one", blob=site.blob("z"), mtime=1600000000,
               mtime_ns=7)
    site.call("space_quota", bytes=0)  # not "no limit"
    assert site.see.quota().total_bytes == 1
    site.call("space_quota", bytes=-1)
    site.call("space_quota", bytes=-1)
    site.put("much", "y" * 40)


def test_a_quota_of_no_space_is_gone_and_in_mode_match_none_is_set(site, clients, target, tmp_path):
    space = dict(site.space, space_id="11111111-2222-4333-8444-555555555555")
    refused = site.probe.fails("space_quota", space=space, bytes=5)
    assert (refused.kind, refused.cause) == ("retry", "gone")
    (tmp_path / "match").mkdir()
    match = Probe(target, tmp_path / "match", people__mode="match")
    match("open")
    match("space_quota", space=site.space, bytes=5)
    match.stop()
    site.put("more", "x" * 20)


def test_whoever_cannot_sign_in_is_told_by_a_cause_of_its_own(site):
    space = dict(site.space, owner="nobody-" + site.name)
    refused = site.probe.fails("make_folder", space=space, parent_id=site.root, name="A")
    assert (refused.kind, refused.cause) == ("retry", "no-user")
    refused = site.probe.fails("space_ensure", uid="nobody-" + site.name)
    assert (refused.kind, refused.cause) == ("retry", "no-user")


# ---- folders
def test_a_folder_is_made_once_and_a_repeat_names_the_one_that_is_there(site):
    node = site.folder("A")
    assert site.see.info(None, "A").id.opaque_id == node
    again = site.probe.raw("make_folder", space=site.space, parent_id=site.root, name="A")
    assert again["node"]["id"] == node and len(site.see.list().infos) == 1


def test_a_folder_is_not_made_where_a_file_is(site):
    node = site.put("f", "x")["id"]
    refused = site.fails("make_folder", parent_id=site.root, name="f")
    assert (refused.kind, refused.cause, refused.node["id"]) == ("retry", "taken", node)


def test_a_doubtful_folder_is_adopted(site):
    node = site.folder("A")
    again = site.call("make_folder", parent_id=site.root, name="A", doubtful=True)
    assert again["node"]["id"] == node
    other = site.call("make_folder", parent_id=site.root, name="B", doubtful=True)
    assert site.see.info(None, "B").id.opaque_id == other["node"]["id"]


@pytest.mark.parametrize("name", ["x" * 256, "ä" * 128, ".", "..", "", "a/b"])
def test_a_name_that_cannot_be_is_poison(site, name):
    refused = site.fails("make_folder", parent_id=site.root, name=name)
    assert (refused.kind, refused.cause) == ("poison", "name-refused")


def test_a_missing_parent_is_parent_gone_whatever_the_target_says(site):
    gone = site.folder("A")
    file = site.put("f", "x")["id"]
    site.see.delete(gone)
    for parent in (UNKNOWN_ID, gone, file):
        refused = site.fails("make_folder", parent_id=parent, name="B")
        assert (refused.kind, refused.cause) == ("retry", "parent-gone")
        refused = site.fails("put_file", parent_id=parent, name="f", blob=site.blob("x"),
                             mtime=1, mtime_ns=1)
        assert (refused.kind, refused.cause) == ("retry", "parent-gone")
        node = site.put("n" + parent[:8], "x")["id"]
        refused = site.fails("move", node_id=node, parent_id=parent, name="g")
        assert (refused.kind, refused.cause) == ("retry", "parent-gone")


# ---- content
def test_a_file_has_content_time_and_checksum(site):
    node = site.put("f", "hello", mtime=1234567890, ns=123456789)
    info = site.see.info(node["id"])
    assert (info.mtime.seconds, info.mtime.nanos) == (1234567890, 123456789)
    assert node["sha1"] == info.checksum.sum == hashlib.sha1(b"hello").hexdigest()
    assert node["size"] == 5 and '"%s"' % node["etag"] == info.etag
    assert site.see.get(node["id"]).content == b"hello"


def test_an_empty_file_and_a_large_one(site):
    assert site.see.get(site.put("e", b"")["id"]).content == b""
    data = bytes(range(256)) * 20000
    assert site.see.get(site.put("l", data)["id"]).content == data


def test_a_file_without_checksums_in_its_row_is_put(site):
    node = site.call("put_file", parent_id=site.root, name="f", mtime=5, mtime_ns=5,
                     blob=site.blob("hello", sums=False))["node"]
    assert node["sha1"] == hashlib.sha1(b"hello").hexdigest()


def test_new_content_makes_a_version_and_keeps_the_id(site):
    node = site.put("f", "one")["id"]
    assert site.overwrite(node, "two")["id"] == node
    assert site.see.get(node).content == b"two"
    assert len(site.see.versions(node).versions) == 1


def test_the_same_content_again_makes_no_version(site):
    node = site.put("f", "one")["id"]
    site.overwrite(node, "one")
    assert len(site.see.versions(node).versions) == 0
    assert site.see.info(node).mtime.seconds == 1600000001
    assert "PUT" not in site.probe.calls


def test_a_new_content_with_the_old_ones_time_gets_another_etag(site):
    node = site.put("f", "one", mtime=1600000000, ns=0)
    new = site.overwrite(node["id"], "two", mtime=1600000000, ns=0)
    assert new["etag"] != node["etag"] and new["mtime"] == 1600000000
    assert site.see.get(node["id"]).content == b"two"


def test_contents_of_one_second_all_arrive_with_different_etags(site):
    node = site.put("f", "0", mtime=1600000000, ns=100)
    etags = {node["etag"]}
    for i in range(1, 5):
        new = site.overwrite(node["id"], str(i), mtime=1600000000, ns=100 + i)
        etags.add(new["etag"])
        assert site.see.get(node["id"]).content == str(i).encode()
    assert len(etags) == 5


@pytest.mark.parametrize("mtime", [-1, -62135596800])
def test_contents_of_one_second_before_1970_all_arrive_with_different_etags(site, mtime):
    """Times like -1 and the year 1 are what programs write who know none. Of three contents with
    one time the target takes no third, ever."""
    node = site.put("f", "0", mtime=mtime, ns=100)
    etags = {node["etag"]}
    for i in range(1, 5):
        new = site.overwrite(node["id"], str(i), mtime=mtime, ns=100 + i)
        etags.add(new["etag"])
        assert new["mtime"] == node["mtime"]
        assert site.see.get(node["id"]).content == str(i).encode()
    assert len(etags) == 5 and len(site.see.versions(node["id"]).versions) == 4
    site.overwrite(node["id"], "4", mtime=mtime, ns=104)
    assert "PUT" not in site.probe.calls and "SetArbitraryMetadata" not in site.probe.calls


@pytest.mark.parametrize("name, taken", [
    ("a-chunking-12-3-1", False), ("-chunking-_b-3-1", False), ("a-chunking-b-chunking-c-0-0", False),
    ("a-chunking-5-3", True), ("a-chunking-x.y-5-3", True), ("a-chunking-\u00e9-5-3", True),
    ("a-chunking-12-3-1.txt", True), ("a-chunking--3-1", True), ("a-chunking-12-3-", True)])
def test_only_what_the_target_takes_for_a_chunk_of_an_old_upload_is_refused(site, name, taken):
    if taken:
        assert site.see.get(site.put(name, "hello")["id"]).content == b"hello"
        return
    refused = site.fails("put_file", parent_id=site.root, name=name, blob=site.blob("hello"),
                         mtime=1, mtime_ns=1)
    assert (refused.kind, refused.cause) == ("poison", "name-refused")
    answer = []  # the target's own word, or none
    if grpc_code(lambda: answer.append(site.see.initiate(name, 5))) == "OK":
        assert answer[0].status.code != OK or site.see.put(answer[0], b"hello").status_code != 200


def test_a_new_file_is_never_put_over_another(site):
    node = site.put("f", "mine")["id"]
    refused = site.fails("put_file", parent_id=site.root, name="f", blob=site.blob("other"),
                         mtime=1, mtime_ns=1)
    assert (refused.kind, refused.cause, refused.node["id"]) == ("retry", "taken", node)
    assert site.see.get(node).content == b"mine"


def test_a_doubtful_file_that_arrived_is_not_sent_again(site):
    node = site.put("f", "hello")["id"]
    assert site.put("f", "hello", doubtful=True)["id"] == node
    assert "PUT" not in site.probe.calls
    assert len(site.see.versions(node).versions) == 0


def test_content_that_does_not_match_its_row_is_not_put(site):
    wrong = dict(site.blob("hello"), sha1="0" * 40)
    refused = site.fails("put_file", parent_id=site.root, name="f", blob=wrong, mtime=1,
                         mtime_ns=1)
    assert (refused.kind, refused.cause) == ("retry", "content-mismatch")
    assert site.see.stat(None, "f").status.code == NOT_FOUND
    missing = dict(site.blob("hello"), relative="files/none")
    refused = site.fails("put_file", parent_id=site.root, name="f", blob=missing, mtime=1,
                         mtime_ns=1)
    assert (refused.kind, refused.cause) == ("retry", "content-missing")


def test_content_for_a_node_that_is_gone(site):
    node = site.put("f", "x")["id"]
    site.see.delete(node)
    refused = site.fails("put_file", node_id=node, blob=site.blob("y"), mtime=1, mtime_ns=1)
    assert (refused.kind, refused.cause) == ("retry", "gone")


def test_set_mtime_is_exact(site):
    node = site.put("f", "x")["id"]
    site.call("set_mtime", node_id=node, mtime=1500000000, mtime_ns=42)
    info = site.see.info(node)
    assert (info.mtime.seconds, info.mtime.nanos) == (1500000000, 42)
    refused = site.fails("set_mtime", node_id=UNKNOWN_ID, mtime=1, mtime_ns=1)
    assert (refused.kind, refused.cause) == ("retry", "gone")


# ---- moves
def test_a_move_and_its_repeat(site):
    folder, node = site.folder("A"), site.put("f", "x")["id"]
    for doubtful in (False, True):
        site.call("move", node_id=node, parent_id=folder, name="g", doubtful=doubtful)
    assert site.see.info(node).path == "/A/g"


def test_a_move_onto_another_is_taken(site):
    one, two = site.put("f", "1")["id"], site.put("g", "2")["id"]
    refused = site.fails("move", node_id=one, parent_id=site.root, name="g")
    assert (refused.kind, refused.cause) == ("retry", "taken")
    assert site.see.get(two).content == b"2"


def test_a_move_of_what_is_gone(site):
    refused = site.fails("move", node_id=UNKNOWN_ID, parent_id=site.root, name="g")
    assert (refused.kind, refused.cause) == ("retry", "gone")


def test_a_folder_is_not_moved_below_itself(site):
    outer, beside = site.folder("A"), site.folder("AB")
    inner = site.folder("C", site.folder("B", outer))
    for parent in (inner, outer):
        refused = site.fails("move", node_id=outer, parent_id=parent, name="x")
        assert (refused.kind, refused.cause) == ("poison", "refused")
        assert "Move" not in site.probe.calls
    site.call("move", node_id=outer, parent_id=beside, name="x")
    assert site.see.info(inner).path == "/AB/x/B/C"


def test_an_id_that_is_missing_is_not_taken_for_the_root(site):
    node = site.put("f", "x")["id"]
    site.put("g", "y")
    for name, arguments in (
            ("make_folder", {"parent_id": "", "name": "A"}),
            ("put_file", {"parent_id": "", "name": "h", "blob": site.blob("z"), "mtime": 1,
                          "mtime_ns": 1}),
            ("move", {"node_id": node, "parent_id": "", "name": "h"}),
            ("restore", {"top_id": node, "parent_id": "", "name": "h"}),
            ("restore", {"top_id": "", "parent_id": site.root, "name": "h"}),
            ("restore", {"top_id": "", "relative": "a", "parent_id": site.root, "name": "h"})):
        refused = site.fails(name, **arguments)
        assert (refused.kind, refused.cause) == ("poison", "refused")
    assert {i.name for i in site.see.list().infos} == {"f", "g"}


def test_the_root_is_neither_moved_nor_deleted(site):
    folder = site.folder("A")
    assert site.fails("trash", node_id=site.root).kind == "poison"
    refused = site.fails("move", node_id=site.root, parent_id=folder, name="x")
    assert refused.kind == "poison"
    assert site.see.stat().status.code == OK


# ---- trash
def test_trash_restore_and_purge(site):
    folder, node = site.folder("A"), site.put("f", "one", mtime=1500000000, ns=3)["id"]
    site.call("trash", node_id=node)
    site.call("trash", node_id=node, doubtful=True)
    assert [i.key for i in site.see.trash().recycle_items] == [node]
    for doubtful in (False, True):
        got = site.call("restore", top_id=node, parent_id=folder, name="g", doubtful=doubtful)
        assert got["node"]["id"] == node
    info = site.see.info(node)
    assert (info.path, info.mtime.seconds, info.mtime.nanos) == ("/A/g", 1500000000, 3)
    site.call("trash", node_id=node)
    for _ in range(2):
        site.call("purge", top_id=node)
    assert len(site.see.trash().recycle_items) == 0


def test_what_is_gone_is_not_trashed_nor_restored(site):
    refused = site.fails("trash", node_id=UNKNOWN_ID)
    assert (refused.kind, refused.cause) == ("retry", "gone")
    refused = site.fails("restore", top_id=UNKNOWN_ID, parent_id=site.root, name="x")
    assert (refused.kind, refused.cause) == ("retry", "gone")


def test_restore_onto_a_taken_name_and_below_a_missing_parent(site):
    node = site.put("f", "x")["id"]
    site.call("trash", node_id=node)
    site.put("f", "y")
    refused = site.fails("restore", top_id=node, parent_id=site.root, name="f")
    assert (refused.kind, refused.cause) == ("retry", "taken")
    refused = site.fails("restore", top_id=node, parent_id=UNKNOWN_ID, name="f")
    assert (refused.kind, refused.cause) == ("retry", "parent-gone")
    assert [i.key for i in site.see.trash().recycle_items] == [node]


def test_one_thing_out_of_a_trashed_folder_is_restored_or_purged(site):
    folder = site.folder("A")
    inner = site.folder("B", folder)
    one, _ = site.put("1", "one", inner)["id"], site.put("2", "two", inner)
    site.call("trash", node_id=folder)
    got = site.call("restore", top_id=folder, relative="B/1", parent_id=site.root, name="1")
    assert got["node"]["id"] == one
    for _ in range(2):
        site.call("purge", top_id=folder, relative="B/2")
    assert len(site.see.trash(folder + "/B").recycle_items) == 0


# ---- shares
def share(pair, node, permissions, **more):
    arguments = {"folder": True, "group": False, "grantee_id": pair.uid,
                 "sharer": pair.site.name, "expires": 0, **more}
    return pair.site.call("share_set", node_id=node, permissions=bits(permissions), **arguments)


def test_a_share_is_made_changed_and_removed(pair):
    node = pair.site.folder("A")
    sid = share(pair, node, VIEWER)["id"]
    assert [s.share.id.opaque_id for s in pair.see.received()] == [sid]
    assert share(pair, node, EDITOR, share_id=sid, expires=4000000000)["id"] == sid
    got = pair.see.received()[0].share
    assert got.permissions.permissions.delete and got.expiration.seconds == 4000000000
    for _ in range(2):
        pair.site.call("share_remove", sharer=pair.site.name, share_id=sid)
    assert len(pair.see.received()) == 0 and len(pair.site.see.grants(node)) == 0


def test_the_share_of_a_trashed_or_purged_node_is_removed_all_the_same(pair):
    for purged in (False, True):
        node = pair.site.folder("A%d" % purged)
        sid = share(pair, node, VIEWER)["id"]
        pair.site.call("trash", node_id=node)
        if purged:
            pair.site.call("purge", top_id=node)
        pair.site.call("share_remove", sharer=pair.site.name, share_id=sid)
        assert len(pair.see.received()) == 0


def test_the_grant_of_a_share_that_ended_in_the_trash_can_go_after_the_restore(pair):
    for others in (False, True):
        node = pair.site.folder("A%d" % others)
        who = {"node_id": node, "group": False, "grantee_id": pair.uid, "sharer": pair.site.name}
        sid = share(pair, node, EDITOR)["id"]
        pair.site.call("trash", node_id=node)
        pair.site.call("share_remove", sharer=pair.site.name, share_id=sid)
        pair.site.call("restore", top_id=node, parent_id=pair.site.root, name="B%d" % others)
        assert len(pair.site.see.grants(node)) == 1
        if others:  # somebody shares it again, in oCIS itself
            share(pair, node, EDITOR)
        pair.site.call("share_clear", share_id="", **who)
        assert len(pair.site.see.grants(node)) == len(pair.see.received()) == others


def test_a_doubtful_share_is_found_again(pair):
    node = pair.site.folder("A")
    sid = share(pair, node, VIEWER)["id"]
    assert share(pair, node, EDITOR, doubtful=True)["id"] == sid
    assert len(pair.site.see.my_shares()) == 1
    assert pair.site.see.get_share(sid).share.permissions.permissions.delete


def test_a_left_over_grant_does_not_keep_a_share_from_being_made(pair):
    node = pair.site.folder("A")
    pair.site.see.add_grant(node, pair.see, VIEWER)
    sid = share(pair, node, EDITOR)["id"]
    assert [s.share.id.opaque_id for s in pair.see.received()] == [sid]
    assert [g.permissions.delete for g in pair.site.see.grants(node)] == [True]


@pytest.mark.parametrize("doubtful", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_a_share_that_was_made_without_its_grant_gets_it(pair, known, doubtful):
    """As a CreateShare leaves it whose deadline passes before its last step."""
    node = pair.site.folder("A")
    half = pair.site.see.share(node, pair.see, VIEWER, at="sharing").share.id.opaque_id
    sid = share(pair, node, EDITOR, share_id=half if known else "", doubtful=doubtful)["id"]
    assert sid == half and [s.id.opaque_id for s in pair.site.see.my_shares()] == [sid]
    assert pair.site.see.get_share(sid).share.permissions.permissions.delete
    assert [g.permissions.delete for g in pair.site.see.grants(node)] == [True]
    pair.site.probe("received_set", recipient=pair.name, share_id=sid, state="accepted",
                    mount_point="A")
    assert [r.state for r in pair.see.received()] == [2]


def test_the_grant_of_a_share_that_was_removed_without_it_is_taken_away(pair):
    """As a RemoveShare leaves it whose deadline passes before its last step."""
    node = pair.site.folder("A")
    sid = share(pair, node, VIEWER)["id"]
    who = {"node_id": node, "group": False, "grantee_id": pair.uid, "sharer": pair.site.name}
    pair.site.see.remove_share(sid, at="sharing")
    for _ in range(2):
        pair.site.call("share_remove", sharer=pair.site.name, share_id=sid, doubtful=True)
        pair.site.call("share_clear", share_id=sid, **who)
        assert len(pair.site.see.grants(node)) == 0
    assert pair.see.stat(node, space=pair.site.space["space_id"]).status.code == NOT_FOUND


def test_the_grant_of_another_share_stays_when_one_is_removed(pair):
    node = pair.site.folder("A")
    sid = share(pair, node, VIEWER)["id"]
    who = {"node_id": node, "group": False, "grantee_id": pair.uid, "sharer": pair.site.name}
    pair.site.call("share_clear", share_id="an-older-one", **who)
    assert len(pair.site.see.grants(node)) == 1
    refused = pair.site.fails("share_clear", share_id=sid, **who)
    assert (refused.kind, refused.cause) == ("retry", "timeout")
    pair.site.call("trash", node_id=node)
    pair.site.call("share_clear", share_id=sid, **who)


def test_what_may_be_open_no_more_loses_its_grant_though_the_share_is_gone(pair):
    node = pair.site.folder("A")
    sid = share(pair, node, VIEWER)["id"]
    pair.site.see.remove_share(sid, at="sharing")
    refused = pair.site.fails("share_set", node_id=node, permissions=bits(VIEWER), folder=True,
                              group=False, grantee_id=pair.uid, sharer=pair.site.name,
                              expires=1, share_id=sid)
    assert (refused.kind, refused.cause) == ("poison", "expired")
    assert len(pair.site.see.grants(node)) == 0


def test_a_file_is_shared_with_what_a_file_can_have(pair):
    node = pair.site.put("f", "x")["id"]
    share(pair, node, FILE_EDITOR, folder=False)
    assert pair.see.received()[0].share.permissions.permissions.initiate_file_upload


def test_a_group_share_reaches_the_members(pair):
    gid = pair.site.probe("group_ensure", gid="g" + pair.name)["id"]
    pair.site.probe("member_set", group_id=gid, user_id=pair.uid, member=True)
    node = pair.site.folder("A")
    share(pair, node, VIEWER, group=True, grantee_id=gid)
    pair.see.become(pair.site.client.authenticate(pair.name).token)
    assert len(pair.see.received()) == 1


def test_a_received_share_gets_state_and_mount_point(pair):
    node = pair.site.folder("A")
    sid = share(pair, node, VIEWER)["id"]
    for state, number, mount in (("accepted", 2, "Mine"), ("rejected", 3, "Mine"),
                                 ("accepted", 2, "Other/Place")):
        pair.site.probe("received_set", recipient=pair.name, share_id=sid, state=state,
                        mount_point=mount)
        got = pair.see.received()[0]
        assert got.state == number
        if state == "accepted":
            assert got.mount_point.path.strip("/").split("/")[-1] == mount.split("/")[-1]


def test_an_end_after_the_year_2262_is_one_that_the_target_can_keep(pair):
    """ownCloud's latest day is in the year 9999: Graph's lists broke on it, and its grant had ended long ago."""
    node = pair.site.folder("A")
    sid = share(pair, node, VIEWER, expires=253402318799)["id"]
    assert pair.see.received()[0].share.expiration.seconds == 9223372036
    assert pair.see.stat(node, space=pair.site.space["space_id"]).status.code == OK
    share(pair, node, VIEWER, expires=253402318799, share_id=sid, doubtful=True)
    assert "UpdateShare" not in pair.site.probe.calls


def test_no_two_received_shares_have_one_name(pair):
    """But those of one node: in two folders of ownCloud they had one, here a path would lead to either."""
    gid = pair.site.probe("group_ensure", gid="g" + pair.name)["id"]
    pair.site.probe("member_set", group_id=gid, user_id=pair.uid, member=True)
    nodes = [pair.site.folder(name) for name in "ABC"]
    sids = [share(pair, node, VIEWER)["id"] for node in nodes]
    wanted = [{"recipient": pair.name, "share_id": sid, "state": "accepted",
               "mount_point": "/%d/a.txt" % i} for i, sid in enumerate(sids)]
    calls = [{"call": "received_set", **want} for want in wanted]
    assert all(r["ok"] for r in pair.site.probe("concurrent", calls=calls)["results"])

    def names():
        return {r.share.id.opaque_id: r.mount_point.path.removeprefix("./")
                for r in pair.see.received()}
    first = names()
    assert sorted(first.values()) == ["a (1).txt", "a (2).txt", "a.txt"]
    for doubtful in (False, True):
        for want in wanted:
            pair.site.probe("received_set", doubtful=doubtful, **want)
            assert "UpdateReceivedShare" not in pair.site.probe.calls
    group = share(pair, nodes[0], VIEWER, group=True, grantee_id=gid)["id"]
    pair.site.probe("received_set", recipient=pair.name, share_id=group, state="accepted",
                    mount_point="/x/" + first[sids[0]])
    pair.see.become(pair.site.client.authenticate(pair.name).token)
    assert names() == {**first, group: first[sids[0]]}


def test_a_resharer_without_the_right_still_gets_the_share_made(pair):
    node = pair.site.folder("A")
    share(pair, node, VIEWER)
    third = pair.site.probe("user_ensure", uid="t" + pair.name, display_name="T")["id"]
    sid = share(pair, node, VIEWER, sharer=pair.name, grantee_id=third)["id"]
    assert sid and len(pair.site.see.grants(node)) == 2


# ---- links
def link(site, node, permissions, **more):
    arguments = {"folder": True, "sharer": site.name, "expires": 0, "has_password": False,
                 "label": "", **more}
    return site.call("link_set", node_id=node, permissions=bits(permissions), **arguments)


def test_a_link_is_made_changed_and_removed(site):
    node = site.folder("A")
    lid = link(site, node, VIEWER, label="first")["id"]
    assert [(x.id.opaque_id, x.display_name) for x in site.see.my_links()] == [(lid, "first")]
    assert link(site, node, EDITOR, link_id=lid, expires=4000000000, label="second")["id"] == lid
    got = site.see.my_links()[0]
    assert got.permissions.permissions.delete and got.expiration.seconds == 4000000000
    assert got.display_name == "second"
    assert link(site, node, EDITOR, link_id=lid, label="second")["id"] == lid
    assert not site.see.my_links()[0].HasField("expiration")
    for _ in range(2):
        site.call("link_remove", sharer=site.name, link_id=lid)
    assert len(site.see.my_links()) == 0


def test_a_doubtful_link_never_takes_up_a_finished_one(site):
    """However alike: it may be that of another row."""
    node = site.folder("A")
    one = link(site, node, VIEWER, label="one")["id"]
    two = link(site, node, VIEWER, label="one", doubtful=True)["id"]
    assert {x.id.opaque_id for x in site.see.my_links()} == {one, two} and one != two
    site.call("link_remove", sharer=site.name, link_id=two)
    assert [x.id.opaque_id for x in site.see.my_links()] == [one]


@pytest.mark.parametrize("has_password", [False, True])
def test_an_unfinished_link_is_finished_by_the_doubtful_try_it_suits(site, has_password):
    node, label = site.folder("A"), "lockstep: unfinished"
    left = link(site, node, VIEWER, label=label, has_password=has_password)["id"]
    other = link(site, node, EDITOR, label="x", has_password=not has_password, doubtful=True)["id"]
    assert other != left
    assert link(site, node, EDITOR, has_password=has_password, doubtful=True)["id"] == left
    got = {x.id.opaque_id: x for x in site.see.my_links()}
    assert set(got) == {left, other}
    assert got[left].display_name == got[left].token
    assert got[left].permissions.permissions.delete


def test_a_link_without_a_label_is_called_by_its_token(site):
    link(site, site.folder("A"), VIEWER)
    got = site.see.my_links()[0]
    assert got.display_name == got.token


def test_a_link_whose_password_cannot_be_kept_opens_to_nobody(site):
    node = site.folder("A")
    link(site, node, VIEWER, has_password=True)
    got = site.see.my_links()[0]
    assert got.password_protected
    assert site.see.link_by_token(got.token).status.code != OK


# ---- both
@pytest.mark.parametrize("how, cause", [
    ({"permissions": {}}, "refused"), ({"permissions": {"add_grant": True}}, "refused"),
    ({"expires": 1500000000}, "expired")])
def test_what_may_not_be_open_any_more_is_removed_before_it_is_refused(pair, how, cause):
    site, node = pair.site, pair.site.folder("A")
    want = {"node_id": node, "folder": True, "sharer": site.name, "expires": 0, "group": False,
            "grantee_id": pair.uid, "has_password": False, "label": "x",
            "permissions": VIEWER, **how}
    want["permissions"] = bits(want["permissions"])
    sid, lid = share(pair, node, EDITOR)["id"], link(site, node, EDITOR, label="x")["id"]
    for call, known in (("share_set", {"share_id": sid}), ("link_set", {"link_id": lid})):
        refused = site.fails(call, **want, **known)
        assert (refused.kind, refused.cause) == ("poison", cause)
        refused = site.fails(call, **want)
        assert (refused.kind, refused.cause) == ("poison", cause)
    assert len(pair.see.received()) == len(site.see.my_links()) == len(site.see.grants(node)) == 0


# ---- at once
def test_many_calls_at_once_all_arrive(site):
    calls = [{"call": "make_folder", "space": site.space, "parent_id": site.root,
              "name": "d%d" % i} for i in range(16)]
    calls += [{"call": "put_file", "space": site.space, "parent_id": site.root,
               "name": "f%d" % i, "blob": site.blob("content %d" % i, "b%d" % i),
               "mtime": 1600000000 + i, "mtime_ns": 1} for i in range(16)]
    results = site.probe("concurrent", calls=calls)["results"]
    assert [r["ok"] for r in results] == [True] * 32
    names = {i.name for i in site.see.list().infos}
    assert names == {"d%d" % i for i in range(16)} | {"f%d" % i for i in range(16)}
