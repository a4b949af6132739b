"""Big folders and rows that went unseen: what costs one call must cost one call."""

import pytest


@pytest.mark.skipif("__import__('os').environ.get('LOCKSTEP_TEST_TARGET', 'sim') != 'sim'",
                    reason="10,000 uploads and counted calls: only with the simulator")
def test_a_folder_of_10000_files_renamed_is_one_move(world):
    world.work.populate(1, actions=5)
    folder = world.site.big_folder("alice", "many", 10000)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained(110)
    before = world.target.counts()
    world.site.move(folder, folder.parent, "renamed")
    world.drained(60)
    calls = world.target.writes_since(before)
    assert calls == {"Move": 1}, calls
    assert "renamed/file 09999.txt" in world.cs3.walk("alice")


def test_a_second_snapshot_sweeps_what_was_deleted_unseen(world):
    world.work.populate(3, actions=40)
    site = world.site
    folder = site.mkdir(site.files("alice"), "to go")
    for i in range(5):
        site.upload(folder, f"{i}.txt", b"x" * i)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.assert_equal()
    world.daemons.stop("capture")
    site.sql("SET sql_log_bin = 0")
    site._erase(folder)
    site.sql("SET sql_log_bin = 1")
    world.daemons.start("capture", args=["--snapshot"])
    world.daemons.wait_snapshot()
    world.drained()
    assert not [p for p in world.cs3.walk("alice") if p.startswith("to go")]
    world.assert_equal()
    world.assert_balanced()
