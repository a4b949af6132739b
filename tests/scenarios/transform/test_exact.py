"""
Exactly once, whatever happens to the instances: an undisturbed run judges the disturbed one.

Per key of each partition the same records in the same order, the same state left, the same
counters and dead letters. A few disturbances in CI; in `make soak` as many as it takes (counts.py).
"""

import time

import story
from bed.process import wait_until
from soak.counts import SEED, count, seeded, summary

SMALL_SITE = 5  # rows


def sums(pipe):
    """The counters of all instances together, as they were committed."""
    out = {}
    for counters in pipe.counters().values():
        for group, value in counters.items():
            if group == "in":
                out["in"] = out.get("in", 0) + value
            elif group != "warning":
                for name, n in value.items():
                    out[group, name] = out.get((group, name), 0) + n
    return out


def judge(new_pipe, pipe, seed, told, rows):
    """Tells the same story to a pipe that nobody disturbs, and compares."""
    calm = new_pipe()
    calm.small_site()
    assert story.play(calm, seed, told) == rows
    calm.wait_in(rows + SMALL_SITE, 300)
    pipe.wait_in(rows + SMALL_SITE, 300)
    assert story.differences(story.outcome(calm), story.outcome(pipe))[:5] == []
    assert sums(pipe) == sums(calm)
    assert sums(pipe)["in"] == rows + SMALL_SITE


def test_sigkill_at_random_moments_under_load_changes_nothing(new_pipe):
    pipe, kills, dice = new_pipe(), count("transform_kills", 4), seeded("transform kills")
    seed, early = f"kills {SEED}", 0
    pipe.small_site()
    player = story.Player(pipe, seed)
    for _ in range(kills):
        # some before it holds its partitions again
        time.sleep(dice.random() * dice.choice((0.5, 3)))
        early += not pipe.site.ready("transform")
        pipe.site.kill("transform")
        pipe.site.spawn("transform")
    told, rows = player.stop()
    pipe.site.wait_ready("transform")
    judge(new_pipe, pipe, seed, told, rows)
    summary("transform: SIGKILL under load", kills=kills, before_it_was_ready=early, rows=rows)


class Members:
    """Instances that join and leave."""

    def __init__(self, pipe, dice):
        self.pipe, self.dice, self.done = pipe, dice, {}
        self.sites = {"1": pipe.site}

    def site(self, name):
        if name not in self.sites:
            self.sites[name] = self.pipe.instance(name)
            self.pipe.others.append(self.sites[name])
        return self.sites[name]

    def runs(self, name):
        process = self.site(name).running.get("transform")
        return process is not None and process.alive()

    def do(self, what, name):
        """`joins`, `leaves`, `crashes` (and is back), `dies` (and is not), `sleeps`."""
        site = self.site(name)
        if what == "joins":
            site.start("transform")
        elif what == "leaves":
            assert site.stop("transform") == {"transform": 0}
        elif what == "sleeps":
            site.pause("transform")
            time.sleep(self.dice.random() * 9)  # the group's patience is 6 s
            site.resume("transform")
        else:
            site.kill("transform")
            if what == "crashes":
                site.spawn("transform")
        self.done[what] = self.done.get(what, 0) + 1
        time.sleep(self.dice.random() * 2)

    def anything(self):
        name = self.dice.choice("123")
        self.do(self.dice.choice(("leaves", "crashes", "crashes", "dies", "sleeps"))
                if self.runs(name) else "joins", name)


def test_three_instances_join_and_leave_under_load_and_change_nothing(new_pipe):
    pipe, more, dice = new_pipe(), count("transform_members", 0), seeded("transform members")
    seed, members = f"members {SEED}", Members(pipe, dice)
    pipe.small_site()
    player = story.Player(pipe, seed)
    for what, name in (("joins", "2"), ("joins", "3")):
        members.do(what, name)
    wait_until(lambda: all(site.status("transform")["counters"]["in"]
                           for site in members.sites.values()), 60, "rows at each of them", 0.2)
    for what, name in (("crashes", "2"), ("leaves", "1")):
        members.do(what, name)
    for _ in range(more):
        members.anything()
    told, rows = player.stop()
    for name in "23":
        if not members.runs(name):
            members.do("joins", name)
    judge(new_pipe, pipe, seed, told, rows)
    summary("transform: three instances under load", rows=rows, **members.done)
