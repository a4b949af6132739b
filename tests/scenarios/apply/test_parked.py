"""What apply parks: a sweep that is too large, content that is not there, a ledger too old."""

import json

from bed import wait_until


def test_a_sweep_above_the_limit_waits_for_a_word(new_world):
    world = new_world(sets={"apply.sweep_max_percent": 5, "apply.sweep_max_items": 3})
    world.work.populate(2, actions=10)
    site = world.site
    folder = site.mkdir(site.files("alice"), "to go")
    for i in range(30):
        site.upload(folder, f"{i}.txt", b"x" * i)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.daemons.stop("capture")
    site.sql("SET sql_log_bin = 0")
    site._erase(folder)
    site.sql("SET sql_log_bin = 1")
    world.daemons.start("capture", args=["--snapshot"])
    wait_until(lambda: world.daemons.status("apply").get("sweeps_waiting") == 1, 60,
               "the sweep to wait")
    assert "to go/7.txt" in world.cs3.walk("alice")
    status, text = world.daemons.lockstep("snapshot", "status")
    assert status == 0 and "it would delete 31 items of one place\n    alice: files/to go\n" in text
    sweeps = json.loads(world.daemons.lockstep("snapshot", "status", "--json")[1])["sweeps"]
    assert [e["path"] for e in sweeps[0]["examples"]] == ["files/to go"]
    status, text = world.daemons.lockstep("status")
    assert status == 0 and "sweeps that wait for a word: 1 (lockstep snapshot status)" in text, text

    def nothing_else_waits():
        lag = json.loads(world.daemons.lockstep("lag", "--json")[1])["apply/1"]
        return lag["applied"] > 30 and lag["parked_records"] == 0 and lag["lag_records"] >= 0

    wait_until(nothing_else_waits, 60, "the rest of the snapshot to be through")
    world.daemons.stop("apply")
    world.daemons.start("apply", args=["--set", "apply.sweep_max_percent=100"])
    world.drained()
    world.assert_equal()
    world.assert_balanced()
    assert world.daemons.status("apply")["sweeps_waiting"] == 0


def test_content_that_is_not_there_is_a_dead_letter_and_a_newer_row_takes_it_back(new_world):
    world = new_world(sets={"apply.content_tries": 2, "apply.retry_max_ms": 300})
    world.work.populate(1, actions=5)
    site = world.site
    node = site.upload(site.files("alice"), "lost.txt", b"lost")
    disk = site.disk(node)
    disk.rename(disk.with_name("elsewhere"))
    world.daemons.start()
    world.daemons.wait_snapshot()
    letter = world.wait_dead_letter("content-missing")
    assert letter["key"] == str(node.id)
    # the document is up to a second older than the letter
    wait_until(lambda: world.daemons.status("apply").get("dead") == {"content-missing": 1}, 60,
               "its count")
    disk.with_name("elsewhere").rename(disk)
    site.overwrite(node, b"found again")
    world.drained()
    world.assert_equal()
    world.assert_balanced()
    assert world.daemons.status("apply")["dead"] == {}
