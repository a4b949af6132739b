"""
Random days at an ownCloud 10, the usual and the unusual mixed, through the whole chain: users and groups
that come and go, moves, swaps, shares, trash and versions, transfers. The first is undisturbed, in the
others apply gets SIGKILL at random moments; each ends with both sides equal.
"""

import shutil

from bed import topics
from bed.world import World
from soak.counts import SEED, count, seeded, summary
from workload import consistency
from workload.unusual import UnusualWorkload

SETS = {"apply.shares": "exact", "capture.link_secrets": "true"}
KILLS_MOST = 12


def played(work, actions, kill, rng):
    """A day of so many actions; returns how often apply was killed in it."""
    killed = 0
    while actions > 0:
        some = min(actions, rng.randrange(1, 2 + actions // 4) if kill else actions)
        actions -= work.run(actions=some)
        if kill and killed < KILLS_MOST:
            kill(rng)
            killed += 1
    work.finish()
    return killed


def killer(world):
    def kill(rng):
        world.daemons.kill("apply")
        world.work.run(actions=rng.choice((0, 0, 3)))
        world.daemons.spawn("apply")
    return kill


def assert_all_there(world, work, seconds):
    world.daemons.wait_ready("apply")
    assert len(work.done) > 30, work.done
    assert consistency.problems(world.site) == []
    world.drained(seconds)
    world.assert_equal()
    world.assert_balanced()
    letters = world.dead_letters()
    assert letters == [], [d["headers"] for d in letters]


def test_random_days_with_apply_killed_end_equal(bed, tmp_path):
    actions, killed, done = count("history_actions", 200), 0, 0
    for n in range(histories := count("histories", 2)):
        folder = tmp_path / f"day{n}"
        with World(bed, folder, sets=SETS) as world:
            world.work = work = UnusualWorkload(world.site, f"{SEED} {n}")
            work.populate(5)
            world.daemons.start()
            world.daemons.wait_snapshot()
            killed += played(work, actions, killer(world) if n else None, seeded("day", n))
            assert_all_there(world, work, 90 + actions)
            done += sum(work.done.values())
        topics.delete(bed.kafka.bootstrap, *(name for name in topics.names(bed.kafka.bootstrap)
                                             if name.startswith(world.prefix + ".")))
        shutil.rmtree(folder)
    summary("random days with apply killed", histories=histories, actions=done, kills=killed, different=0)
