"""
What happens at an ownCloud less often than its daily work, through the whole chain: stories of people
and administrators, all at one site at once. Each stops where both sides shall be equal; when all have
stopped, that is looked at, and they go on.
"""

import pytest
from bed.world import World
from workload import consistency
from workload.shares import ACCEPTED, GROUP, MEMBER, REJECTED
from workload.unusual import Unusual

PEOPLE = ("ann", "ben", "cleo", "dora", "emil", "fred")
GROUPS = {"staff": ("ben", "cleo"), "choir": ("cleo",), "crew": ("fred", "ann")}
EXACT = {"apply.shares": "exact", "capture.link_secrets": "true"}
NAMES = ("n" * 250, "ü" * 120, "🎉" * 60, "ends with dots...", "ends with a blank ", " begins",
         "100% & + # ? = ;", "it's \"quoted\"", "two\nlines", "tab\there", "back\\slash", "con.txt",
         "x.v1600000000", "y.d1600000000", "z.part2", "~$lock", "%2e%2e", "0", "name.tar.gz.d5")
STORIES = []


def story(play):
    STORIES.append(play)
    return play


def folder(site, uid, name, files=("a.txt", "b.txt"), deep=True):
    """A folder with files, and `deep` in it with a file that has two versions."""
    top = site.mkdir(site.files(uid), name)
    for file in files:
        site.upload(top, file, f"{name} {file}".encode(), 1600000000)
    if deep:
        file = site.upload(site.mkdir(top, "deep"), "versions.txt", b"one", 1600000001)
        site.overwrite(file, b"the second", 1600000002)
        site.overwrite(file, b"three of them", 1600000003)
    return top


def item(site, uid, node):
    """What lies in his trash as this node."""
    found, = (i for i in site.trashed(uid) if i[0] is node)
    return found


@story
def what_a_recipient_deletes_lies_in_both_trashes_and_comes_back_from_each(world, site, unusual, shares):
    top = folder(site, "ann", "Shared")
    shares.to_user(top, "ben")
    yield
    a, b, deep = (top.children[n] for n in ("a.txt", "b.txt", "deep"))
    his_a, his_b, his_deep = (unusual.delete_by_recipient(n, "ben", "Shared") for n in (a, b, deep))
    yield
    assert {"a.txt", "b.txt", "deep"} <= names_of_trash(world, "ben")
    # the owner takes hers back, then he his: the place is taken
    unusual.restore("ann", item(site, "ann", a), top)
    unusual.restore("ben", item(site, "ben", his_a), top)
    unusual.restore("ben", item(site, "ben", his_deep), top)
    yield
    assert {"Shared/a.txt", "Shared/a (restored).txt", "Shared/deep/versions.txt"} <= \
        world.cs3.walk("ann").keys()
    unusual.restore("ann", item(site, "ann", deep), site.files("ann"))
    unusual.restore("ben", item(site, "ben", his_b), site.files("ben"))
    unusual.purge("ann", item(site, "ann", b))


def names_of_trash(world, uid):
    return {i.ref.path.rsplit("/", 1)[-1] for i in world.cs3.trash(uid)}


@story
def what_a_recipient_takes_along_leaves_a_copy_in_the_owners_trash(_world, site, unusual, shares):
    top = folder(site, "ann", "Given")
    shares.to_user(top, "cleo")
    yield
    unusual.move_out_of_share(top.children["deep"], site.files("cleo"), "taken")
    taken = unusual.move_out_of_share(top.children["a.txt"], site.files("cleo"), "taken.txt")
    copy, = (i for i in site.trashed("ann") if i[4] == "Given" and i[0].folder)
    yield
    site.move(taken, top, "a.txt")
    unusual.restore("ann", copy, top)


@story
def a_trashed_folder_is_emptied_piece_by_piece(_world, site, unusual, _shares):
    top = folder(site, "ann", "Pieces", ("a.txt", "b.txt", "c.txt"))
    out = site.mkdir(site.files("ann"), "out of the trash")
    site.delete(top)
    yield
    unusual.restore_inside(top.children["deep"], out)
    unusual.restore_inside(top.children["a.txt"], out)
    unusual.purge_inside(top.children["b.txt"])
    yield
    unusual.restore("ann", item(site, "ann", top), out)


@story
def of_two_deleted_in_one_second_the_second_is_in_the_trash(_world, site, unusual, _shares):
    one, two = (folder(site, "ben", n, ("same.txt", "twice.txt"), False) for n in ("one", "two"))
    same, twice = two.children["same.txt"], two.children["twice.txt"]
    albums = [site.mkdir(f, "album") for f in (one, two)]
    for album in albums:
        site.upload(album, f"of {album.parent.name}.jpg", b"another picture")
    unusual.delete_in_one_second(one.children["same.txt"], same)
    unusual.delete_in_one_second(one.children["twice.txt"], twice)
    unusual.delete_in_one_second(*albums)
    yield
    unusual.restore("ben", item(site, "ben", same), one)
    unusual.purge("ben", item(site, "ben", twice))
    yield
    unusual.restore("ben", item(site, "ben", albums[1]), one)


@story
def what_passes_the_trash_by_is_gone_with_its_shares(_world, site, unusual, shares):
    top = folder(site, "ann", "Big")
    shares.to_user(top, "ben")
    shares.to_group(top.children["deep"], "choir")
    shares.link(top.children["a.txt"])
    yield
    unusual.delete_for_good(top.children["b.txt"])
    unusual.delete_for_good(top)
    yield
    shares.remove_orphans()


@story
def a_file_becomes_a_folder_and_a_folder_a_file_of_the_same_name(_world, site, unusual, _shares):
    files = site.files("cleo")
    top = folder(site, "cleo", "both")
    yield
    site.delete(top)
    file = site.upload(files, "both", b"a file now")
    yield
    site.delete(file)
    again = folder(site, "cleo", "both", ("x.txt",), False)
    unusual.delete_for_good(again.children["x.txt"])
    site.mkdir(again, "x.txt")
    yield
    unusual.delete_for_good(again)
    site.upload(files, "both", b"")


@story
def a_folder_is_moved_over_another_one(_world, site, _unusual, shares):
    old, new = folder(site, "ann", "target"), folder(site, "ann", "source")
    shares.to_user(old, "ben")
    shares.to_user(new, "cleo")
    yield
    site.move(new, site.files("ann"), "target")
    yield
    site.move(new, site.files("ann"), "Target")  # its case alone


@story
def names_of_all_kinds_are_kept_renamed_trashed_and_restored(_world, site, unusual, _shares):
    top = folder(site, "emil", "Names", NAMES, False)
    yield
    trashed = []
    for name in NAMES:
        site.overwrite(top.children[name], b"content of another length")
        if len(name.encode()) < 240:
            trashed.append(site.delete(top.children[name]))
    yield
    for node in trashed:
        unusual.restore("emil", item(site, "emil", node), top)
    like_a_version = site.mkdir(top, "dir.v17")
    site.upload(like_a_version, "dir.d17", b"x")
    site.delete(like_a_version)


@story
def times_before_1970_and_far_ahead_and_an_older_version_restored(_world, site, unusual, _shares):
    top = site.mkdir(site.files("dora"), "times")
    for mtime in (-5, 0, 1, 2**31 + 5, 5000000000):
        file = site.upload(top, f"{mtime}.txt", b"first", mtime)
        site.overwrite(file, b"second one", mtime)
    file = site.upload(top, "restored.txt", b"oldest", 1500000000)
    site.overwrite(file, b"in the middle", 1500000001)
    site.overwrite(file, b"the newest of all", 1500000002)
    yield
    oldest = min(site._versions_of(file), key=lambda v: v.name)
    unusual.restore_version(oldest, file)
    assert site.disk(file).read_bytes() == b"oldest"
    yield
    site.read(file)


@story
def a_scan_finds_what_was_changed_on_disk(_world, site, unusual, _shares):
    top = folder(site, "ben", "scanned", ("gone.txt", "changed.txt", "kept.txt"))
    c = top.children
    yield
    unusual.scan("ben", [(top, "new.txt", b"new"), (top, "new folder", None), (top, "two\nlines", b"2")],
                 [(c["changed.txt"], b"changed on disk"), (c["deep"].children["versions.txt"], b"too")],
                 [c["gone.txt"]])
    yield
    unusual.scan("ben", vanished=[c["deep"]])


@story
def members_come_and_go_while_their_own_states_stay(_world, site, unusual, shares):
    top = folder(site, "ann", "For staff", deep=False)
    site.add_member("staff", "dora")
    number = shares.to_group(top, "staff", 15)
    also = shares.to_group(top, "choir", 1)
    shares.answer(number, "ben", REJECTED)
    shares.rename_received(number, "dora", "/Mine")
    site.add_member("choir", "ben")
    site.remove_member("staff", "dora")
    site.add_member("staff", "ann")  # the owner herself
    yield
    site.add_member("staff", "dora")
    shares.answer(number, "ben", ACCEPTED)
    shares.change_permissions(number, 31)
    shares.to_user(top, "dora", 1)
    yield
    site.remove_member("choir", "ben")
    shares.remove(also)
    site.remove_member("staff", "ann")
    inside = shares.to_user(top.children["a.txt"], "cleo", 3)
    unusual.delete_group("staff")
    assert not shares.rows("share_type IN (%s, %s) AND file_source = %s", GROUP, MEMBER, top.id)
    yield
    site.create_group("staff")
    site.add_member("staff", "cleo")
    shares.to_group(top, "staff", 1)
    shares.change_permissions(inside, 1)


@story
def a_share_handed_on_outlives_what_the_owner_takes_back(_world, site, _unusual, shares):
    top = folder(site, "ann", "Handed on", deep=False)
    first = shares.to_user(top, "ben", 31)
    on = shares.to_user(top, "cleo", 31, initiator="ben")
    part = shares.to_user(top.children["a.txt"], "dora", 19, initiator="ben")
    link = shares.link(top, 4, password=True)
    yield
    shares.change_permissions(first, 1)
    shares.change_permissions(on, 17)
    site.sql("UPDATE oc_share SET share_name = 'renamed', expiration = '2099-01-01 00:00:00'"
             " WHERE id = %s", link)
    yield
    shares.remove(first)
    shares.rename_received(on, "cleo", "/Handed on (2)")
    shares.answer(part, "dora", REJECTED)
    yield
    shares.remove(part)  # and shared again at once
    shares.to_user(top.children["a.txt"], "dora", 3)


@story
def what_lies_in_the_home_of_somebody_disabled_goes_on_changing(_world, site, unusual, shares):
    site.create_user("gina", "Gina", "gina@example.org")
    site.login("gina")
    top = folder(site, "gina", "Gina's")
    shares.to_user(top, "ben")
    yield
    unusual.enable("gina", False)
    site.upload(top, "by ben.txt", b"while she is away")
    unusual.delete_by_recipient(top.children["a.txt"], "ben", "Gina's")
    shares.to_user(top.children["b.txt"], "cleo", 19, initiator="ben")
    copied = unusual.copy_with_versions(top.children["deep"].children["versions.txt"], top, "copy")
    unusual.expire_version(site._versions_of(copied)[0])
    unusual.enable("gina", True)


@story
def a_home_whose_storage_is_removed_and_scanned_anew_is_the_same(_world, site, unusual, shares):
    site.create_user("hugo", "Hugo", "hugo@example.org")
    site.login("hugo")
    top, trashed = folder(site, "hugo", "Kept"), folder(site, "hugo", "Trashed")
    number = shares.to_user(top, "ben")
    site.delete(trashed)
    yield
    unusual.scan_home_anew("hugo")
    shares.remove_orphans()
    assert not shares.rows("id = %s", number)
    yield
    top = site.files("hugo").children["Kept"]
    shares.to_user(top, "ben")
    site.overwrite(top.children["a.txt"], b"after the scan")


@story
def part_of_a_home_is_handed_over_with_its_shares(_world, site, unusual, shares):
    top = folder(site, "dora", "Project")
    to = [shares.to_user(top, "emil"), shares.to_user(top, "ben"),
          shares.to_group(top.children["deep"], "choir")]
    shares.link(top.children["a.txt"], password=True, name="kept")
    shares.answer(to[1], "ben", REJECTED)
    shares.rename_received(to[2], "cleo", "/deep of dora")
    yield
    unusual.transfer_folder(top, "emil")
    assert not shares.rows("id = %s", to[0])


@story
def who_is_deleted_takes_his_shares_along_and_may_come_back_as_another_one(world, site, unusual, shares):
    top, mine = folder(site, "fred", "Fred's"), folder(site, "ann", "For Fred")
    shares.to_user(top, "ann")
    shares.to_group(top.children["deep"], "crew")
    shares.link(top)
    shares.to_user(mine, "fred")
    shares.to_user(mine, "ben", initiator="fred")
    site.delete(top.children["a.txt"])
    yield
    unusual.delete_user("fred")
    yield
    unusual.create_again("fred")
    yield
    assert world.cs3.walk("fred").keys() == {"welcome.txt"}
    shares.to_user(mine, "fred", 1)
    shares.to_user(folder(site, "fred", "Fred's"), "ann")


@story
def names_addresses_and_quotas_of_people_change(world, site, unusual, _shares):
    site.create_user("jane", "Jane")
    site.login("jane")
    site.create_user("kim")  # who never signs in
    yield
    assert world.cs3.person("jane")[0] == "Jane"
    unusual.change_person("jane", "jane@example.org", quota="5 GB")
    unusual.change_person("kim", "kim@example.org", "Kim")
    yield
    assert world.cs3.person("jane") == ("Jane", "jane@example.org")
    assert world.cs3.person("kim") == ("Kim", "kim@example.org")
    assert world.cs3.quota("jane") == 5 << 30
    unusual.change_person("jane", "j.doe@example.com", "Jane Doe", "none")
    yield
    assert world.cs3.person("jane") == ("Jane Doe", "j.doe@example.com")
    assert world.cs3.quota("jane") == 0
    unusual.change_person("jane", "", quota="1 MB")
    unusual.change_person("kim", name="")
    yield
    assert world.cs3.person("kim") == ("kim", "kim@example.org")
    assert world.cs3.person("jane")[1].endswith("@invalid.example")
    assert world.cs3.quota("jane") == 1 << 20
    unusual.change_person("jane", quota="default")


@story
def a_scan_finds_folders_where_files_were_and_a_file_where_a_folder_was(_world, site, unusual, _shares):
    top = folder(site, "cleo", "in place", ("a.txt", "b.txt"))
    a, deep = top.children["a.txt"], top.children["deep"]
    yield
    unusual.scan_in_place(a)
    unusual.scan("cleo", [(a, "inside.txt", b"in what was a file")])
    unusual.scan_in_place(deep, b"a file where a folder was")
    yield
    site.overwrite(deep, b"and written over")
    yield
    unusual.scan_in_place(deep)
    unusual.scan("cleo", [(deep, "again.txt", b"a folder again")])
    site.delete(a)


@story
def all_of_a_home_is_handed_over_and_its_owner_goes_on(_world, site, unusual, shares):
    for uid in ("lea", "max"):
        site.create_user(uid)
        site.login(uid)
    top = folder(site, "lea", "Work")
    numbers = [shares.to_user(top, "ann"), shares.to_group(top.children["deep"], "choir"),
               shares.to_user(top.children["a.txt"], "max", 19)]
    shares.rename_received(numbers[1], "cleo", "/of lea")
    shares.link(top, 15, password=True, name="all")
    site.delete(top.children["b.txt"])
    yield
    unusual.transfer_home("lea", "max")
    assert not shares.rows("id = %s", numbers[2])
    yield
    again = folder(site, "lea", "Work")
    shares.to_user(again, "ann")
    unusual.restore("lea", site.trashed("lea")[0], again)
    yield
    unusual.transfer_home("lea", "max")


@story
def contents_of_one_second_leave_one_version(_world, site, unusual, _shares):
    top = site.mkdir(site.files("dora"), "one second")
    file, touched = (site.upload(top, n, b"first", 1600000000) for n in ("often.txt", "touched.txt"))
    for n in range(4):
        site.overwrite(file, b"content %d of one second" % n + b"." * n, 1600000001)
    assert [v.name for v in site._versions_of(file)] == ["often.txt.v1600000000", "often.txt.v1600000001"]
    yield
    site.overwrite(file, b"one more", 1600000001)
    unusual.touch(touched, 1500000000)
    yield
    site.overwrite(file, b"and the last", 1600000002)
    site.overwrite(touched, b"then written over")


@story
def what_recipients_move_from_one_share_into_another_belongs_to_its_owner(_world, site, unusual, shares):
    one, two = folder(site, "ann", "From here"), folder(site, "dora", "To there")
    for top in (one, two):
        shares.to_user(top, "ben")
    inner = shares.to_user(one.children["deep"], "emil", 1)
    yield
    moved = unusual.move_out_of_share(one.children["a.txt"], two, "moved.txt")
    unusual.move_out_of_share(one.children["deep"], two, "deeper")
    yield
    site.overwrite(moved, b"hers now")
    shares.change_permissions(inner, 17)
    site.move(two, site.mkdir(site.files("dora"), "box"), "To there")
    yield
    site.delete(two)


@story
def who_receives_folders_of_one_name_from_three_finds_each(world, site, _unusual, shares):
    site.create_user("nora")
    tops = [folder(site, uid, "Photos 2024.old", (uid + ".txt",), False) for uid in ("ann", "dora", "emil")]
    first = shares.to_user(tops[0], "nora")
    yield
    shares.to_user(tops[1], "nora")
    third = shares.to_user(tops[2], "nora")
    yield
    assert len(names_received(world, "nora")) == 3
    # ownCloud tells them apart when she looks at her files
    shares.rename_received(third, "nora", "/Photos 2024 (2).old")
    shares.rename_received(first, "nora", "/Old ones")
    yield
    assert {"Old ones", "Photos 2024 (2).old"} < names_received(world, "nora")
    shares.answer(third, "nora", REJECTED)
    shares.rename_received(first, "nora", "/Box/Photos 2024 (2).old")


def names_received(world, uid):
    return {r.mount_point.path.strip("/") for r in world.cs3.received(uid)}


def settled(world):
    assert consistency.problems(world.site) == []
    world.drained()
    world.assert_equal()
    letters = world.dead_letters()
    assert letters == [], [d["headers"] for d in letters]


@pytest.fixture(scope="module")
def world(bed, tmp_path_factory):
    with World(bed, tmp_path_factory.mktemp("unusual"), sets=EXACT) as world:
        for uid in PEOPLE:
            world.site.create_user(uid, uid.title(), f"{uid}@example.org")
            world.site.login(uid)
        for gid, members in GROUPS.items():
            world.site.create_group(gid)
            for uid in members:
                world.site.add_member(gid, uid)
        world.daemons.start()
        world.daemons.wait_snapshot()
        yield world
        world.assert_balanced()


def test_stories_of_the_unusual_end_as_they_shall(world):
    site, shares = world.site, world.work.shares
    unusual = Unusual(site, shares)
    told = [play(world, site, unusual, shares) for play in STORIES]
    while told:
        told = [play for play in told if next(play, "over") is None]
        settled(world)


def test_mimetypes_repaired_in_bulk_cost_no_writing_call(world):
    site = world.site
    site.big_folder("dora", "many", 300)
    world.drained()
    before = world.target.counts() if hasattr(world.target, "counts") else None
    assert Unusual(site, world.work.shares).repair_mimetypes("txt", "text/x-repaired") >= 300
    world.drained()
    if before is not None:
        assert world.target.writes_since(before) == {}
    world.assert_equal()
