"""
make demo: the main job in one command, on throwaway servers.

Builds, starts the bed (MariaDB, Kafka, a real oCIS where there is one and else the simulator),
loads a small ownCloud 10 site, starts the daemons, lets its users work for half a minute, waits
until everything has arrived, asks the demo's Prometheus for every panel of the dashboards, and
`lockstep verify`. The exit status is 0 only when both sides are equal and no panel is without data.
Everything ends with this process; the logs stay in build/demo until the next
demo or `make demo-stop`.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
FOLDER = ROOT / "build" / "demo"
KEEPER = FOLDER / "demo.pid"
RULES = ROOT / "packaging/prometheus/lockstep.rules.yml"
SETS = {"source.headroom_ms": 1000}  # the panel of the binlogs need not wait for a minute


def running():
    """The process of a demo that runs, or None."""
    try:
        pid = int(KEEPER.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return pid if b"demo/main.py" in command else None
    except (OSError, ValueError):
        return None


def stop():
    pid = running()
    if pid:
        os.kill(pid, signal.SIGTERM)
        while running():
            time.sleep(0.1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    print("demo: stopped and cleaned up" if pid else "demo: nothing was running; cleaned up")
    return 0


def build():
    print("demo: building", flush=True)
    done = subprocess.run(["make", "-j2", "--no-print-directory", "all"], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.stdout.buffer.write(done.stdout[-4000:])
        sys.exit("demo: the build failed")


def start(args):
    from bed import BedError, fetch

    if running():
        sys.exit("demo: one is running; `make demo-stop` ends it")
    fetch.in_venv()  # starts this program again, with the tests' Python packages
    build()
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    KEEPER.write_text(str(os.getpid()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return play(args)
    except BedError as e:
        sys.exit(f"demo: {e}")
    finally:
        KEEPER.unlink(missing_ok=True)


def play(args):
    from bed import Bed
    from bed.dashboards import wait_for_data
    from bed.prometheus import Prometheus
    from bed.world import World
    from demo.page import Page
    from demo.screen import Screen

    os.environ["LOCKSTEP_TEST_TARGET"] = args.target
    print("demo: starting MariaDB, Kafka and the target (fetched at the first time)", flush=True)
    with Bed(folder=FOLDER / "bed") as bed, \
            World(bed, FOLDER / "site", args.seed, sets=SETS) as world, \
            Page(world.daemons.status) as page, \
            Prometheus(FOLDER / "prometheus", world.daemons.ports.values(), RULES) as prometheus:
        # a source that purges by age, so that there is a time left
        bed.mariadb.sql("SET GLOBAL binlog_expire_logs_seconds=86400")
        what = "a real oCIS" if world.target.kind == "oCIS" else "the oCIS simulator, no real oCIS"
        print(f"demo: the target is {what}", flush=True)
        print(f"demo: look at {page.url} (all stages on one page), "
              f"{prometheus.url} (Prometheus)", flush=True)
        print("demo: making a small ownCloud 10 site", flush=True)
        world.work.populate(users=6, actions=150)
        daemons = world.daemons
        for stage in ("capture", "transform", "apply"):
            daemons.spawn(stage)
        screen = Screen(daemons, world.target)
        wait(daemons, screen, "first copy",
             lambda: daemons.status("capture").get("snapshot", {}).get("state") == "done", 90)
        world.work.run(seconds=args.seconds, rate=args.rate,
                       between=lambda: screen.show("users at work"))
        since = (int(time.time()) + 1) * 1000000
        wait(daemons, screen, "draining", lambda: not daemons.behind(since), 120)
        panels = panels_have_data(prometheus, wait_for_data)
        print(f"\n{sum(world.work.done.values())} actions, "
              f"{world.site.cache.statements} statements at ownCloud 10; lockstep verify:\n")
        status, table = world.verify()
        print(table)
        print(f"demo: both sides are {'equal' if status == 0 else 'NOT equal'}; "
              f"the target was {what}")
        return status if panels else status or 1


def panels_have_data(prometheus, wait_for_data):
    """Whether each query of each panel has data; says so, or which has none."""
    from bed import BedError

    try:
        n = wait_for_data(prometheus, 30)
    except BedError as e:
        print(f"\ndemo: dashboards: {e}")
        return False
    print(f"\ndemo: dashboards: each of the {n} queries of the panels has data in {prometheus.url}")
    return True


def wait(daemons, screen, title, done, seconds):
    """Shows the screen until it is done; says which daemon died, when one does."""
    end = time.monotonic() + seconds
    while not done():
        for stage, process in daemons.running.items():
            if not process.alive():
                process.fail(f"ended with status {process.status()}")
        if time.monotonic() > end:
            sys.exit(f"demo: {title} took more than {seconds} s; logs are in {FOLDER}")
        screen.show(title)
        time.sleep(0.1)
    screen.show(title, force=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("command", choices=("start", "stop"))
    parser.add_argument("--target", choices=("auto", "sim", "ocis"), default="auto")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--rate", type=float, default=10, help="actions a second, at most")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    return stop() if args.command == "stop" else start(args)


if __name__ == "__main__":
    sys.exit(main())
