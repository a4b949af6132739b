"""
A real Prometheus scrapes daemons at work: no panel of a dashboard without data, every rule can be
evaluated, and what goes wrong is seen in the metrics and then in an alert.
"""

import subprocess
from pathlib import Path

from bed import wait_until
from bed.daemons import BIN, STAGES
from bed.dashboards import wait_for_data
from bed.notify import Notify
from bed.prometheus import Prometheus
from bed.watched import watched

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "packaging/prometheus/lockstep.rules.yml"


def lag(prometheus, stage):
    found = prometheus.query(f'lockstep:lag_seconds{{stage="{stage}"}}')
    return found[0][1] if found else -1.0


def check_metrics(daemons, stage):
    """promtool finds nothing to say of a daemon's page."""
    page = daemons.get(stage, "/metrics")[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=page, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0 and not done.stdout.strip(), f"{stage}: {done.stdout}"


CLEAR = b"\033[H\033[J"


def watch(daemons):
    """The command looks again and again: on a terminal in the same place, else line after line."""
    for command in ("status", "lag"):
        argv = [BIN / "lockstep", command, "--config", daemons.config, "--watch"]
        shown = watched(argv, CLEAR, screen=True).split(CLEAR)
        assert shown[0] == b"" and all(f"{stage}/1".encode() in shown[1] for stage in STAGES), shown
        plain = watched(argv, b"STAGE ")
        assert b"\033" not in plain and plain.count(b"apply/1") >= 1, plain


def test_every_panel_has_data_and_trouble_is_an_alert(new_world, tmp_path, monkeypatch):
    world = new_world(sets={"source.headroom_ms": 500})
    daemons = world.daemons
    # a source that purges by age, so that there is a time left
    world.bed.mariadb.sql("SET GLOBAL binlog_expire_logs_seconds=86400")
    world.work.populate(3, actions=15)
    with Prometheus(tmp_path / "prometheus", daemons.ports.values(), RULES, hurry=True) as prometheus:
        with Notify(tmp_path) as notify, monkeypatch.context() as environment:
            environment.setenv("NOTIFY_SOCKET", notify.env["NOTIFY_SOCKET"])
            notify.hear([daemons.spawn(stage).pid for stage in STAGES], "READY=1")
        for stage in STAGES:
            daemons.wait_ready(stage)
        daemons.wait_snapshot()
        # alerts on what never was there yet: only that the daemons were not up at first
        wait_until(lambda: not prometheus.firing(), 60, "the alerts of the start to end")
        world.work.run(actions=60)
        world.drained()

        wait_for_data(prometheus, 60, between=lambda: world.work.run(actions=5))
        for stage in STAGES:
            check_metrics(daemons, stage)
            text = daemons.get(stage, "/metrics")[1]
            for uid in world.site.storages:
                assert f'"{uid}"' not in text, f"{stage} tells of {uid}"
        bad = [r for r in prometheus.rules() if r["health"] != "ok"]
        assert not bad, bad

        # nothing happens: the lag stays small all the same
        wait_until(lambda: 0 <= lag(prometheus, "apply") < 6, 60, "a small lag of an idle pipe")
        wait_until(lambda: not prometheus.firing(), 60, "silence")

        watch(daemons)

        # a stage hangs: its own page does not answer, and those behind it fall behind
        daemons.pause("transform")
        try:
            wait_until(lambda: "LockstepDown" in prometheus.firing(), 60, "the alert that it is down")
            wait_until(lambda: lag(prometheus, "apply") > 9, 60, "apply's lag to rise")
        finally:
            daemons.resume("transform")
        wait_until(lambda: not prometheus.firing(), 60, "the alert to end")
        wait_until(lambda: 0 <= lag(prometheus, "apply") < 6, 60, "the lag to fall again")

        # bytes that nobody can read: a dead letter, by its cause
        world.send("cs3.share", "7", b"no record")
        wait_until(lambda: "LockstepDeadLetters" in prometheus.firing(), 60, "the alert of dead letters")
        found = prometheus.query('lockstep:dead_letters{stage="apply"} > 0')
        assert [(labels["cause"], n) for labels, n in found] == [("malformed-avro", 1)]
