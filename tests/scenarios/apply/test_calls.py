"""What users do, in calls of the target: the fewest that lead there."""

import os

import pytest

from bed.process import wait_until

pytestmark = pytest.mark.skipif(os.environ.get("LOCKSTEP_TEST_TARGET", "sim") != "sim",
                                reason="only the simulator counts calls")
TREE = ("storage-users.", "gateway.", "data.")


@pytest.fixture
def copied(new_world):
    """A world with a site that has been copied, and a folder six deep."""
    world = new_world(sets={"apply.window_ms": 1000})
    world.work.populate(1, actions=5)
    folder = world.site.files("alice")
    for i in range(6):
        folder = world.site.mkdir(folder, f"depth {i + 1}")
    world.touched = world.site.upload(folder, "touched.txt", b"the same content all along")
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    return world, folder


def all_calls(world):
    """Every call on the tree so far, those that only look included: name -> number."""
    return {name.rsplit(".", 1)[-1]: n for name, n in world.target.ask("/counters")["calls"].items()
            if name.startswith(TREE) and not name.endswith(".Authenticate")}


def test_a_new_file_six_folders_deep_costs_three_calls(copied):
    world, folder = copied
    before = all_calls(world)
    world.site.upload(folder, "new.txt", b"some content")
    world.drained()
    after = all_calls(world)
    calls = {name: n - before.get(name, 0) for name, n in after.items() if n > before.get(name, 0)}
    assert calls.keys() <= {"InitiateFileUpload", "PUT", "Stat"} and sum(calls.values()) <= 3, calls
    world.assert_equal()


def test_a_thousand_touches_cost_one_call_and_what_came_and_went_none(copied):
    """apply is away meanwhile, so that all of it is there when it looks."""
    world, folder = copied
    site, node = world.site, world.touched
    world.daemons.stop("apply")
    gone = site.upload(folder, "come and gone.txt", b"never to be seen")
    late = site.upload_in_two_steps(folder, "in two steps.txt", b"empty at first")
    site.sql("START TRANSACTION")
    for _ in range(1000):
        mtime = node.mtime + 1
        site.cache.update(node, mtime=mtime, storage_mtime=mtime, etag=site.cache.file_etag())
    site.sql("COMMIT")
    os.utime(site.disk(node), (node.mtime, node.mtime))
    site.delete(gone)
    site.empty_trash("alice")
    last = site.upload(site.files("alice"), "the last one.txt", b"after all others")
    wait_until(lambda: any(r["key"] == str(last.id) for r in world.read("cs3.resource")), 60,
               "the last record")
    records = [r for r in world.read("cs3.resource") if r["key"] == str(node.id)]
    assert len(records) > 1000
    before = world.target.counts()
    world.daemons.start("apply")
    world.drained()
    calls = world.target.writes_since(before)
    # the file in two steps and the last one; one file was touched
    assert calls == {"InitiateFileUpload": 2, "PUT": 2, "SetArbitraryMetadata": 1}, calls
    assert late.name in {p.rsplit("/", 1)[-1] for p in world.cs3.walk("alice")}
    world.assert_equal()
    world.assert_balanced()
