"""
One night in which everything goes wrong, one thing after the other, and an admin who has the runbooks.

Each trouble is seen in the metrics first, then in an alert that a real Prometheus makes of the packaged
rules; then it is repaired by the commands of the runbook that the alert names, and by nothing else
(bed/runbook.py); then the alert ends. At dawn nothing differs, the counters balance and nothing fires.
Time is shortened: alerts wait for seconds instead of minutes (bed/prometheus.py, `hurry`), ten minutes
of an outage last until the alert fires. What happens outside of Lockstep is played here: a host comes
back, somebody mends a file, a backup is restored. Every command of the manual that was not needed in the
night is run at dawn, so that all of them were.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import pytest
from bed import BedError, wait_until
from bed.daemons import STAGES
from bed.prometheus import Prometheus
from bed.runbook import Admin

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "contract"))
from client import Client  # noqa: E402

RULES = Path(__file__).resolve().parents[2] / "packaging/prometheus/lockstep.rules.yml"
SETS = {"control.key": "a key for tests that is long enough", "apply.content_tries": 2,
        "apply.retry_max_ms": 500, "source.headroom_ms": 500}


class Night:
    def __init__(self, world, prometheus):
        self.world, self.daemons, self.prometheus = world, world.daemons, prometheus
        self.admin = Admin(world.daemons)
        self.began = 0

    def play(self, trouble):
        self.began = time.time()
        trouble(self)
        self.quiet()

    def count(self, metric):
        return sum(value for _, value in self.prometheus.query(metric))

    def seen(self, expr):
        """The metrics show it."""
        wait_until(lambda: self.prometheus.query(expr), 60, expr)

    def told(self, alert):
        """The alert fires, or did since the trouble began; the name of the page that it leads to."""
        wait_until(lambda: self.prometheus.fired(alert, self.began), 60, f"{alert} to fire")
        rule = next(r for r in self.prometheus.rules() if r["name"] == alert)
        return Path(rule["annotations"]["runbook_url"]).stem

    def quiet(self):
        last = [set()]

        def silent():
            last[0] = self.prometheus.firing()
            return not last[0]
        try:
            wait_until(silent, 60, "all alerts to end")
        except BedError as e:
            raise AssertionError(f"{e}: {last[0]}\n" + self.daemons.lockstep("status")[1]) from None

    def work(self, actions=15):
        """The site goes on, whatever happens here."""
        self.world.work.run(actions=actions)

    def instance(self, stage):
        return f'127.0.0.1:{self.daemons.ports[stage]}'

    def replayed(self):
        """Records of <p>.replay that apply has taken."""
        return self.daemons.status("apply")["counters"].get("replayed", 0)

    def asked(self, *words):
        """What the command says, as data: for looking only."""
        code, text = self.daemons.lockstep(*words, "--json")
        assert code == 0, text
        return json.loads(text)


def a_daemon_dies(night):
    night.daemons.kill("transform")
    night.work()
    night.seen(f'up{{instance="{night.instance("transform")}"}} == 0')
    page = night.told("LockstepDown")
    night.admin.follow(page, STAGE="transform")
    night.daemons.wait_ready("transform")


def the_target_is_away(night):
    night.world.target.ask("/down", "POST")
    night.work()
    night.seen("lockstep_apply_paused == 1")
    page = night.told("LockstepTargetPaused")
    assert night.daemons.lockstep("check")[0] == 3
    night.world.target.ask("/up", "POST")
    night.seen("lockstep_apply_paused == 0")
    night.admin.follow(page)


def a_poison_record_arrives(night):
    """Bytes that nobody can read, in the place of a file's state; a file that is not on the disk."""
    world, site = night.world, night.world.site
    uid = site.users[0]
    lost = site.upload(site.files(uid), "lost on disk.txt", b"old text")
    other = site.upload(site.files(uid), "poisoned.txt", b"text")
    world.drained()
    path, content = world.data / uid / "files" / lost.name, b"new text"
    path.unlink()
    site.sql("UPDATE oc_filecache SET checksum = %s, mtime = mtime + 5, etag = 'new' WHERE fileid = %s",
             f"SHA1:{hashlib.sha1(content).hexdigest()}", lost.id)
    mtime = site.sql("SELECT mtime FROM oc_filecache WHERE fileid = %s", lost.id).fetchone()[0]
    world.send("cs3.resource", str(other.id), b"no record", other.storage % 8)
    night.seen('lockstep:dead_letters{stage="apply", cause="malformed-avro"} == 1')
    night.seen('lockstep:dead_letters{stage="apply", cause="content-missing"} == 1')
    page = night.told("LockstepDeadLetters")
    path.write_bytes(content)  # somebody finds the file
    os.utime(path, (mtime, mtime))
    night.admin.follow(page, CAUSE="content-missing")
    letter = next(l for l in night.asked("dlq", "list") if l["cause"] == "malformed-avro")
    night.admin.follow(page, "drop", LETTER=letter["letter"], TEXT="nobody knows who sent it")
    night.admin.follow(page, "again", USER=uid)


def somebody_works_in_ocis(night):
    """He writes what the source writes, too: once the source wins, once oCIS, until verify's word is heeded."""
    world, site = night.world, night.world.site
    uid = site.users[0]
    files = [site.upload(site.files(uid), f"both {i}.txt", b"first") for i in range(2)]
    world.drained()
    there = world.cs3.walk(uid)
    him = Client(world.target).sign_in(uid)
    for file in files:
        assert him.upload(None, b"his", node=there[file.name].id.opaque_id).status_code == 200
        site.overwrite(file, b"the source's")
    night.seen('lockstep:dead_letters{stage="apply", cause="changed-at-target"} == 2')
    page = night.told("LockstepChangedAtTarget")
    letters = {l["key"]: l["letter"] for l in night.asked("dlq", "list", "--cause", "changed-at-target")}
    words = ("dlq", "retry", str(letters[str(files[0].id)]))
    code, text = night.daemons.lockstep(*words)
    assert code == 2 and "shall the source win?" in text and "--yes" in text, text  # nobody is there to say so
    night.admin.follow(page, LETTER=letters[str(files[0].id)])
    night.admin.follow(page, "drop", LETTER=letters[str(files[1].id)], TEXT="he knows better")
    world.drained()
    code, text = world.verify()
    assert code == 3 and files[1].name in text and files[0].name not in text, text
    before = night.replayed()
    night.admin.say("lockstep repair --user USER", USER=uid)
    wait_until(lambda: night.replayed() > before and night.daemons.status("apply")["looking"] == 0, 60,
               "the look at what he wrote")
    world.drained()
    assert world.verify()[0] == 0


def a_sweep_waits(night):
    """A folder's rows are gone and no binlog tells of it: it is not deleted there without a word."""
    world, site = night.world, night.world.site
    uid = site.users[1]
    folder = site.mkdir(site.files(uid), "to go")
    for i in range(40):
        site.upload(folder, f"{i}.txt", b"x" * i)
    world.drained()
    site.sql("SET sql_log_bin = 0")
    site._erase(folder)
    site.sql("SET sql_log_bin = 1")
    night.admin.say("lockstep snapshot start --all")
    night.seen("lockstep_apply_sweeps_waiting == 1")
    page = night.told("LockstepSweepWaiting")
    assert "to go/7.txt" in world.cs3.walk(uid)
    night.admin.follow(page)
    night.daemons.wait_ready("apply")
    world.drained()
    assert "to go" not in world.cs3.walk(uid)


def binlogs_are_purged_while_capture_is_off(night):
    mariadb = night.world.bed.mariadb
    night.daemons.kill("capture")
    night.work()
    for (number,) in mariadb.sql("SELECT id FROM information_schema.processlist"
                                 " WHERE command = 'Binlog Dump'"):
        try:
            mariadb.sql(f"KILL {number}")  # the server has not noticed yet, and keeps its file
        except BedError:
            pass  # now it has
    mariadb.sql("FLUSH BINARY LOGS")

    def purged():
        mariadb.sql(f"PURGE BINARY LOGS TO '{mariadb.place()[0]}'")
        return len(mariadb.sql("SHOW BINARY LOGS")) == 1
    wait_until(purged, 60, "the binlogs to be purged")
    night.seen(f'up{{instance="{night.instance("capture")}"}} == 0')
    page = night.told("LockstepDown")
    night.admin.follow(page, STAGE="capture")
    assert night.daemons.running["capture"].wait(60) == 5  # which leads from that page to this one:
    night.admin.follow("headroom")
    night.daemons.wait_ready("capture")
    night.daemons.wait_snapshot()
    night.world.drained()
    night.admin.follow("headroom", "afterwards")


def a_topic_is_replayed(night):
    night.world.drained()
    calls, before = night.world.target.counts(), night.replayed()
    metric = 'lockstep_apply_replays_total{result="taken"}'
    shown = night.count(metric)
    done = night.asked("replay", "--topic", "cs3.resource")
    assert done["sent"] == done["entities"] > 0
    night.seen(f"{metric} > {shown}")
    page = night.told("LockstepReplaying")
    wait_until(lambda: night.replayed() == before + done["sent"], 60, "apply to have taken them")
    night.world.drained()
    assert night.world.target.writes_since(calls) == {}
    night.admin.follow(page)


def the_target_is_restored_from_an_old_backup(night):
    """What somebody touches is made again by itself; all else when each entity is compared with it."""
    world, site = night.world, night.world.site
    world.target.ask("/backup", "POST")
    file = site.upload(site.files(site.users[0]), "newer than the backup.txt", b"first")
    night.work()
    world.drained()
    world.target.ask("/restore", "POST")
    site.overwrite(file, b"second")
    night.seen("lockstep_apply_lost_total > 0")
    page = night.told("LockstepTargetLost")
    night.admin.follow(page)
    sent = len(world.read("replay"))
    wait_until(lambda: night.replayed() == sent and night.daemons.status("apply")["looking"] == 0, 60,
               "all looks at the target")
    world.drained()
    night.admin.follow(page, "afterwards")


def what_the_manual_says_besides(night):
    """A snapshot of some, one that is paused, what shows itself again and again."""
    users, say = night.world.site.users, night.admin.say
    say("lockstep snapshot start --user USER --user OTHER", USER=users[0], OTHER=users[1])
    night.daemons.wait_snapshot()
    night.daemons.stop("capture")
    night.daemons.start("capture", args=["--set", "capture.snapshot_chunk=1"])  # slow enough to be paused

    def paused():
        night.admin.try_one("lockstep snapshot start --all")
        return night.admin.try_one("lockstep snapshot pause")[0] == 0
    wait_until(paused, 120, "a snapshot to be paused before its end")
    night.admin.said.add("lockstep snapshot pause")
    night.daemons.stop("capture")
    night.daemons.start("capture")
    say("lockstep snapshot resume")
    night.daemons.wait_snapshot()
    night.daemons.stop("apply")
    night.admin.follow("records-lost", "apply")  # where nothing was lost it costs nothing
    night.daemons.wait_ready("apply")
    # but the poison record is read once more, too
    wait_until(lambda: night.asked("dlq", "list"), 60, "the letter that was dropped")
    letter, = night.asked("dlq", "list")
    night.admin.follow("dead-letters", "drop", LETTER=letter["letter"], TEXT="nobody knows who sent it")
    assert "\033" not in night.admin.watch("lockstep status --watch")


TROUBLES = (a_daemon_dies, the_target_is_away, a_poison_record_arrives, somebody_works_in_ocis, a_sweep_waits,
            binlogs_are_purged_while_capture_is_off, the_target_is_restored_from_an_old_backup,
            a_topic_is_replayed)


@pytest.mark.skipif("__import__('os').environ.get('LOCKSTEP_TEST_TARGET', 'sim') != 'sim'",
                    reason="the simulator is taken down and told what to answer")
def test_each_trouble_of_a_night_is_seen_told_and_repaired_by_its_runbook(new_world, tmp_path):
    world = new_world(sets=SETS)
    world.work.populate(3, actions=20)
    with Prometheus(tmp_path / "prometheus", world.daemons.ports.values(), RULES, hurry=True) as prometheus:
        night = Night(world, prometheus)
        world.daemons.start()
        world.daemons.wait_snapshot()
        world.drained()
        night.quiet()
        for trouble in TROUBLES:
            night.play(trouble)
        gtid = world.bed.mariadb.sql("SELECT @@gtid_binlog_pos")[0][0].split(",")[0]
        night.work()
        world.drained()
        world.assert_equal()
        world.assert_balanced()
        for stage in STAGES:
            assert world.daemons.status(stage)["dead"] == {}, stage
        night.quiet()
        # what the manual names to look with works, too
        letter = night.asked("dlq", "list", "--all")[0]["letter"]
        user = world.site.users[0]
        file = next(n for n in world.site.files(user).below() if not n.folder)
        looked = night.admin.look_around(FILEID=file.id, LETTER=letter, USER=user, GTID=gtid)
        assert len(looked) >= 10, looked
        what_the_manual_says_besides(night)
        assert night.admin.unsaid() == set()
        world.drained()
        world.assert_equal()
        world.assert_balanced()
        night.quiet()
