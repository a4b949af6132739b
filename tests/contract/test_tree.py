"""Nodes, names, times, etags, moves, metadata."""
import hashlib
import struct
import time

import pytest
from client import DENIED, EXISTS, INTERNAL, INVALID, NOT_FOUND, OK, PRECONDITION, \
    UNKNOWN_ID, VIEWER, EDITOR, LOCKED
import cs3.storage.provider.v1beta1.provider_api_pb2 as api


def etag(node, seconds, nanos):
    stamp = struct.pack(">BQIh", 1, seconds + 62135596800, nanos, -1)
    return '"%s"' % hashlib.md5(node.encode() + stamp).hexdigest()


def test_ids_are_made_by_the_server_and_an_etag_is_the_md5_of_id_and_time(home):
    node = home.file("a", mtime="1600000000.000000007")
    info = home.info(node)
    assert len(node) == 36 and (info.mtime.seconds, info.mtime.nanos) == (1600000000, 7)
    assert info.etag == etag(node, 1600000000, 7)


def test_a_fraction_is_read_as_a_whole_number_of_nanoseconds(home):
    info = home.info(home.file("a", mtime="1600000000.5"))
    assert (info.mtime.seconds, info.mtime.nanos) == (1600000000, 5)


@pytest.mark.parametrize("text, seconds, nanos", [
    ("abc", 0, 0), ("1e9", 0, 0), (" 5", 0, 0), ("0", 0, 0), ("1.2000000000", 3, 0),
    ("-1", 18446744073709551615, 0)])
def test_an_odd_time_is_no_error(home, text, seconds, nanos):
    info = home.info(home.file("a", mtime=text))
    assert (info.mtime.seconds, info.mtime.nanos) == (seconds, nanos)


def test_a_change_propagates_to_the_root_with_the_time_of_now(home):
    folder = home.folder("A")
    below = home.folder("B", folder)
    before = {n: home.info(n) for n in (None, folder, below)}
    time.sleep(0.01)
    home.file("f", b"12345", parent=below, mtime="1500000000")
    for node, old in before.items():
        new = home.info(node)
        assert new.etag != old.etag and new.size == old.size + 5
        assert abs(new.mtime.seconds - time.time()) < 30


def test_a_folders_time_can_be_set_only_until_it_has_a_child(home):
    folder = home.folder("A")
    assert home.set_metadata(folder, mtime="1500000000").status.code == OK
    assert home.info(folder).mtime.seconds == 1500000000
    home.folder("B", folder)
    assert home.set_metadata(folder, mtime="1500000000").status.code == OK
    assert home.info(folder).mtime.seconds != 1500000000


def test_setting_metadata_changes_the_times_of_all_parents(home):
    folder = home.folder("A")
    node = home.file("f", parent=folder)
    old = home.info(folder).etag
    time.sleep(0.01)
    assert home.set_metadata(node, mtime="1500000000.000000009").status.code == OK
    assert home.info(node).etag == etag(node, 1500000000, 9)
    assert home.info(folder).etag != old
    assert home.set_metadata(node, mtime="abc").status.code == INTERNAL


def test_an_etag_set_on_a_file_stays_whatever_is_uploaded_later(home):
    node = home.file("f", mtime="1600000000")
    assert home.set_metadata(node, etag="abc").status.code == OK
    assert home.info(node).etag == '"%s"' % b'"abc"'.hex()
    home.upload("f", b"other", mtime="1600000001")
    assert home.info(node).etag == '"%s"' % b'"abc"'.hex()


def test_a_folder_is_made_once(home):
    assert home.mkdir("A").status.code == OK
    assert home.mkdir("A").status.code == EXISTS


def test_a_missing_parent_is_a_failed_precondition(home):
    assert home.mkdir("no/B").status.code == PRECONDITION
    assert home.mkdir("B", UNKNOWN_ID).status.code == PRECONDITION
    node = home.file("f")
    assert home.mkdir("B", node).status.code == INTERNAL


def test_names_are_kept_byte_for_byte_up_to_255_bytes(home):
    names = ["x" * 255, "ä" * 127, "a\\b", "a:b*?\"<>|", " lead", "trail ", "trail.", "...",
             "a\nb", "a\x01b", "é", "e\u0301", "x.REV.y", "n.mpk"]
    for name in names:
        assert home.mkdir(name).status.code == OK
    assert {i.name for i in home.list().infos} == set(names)


def test_a_name_of_256_bytes_is_an_internal_error(home):
    node = home.file("f")
    for name in ("x" * 256, "ä" * 128):
        assert home.mkdir(name).status.code == INTERNAL
        assert home.stat(None, name).status.code == INTERNAL
        assert home.initiate(name, 1).status.code == INTERNAL
        assert home.move(node, None, name).status.code == INTERNAL


def test_dots_are_refused_as_names(home):
    assert home.mkdir(".").status.code == INVALID
    assert home.mkdir("").status.code == INVALID
    assert home.mkdir("..").status.code == INTERNAL


def test_what_is_unknown_is_not_found(home):
    assert home.stat(UNKNOWN_ID).status.code == NOT_FOUND
    assert home.stat(None, "zz").status.code == NOT_FOUND
    assert home.stat(None, "zz/y").status.code == NOT_FOUND
    assert home.delete(UNKNOWN_ID).status.code == NOT_FOUND
    assert home.list(UNKNOWN_ID).status.code == NOT_FOUND
    assert home.set_metadata(UNKNOWN_ID, mtime="1").status.code == NOT_FOUND


def test_a_path_is_from_the_root_by_id_and_a_name_by_parent(home):
    folder = home.folder("A")
    node = home.file("f", parent=folder)
    assert home.info(node).path == "/A/f"
    assert home.info(folder, "f").path == "f"
    assert home.info(folder, "f").parent_id.opaque_id == folder


def test_a_move_keeps_id_etag_and_time_and_touches_both_parents(home):
    one, two = home.folder("A"), home.folder("B")
    node = home.file("f", b"123", parent=one, mtime="1600000000.000000003")
    old = home.info(node)
    assert home.move(node, two, "g").status.code == OK
    new = home.info(node)
    assert (new.id, new.etag, new.mtime, new.path) == (old.id, old.etag, old.mtime, "/B/g")
    assert (home.info(one).size, home.info(two).size) == (0, 3)


def test_addressing_by_parent_id_survives_a_move_of_the_parent(home):
    folder = home.folder("A")
    answer = home.initiate("f", 3, parent=folder)
    assert home.move(folder, None, "Z").status.code == OK
    assert home.put(answer, b"abc").status_code == 200
    assert home.info(folder, "f").size == 3


def test_a_move_never_replaces(home):
    one, two = home.file("f"), home.file("g")
    folder = home.folder("A")
    assert home.move(one, None, "g").status.code == EXISTS
    assert home.move(one, None, "f").status.code == EXISTS
    assert home.move(folder, None, "g").status.code == EXISTS
    assert home.info(two).name == "g"


def test_a_move_of_or_to_something_missing_is_not_found(home):
    node, other = home.file("f"), home.file("g")
    assert home.move(UNKNOWN_ID, None, "q").status.code == NOT_FOUND
    assert home.move(node, UNKNOWN_ID, "q").status.code == NOT_FOUND
    assert home.move(node, None, "no/q").status.code == NOT_FOUND
    assert home.move(node, other, "q").status.code == INTERNAL


def test_there_is_no_move_into_another_space(people):
    one, two = people(), people()
    node = one.file("f")
    request = api.MoveRequest(source=one.ref(node), destination=one.ref(None, "q", two.uid))
    assert one.call("Move", request).status.code == NOT_FOUND


def test_touching_a_file_makes_it_once(home):
    def touch():
        return home.call("TouchFile", api.TouchFileRequest(ref=home.ref(None, "t"))).status.code
    assert touch() == OK
    assert touch() == EXISTS
    assert home.info(None, "t").size == 0


def test_who_cannot_see_a_node_is_told_it_is_not_there(people):
    owner, other = people(), people()
    folder = owner.folder("A")
    assert other.stat(folder, space=owner.uid).status.code == NOT_FOUND
    assert other.mkdir("x", folder, owner.uid).status.code == NOT_FOUND
    assert other.delete(folder, owner.uid).status.code == NOT_FOUND
    assert other.initiate("x", 1, parent=folder, space=owner.uid).status.code == DENIED


def test_a_grantee_acts_within_his_permissions(people):
    owner, viewer, editor = people(), people(), people()
    folder = owner.folder("A")
    assert owner.add_grant(folder, viewer, VIEWER).status.code == OK
    assert owner.add_grant(folder, editor, EDITOR).status.code == OK
    assert viewer.stat(folder, space=owner.uid).status.code == OK
    assert viewer.mkdir("x", folder, owner.uid).status.code == DENIED
    assert editor.mkdir("x", folder, owner.uid).status.code == OK
    assert viewer.delete(owner.info(folder, "x").id.opaque_id, owner.uid).status.code == DENIED


def test_who_may_only_look_sees_everything_and_is_given_no_content(people):
    """The permissions of oCIS's secure viewer, which a share without downloads gets."""
    owner, viewer, looker = people(), people(), people()
    folder = owner.folder("A")
    node = owner.file("f", b"secret", parent=folder)
    assert owner.add_grant(folder, viewer, VIEWER).status.code == OK
    assert owner.add_grant(folder, looker, dict.fromkeys(("stat", "get_path", "list_container"), True)).status.code == OK
    for who in (viewer, looker):
        assert who.info(node, space=owner.uid).size == 6
        listed = who.call("ListContainer", api.ListContainerRequest(ref=owner.ref(folder)))
        assert [i.name for i in listed.infos] == ["f"]
    url = "http://%s/data/spaces/%s$%s!%s" % (owner.client.target.data, owner.client.target.storage_id, owner.uid, node)
    answers = [who.client.http.get(url, headers={"x-access-token": who.token}) for who in (viewer, looker)]
    assert (answers[0].status_code, answers[0].content) == (200, b"secret")
    assert answers[1].status_code in (403, 404) and b"secret" not in answers[1].content
    asked = looker.call("InitiateFileDownload", api.InitiateFileDownloadRequest(ref=owner.ref(node)))
    assert not any(p.download_endpoint and looker.client.http.get(
        p.download_endpoint, headers={"x-access-token": looker.token}).status_code == 200 for p in asked.protocols)


def test_a_locked_file_refuses_changes(home):
    node = home.file("f")
    lock = api.SetLockRequest(ref=home.ref(node))
    lock.lock.lock_id, lock.lock.type, lock.lock.app_name = "l1", 2, "test"
    assert home.call("SetLock", lock).status.code == OK
    assert home.call("SetLock", lock).status.code == PRECONDITION
    assert home.initiate("f", 3).status.code == LOCKED
    assert home.move(node, None, "g").status.code == LOCKED
    assert home.delete(node).status.code == LOCKED
    assert home.set_metadata(node, mtime="5").status.code == LOCKED
    unlock = api.UnlockRequest(ref=home.ref(node), lock=lock.lock)
    assert home.call("Unlock", unlock).status.code == OK
    assert home.delete(node).status.code == OK


def test_deleting_the_root_of_a_space_breaks_it(home):
    assert home.delete(None).status.code == INTERNAL
    assert home.stat().status.code == INTERNAL
    assert home.initiate("f", 1).status.code == INTERNAL
