"""Deleted things."""
from client import EXISTS, INTERNAL, NOT_FOUND, OK, PRECONDITION, UNKNOWN_ID


def test_a_deleted_thing_keeps_its_id_as_key_and_its_place_as_path(home):
    folder = home.folder("A")
    node = home.file("f", b"123", parent=folder)
    assert home.delete(node).status.code == OK
    items = home.trash().recycle_items
    assert [(i.key, i.ref.path) for i in items] == [(node, "/A/f")]
    assert items[0].deletion_time.seconds > 1700000000
    assert home.stat(node).status.code == NOT_FOUND
    assert home.delete(node).status.code == NOT_FOUND


def test_sizes_at_the_top_of_the_trash_say_nothing(home):
    folder = home.folder("A")
    home.file("in", b"123", parent=folder)
    node = home.file("f", b"12345")
    home.delete(folder)
    home.delete(node)
    assert {i.key: i.size for i in home.trash().recycle_items} == {folder: 4096, node: 0}
    assert home.trash(node).recycle_items[0].size == 5
    assert home.trash(folder).recycle_items[0].size == 3


def test_what_is_below_a_deleted_folder_cannot_be_reached(home):
    folder = home.folder("A")
    node = home.file("in", parent=folder)
    home.delete(folder)
    assert home.stat(node).status.code == NOT_FOUND
    assert home.delete(node).status.code == NOT_FOUND
    assert home.move(node, None, "out").status.code == NOT_FOUND
    assert home.mkdir("x", folder).status.code == PRECONDITION
    assert home.initiate("x", 3, parent=folder).status.code == INTERNAL
    assert home.initiate(None, 3, node=node).status.code == INTERNAL


def test_the_content_of_a_deleted_folder_is_listed_by_its_key_and_a_slash(home):
    folder = home.folder("A")
    home.file("in", b"abc", parent=folder)
    home.delete(folder)
    items = home.trash(folder + "/").recycle_items
    assert [(i.key, i.ref.path, i.size) for i in items] == [(folder + "/in", "/A/in", 3)]
    assert home.trash(folder + "/in").status.code == INTERNAL
    assert home.trash(folder + "/nope").status.code == INTERNAL
    assert home.trash(UNKNOWN_ID).status.code == INTERNAL


def test_only_the_owner_sees_his_trash(people):
    owner, other = people(), people()
    owner.delete(owner.file("f"))
    import cs3.storage.provider.v1beta1.provider_api_pb2 as api
    request = api.ListRecycleRequest(ref=owner.ref())
    assert other.call("ListRecycle", request).status.code == NOT_FOUND


def test_restored_to_its_place_all_is_as_before(home):
    node = home.file("f", b"one", mtime="1600000000")
    home.upload("f", b"two", mtime="1600000001")
    old = home.info(node)
    home.delete(node)
    assert home.restore(node).status.code == OK
    new = home.info(node)
    assert (new.etag, new.mtime, new.size, new.path) == (old.etag, old.mtime, 3, "/f")
    assert len(home.versions(node).versions) == 1
    assert len(home.trash().recycle_items) == 0


def test_a_thing_is_restored_under_another_name_where_one_likes(home):
    folder, node = home.folder("A"), home.file("f")
    home.delete(node)
    assert home.restore(node, folder, "g").status.code == OK
    assert home.info(node).path == "/A/g"


def test_restoring_onto_a_name_that_is_taken_is_refused(home):
    node = home.file("f")
    home.delete(node)
    home.file("f")
    assert home.restore(node).status.code == EXISTS
    assert home.restore(node, None, "f").status.code == EXISTS


def test_restoring_what_is_not_in_the_trash_is_an_internal_error(home):
    node = home.file("f")
    assert home.restore(UNKNOWN_ID).status.code == INTERNAL
    home.delete(node)
    assert home.restore(node).status.code == OK
    assert home.restore(node).status.code == INTERNAL


def test_restoring_to_where_nothing_is(home):
    outer = home.folder("A")
    inner = home.folder("B", outer)
    home.delete(inner)
    home.delete(outer)
    assert home.restore(inner).status.code == NOT_FOUND
    assert home.restore(inner, outer, "B").status.code == INTERNAL
    assert home.restore(inner, UNKNOWN_ID, "B").status.code == INTERNAL
    assert home.restore(inner, None, "no/B").status.code == NOT_FOUND
    assert home.restore(inner, None, "B").status.code == OK


def test_one_thing_out_of_a_deleted_folder_is_restored(home):
    folder = home.folder("A")
    node = home.file("in", b"abc", parent=folder, mtime="1600000000")
    home.delete(folder)
    assert home.restore(folder + "/in", None, "out").status.code == OK
    assert home.info(node).path == "/out" and home.info(node).mtime.seconds == 1600000000
    assert home.restore(folder).status.code == OK
    assert home.info(folder).size == 3  # not lowered: the real server's slip


def test_purging_twice_is_not_found(home):
    folder = home.folder("A")
    home.file("c1", parent=folder)
    home.file("c2", parent=folder)
    home.delete(folder)
    assert home.purge(UNKNOWN_ID).status.code == NOT_FOUND
    assert home.purge(folder + "/c1").status.code == OK
    assert home.purge(folder + "/c1").status.code == NOT_FOUND
    assert [i.key for i in home.trash(folder + "/").recycle_items] == [folder + "/c2"]
    assert home.purge(folder).status.code == OK
    assert home.purge(folder).status.code == NOT_FOUND


def test_an_empty_key_purges_everything(home):
    home.delete(home.file("f"))
    home.delete(home.file("g"))
    assert home.purge("").status.code == OK
    assert len(home.trash().recycle_items) == 0
