"""
The connection is cut at every event of a binlog, and inside of events too; capture is killed at
some. What it publishes is what an uncut capture publishes: topic by topic the same rows in the same
order, with the same images and the same place at the source.

One fixed workload with every kind of event (work.every_kind) is followed twice from the same
place: directly, and through a proxy that lets a connection come one event further than the one
before, and then cuts it. Connections that capture opens for other things than the dump pass.

The same with the binlog of each recording of a real ownCloud 10 that $LOCKSTEP_RECORDINGS holds, fed
to the server, which writes it again as its own.
"""

import os
import time
from pathlib import Path

import pytest
import work
from soak.counts import count, seeded, summary, those
from replay import Table, differences
from servers import source

from bed import wait_until
from recordings.recording import Recording

CHOICES = ("behind", "inside")
# what two captures give differently: their own counters and times
OWN = {"seq_epoch", "seq_counter", "seq", "capture_ts_us", "server", "headers"}
IN_CI = {"mariadb-10.11": 23, "mysql-8.0": 31, "mysql-8.0, file and offset": 0,
         "mysql-5.7, file and offset": 0}  # every which chance is a cut
KILLS_IN_CI = {"mariadb-10.11": 4, "mysql-8.0": 0}
FOLDER = os.environ.get("LOCKSTEP_RECORDINGS")
RECORDINGS = sorted(p for p in Path(FOLDER).iterdir() if (p / "binlog.zst").is_file()) \
    if FOLDER else []


def published(capture, table):
    """The rows of a table as records, without what is capture's own; per partition in order."""
    return [{k: v for k, v in r.items() if k not in OWN} for r in capture.rows(table)]


class Cuts:
    """
    Each event is cut at once behind it and once inside of it, as far as `choose` says so. An event
    has a name that it keeps over connections: its file, its kind and where it ends.
    """

    def __init__(self, choose):
        self.choose, self.done, self.seen = choose, set(), set()

    def __call__(self, event):
        name = event.file, event.type, event.end
        self.seen.add(name)
        for how in CHOICES:
            if (name, how) not in self.done:
                self.done.add((name, how))
                if self.choose(name, how):
                    return how
        return None

    def cuts(self):
        return len([1 for name, how in self.done if self.choose(name, how)])


def through(proxy):
    return {"source.host": "127.0.0.1", "source.tls": "disabled", "source.port": proxy.listen_port,
            "capture.snapshot": "never", "capture.commit_rows": 60, "capture.commit_ms": 5}


def same_place(new_capture, database, proxy, load=lambda: None):
    """Two captures that have read to the same place: one direct, one (stopped) by the proxy."""
    uncut = new_capture({"capture.snapshot": "never"}, database)
    cut = new_capture(through(proxy), database)
    load()
    for capture in (cut, uncut):
        capture.start(snapshot=False)
        capture.drain()
    assert cut.stop() == 0
    assert cut.committed()["gtid"] == uncut.committed()["gtid"]
    return uncut, cut


def assert_same(uncut, cut, database, start=None):
    """Both have the same rows, and these fit each other and the table, from `start` on."""
    rows = 0
    for table in work.TABLES:
        want = published(uncut, table)
        assert published(cut, table) == want, table
        rows += len(want)
        played = Table(known=True, rows=(start or {}).get(table)).play(cut.records(table))
        assert differences(played, work.source_rows(database, table)) == []
    return rows


def cut_and_compare(uncut, cut, database, proxy, every, happen, start=None):
    """Cuts what happens at every n-th chance, chosen at random; returns what was done."""
    random, chosen = seeded("cuts"), {}
    proxy.decide = cuts = Cuts(
        lambda name, how: chosen.setdefault((name, how), random.randrange(every) == 0))
    happen()
    cut.start(snapshot=False)
    uncut.drain(120)
    assert cut.drain(7200)["balance"] == 0
    rows = assert_same(uncut, cut, database, start)
    made = cuts.cuts()
    assert made > 20 and cut.status()["counters"]["reconnects"] >= made - 2
    return {"events": len(cuts.seen), "cuts": made, "rows": rows, "different": 0}


@pytest.mark.parametrize("server, in_ci", those(IN_CI))
def test_cut_at_every_event_the_sequence_is_the_same(new_capture, new_proxy, databases, server,
                                                     in_ci):
    database, _ = source(databases, server)
    proxy = new_proxy(database)
    uncut, cut = same_place(new_capture, database, proxy)
    summary(f"cut at events, {server}",
            **cut_and_compare(uncut, cut, database, proxy, count("cut_every", in_ci),
                              lambda: work.run(database, work.every_kind(server))))


@pytest.mark.skipif(not RECORDINGS, reason="LOCKSTEP_RECORDINGS names no folder with recordings")
@pytest.mark.parametrize("folder", RECORDINGS, ids=[p.name for p in RECORDINGS])
def test_cut_in_a_recording_the_sequence_is_the_same(new_capture, new_proxy, databases, tmp_path,
                                                     folder):
    recording = Recording(folder)
    database = databases("mariadb-10.11")
    proxy = new_proxy(database)
    uncut, cut = same_place(new_capture, database, proxy,
                            lambda: recording.load_start(database, tmp_path))
    start = {table: work.source_rows(database, table) for table in work.TABLES}
    summary(f"cut at events of the recording {recording.name}",
            **cut_and_compare(uncut, cut, database, proxy, count("recording_cut_every", 1000),
                              lambda: recording.feed(database, tmp_path, own_gtids=False), start))


def test_a_source_that_looks_long_for_our_place_is_waited_for(new_capture, new_proxy, databases):
    """It reads a file from the head before its first word: far longer than the heartbeats."""
    database, _ = source(databases, "mariadb-10.11")
    proxy, held, tries = new_proxy(database), [], []
    capture = new_capture(through(proxy), database)

    def retries():
        return [x for x in capture.site.log_lines("capture")
                if x.get("event") == "retry" and x["cause"] == "source"]

    def first_word(event):
        if not held:
            held.append(event)
            before = len(retries())
            time.sleep(5)  # three heartbeats are 1.2 s
            tries.extend(retries()[before:])

    proxy.decide = first_word
    capture.start(snapshot=False)
    work.run(database, [work.INSERT + work.values(1, 3)])
    capture.drain()
    assert held and tries == []
    assert [r["key"] for r in capture.rows("filecache")] != []


@pytest.mark.parametrize("server, in_ci", those(KILLS_IN_CI))
def test_killed_at_events_the_sequence_is_the_same(new_capture, new_proxy, databases, server,
                                                   in_ci):
    kills = count("event_kills", in_ci)
    random = seeded("event kills", server)
    database, _ = source(databases, server)
    proxy = new_proxy(database)
    uncut, cut = same_place(new_capture, database, proxy)
    statements = work.run(database, work.every_kind(server))
    uncut.drain()
    left = [0]

    def hold(event):
        left[0] -= 1
        return "hold" if left[0] == 0 else None

    proxy.decide = hold
    for _ in range(kills):
        left[0] = random.randrange(10, 120)
        cut.site.spawn("capture")
        wait_until(lambda: proxy.held.is_set() or left[0] > 0 and finished(cut, uncut), 60,
                   "an event to be killed at")
        time.sleep(random.random() / 20)  # of what came all is committed, or a part, or nothing
        cut.site.kill("capture")
        proxy.release()
    proxy.decide = lambda event: None
    cut.start(snapshot=False)
    assert cut.drain(120)["balance"] == 0
    rows = assert_same(uncut, cut, database)
    summary(f"killed at events, {server}", statements=statements, kills=kills, rows=rows,
            different=0)


def finished(cut, uncut):
    return cut.status().get("gtid") == uncut.committed()["gtid"]
