"""What the binlog never showed of one user is repaired by a snapshot of that user, and of nobody else."""

from bed import wait_until

SETS = {"control.key": "a key for tests that is long enough"}


def snapshot_of(world, number, uid, *who):
    status, text = world.daemons.lockstep("snapshot", "start", *who)
    assert (status, text) == (0, "accepted\n")
    wait_until(lambda: world.daemons.status("capture")["counters"]["snapshots"] == number, 60,
               f"the snapshot of {uid}")
    world.drained(90)


def test_a_snapshot_of_one_user_changes_nothing_of_another_and_repairs_its_own(new_world):
    world = new_world(sets=SETS)
    site = world.site
    for uid in ("alice", "bob"):
        site.create_user(uid)
        site.login(uid)
    files = site.files("bob")
    kept = site.upload(files, "kept.txt", b"kept")
    gone = site.upload(files, "gone.txt", b"gone")
    site.upload(site.files("alice"), "hers.txt", b"hers")
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained(90)
    world.assert_equal()

    site.db.cursor().execute("SET sql_log_bin=0")
    site.delete(gone)
    site.empty_trash("bob")
    site.move(kept, files, "renamed.txt")
    site.upload(files, "new.txt", b"new")
    site.db.cursor().execute("SET sql_log_bin=1")
    world.drained(90)
    before = world.cs3.walk("bob").keys()
    assert "gone.txt" in before and "new.txt" not in before

    snapshot_of(world, 2, "alice", "--user", "alice")
    assert world.cs3.walk("bob").keys() == before
    assert world.verify()[0] == 3
    status, text = world.daemons.lockstep("snapshot", "start", "--group", "nobody's")
    assert (status, text) == (2, "lockstep: nobody is in that group at the source\n")
    world.site.sql("INSERT INTO oc_group_user (gid, uid) VALUES ('staff', 'bob')")
    snapshot_of(world, 3, "bob", "--group", "staff")
    status, text = world.daemons.lockstep("snapshot", "status")
    assert status == 0 and "[####" in text, text
    assert world.cs3.walk("bob").keys() == (
        before - {"gone.txt", "kept.txt"} | {"new.txt", "renamed.txt"})
    world.assert_equal()
    world.assert_balanced()
    assert world.dead_letters() == []
