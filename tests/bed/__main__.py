"""
The bed from the command line, for work by hand:

    PYTHONPATH=tests python3 -m bed start [--folder F] [--target sim|ocis|auto] [--mysql] [--registry]
    PYTHONPATH=tests python3 -m bed status [--folder F]
    PYTHONPATH=tests python3 -m bed stop [--folder F]

`start` leaves a keeper behind that holds the servers: they end with it. F is build/bed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from . import Bed, BedError, fetch
from .process import tail, wait_until


def keeper_pid(folder):
    """The keeper that holds the folder, or None."""
    try:
        pid = int((folder / "keeper.pid").read_text())
        os.kill(pid, 0)
        return pid
    except (OSError, ValueError):
        return None


def keep(args):
    """The keeper: starts the bed, writes bed.json, waits for SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    (args.folder / "keeper.pid").write_text(str(os.getpid()))
    bed = Bed(folder=args.folder, mysql=args.mysql, registry=args.registry, target=args.target,
              mariadb=not args.no_mariadb, kafka=not args.no_kafka)
    try:
        bed.start()
        bed.write_description()
        while not stop.wait(1):
            pass
    finally:
        bed.stop()
        for name in ("bed.json", "keeper.pid"):
            (args.folder / name).unlink(missing_ok=True)


def start(args):
    if keeper_pid(args.folder):
        raise BedError(f"a bed is running in {args.folder}")
    if args.target:
        fetch.venv_python()
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "bed.json").unlink(missing_ok=True)
    with open(args.folder / "keeper.log", "wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "bed", "keep"] + sys.argv[2:], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, start_new_session=True)
    described = args.folder / "bed.json"
    wait_until(lambda: described.is_file() or keeper.poll() is not None, 240, "the bed", 0.1)
    if not described.is_file():
        raise BedError("the bed did not start:\n" + tail(args.folder / "keeper.log"))
    print(described.read_text(), end="")


def stop(args):
    pid = keeper_pid(args.folder)
    if not pid:
        print(f"no bed is running in {args.folder}")
        return
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not (args.folder / "keeper.pid").exists(), 60, "the end of the bed")


def status(args):
    if not keeper_pid(args.folder):
        raise BedError(f"no bed is running in {args.folder}")
    print(json.dumps(json.loads((args.folder / "bed.json").read_text()), indent=2))


def main():
    commands = {"start": start, "stop": stop, "status": status, "keep": keep}
    parser = argparse.ArgumentParser(prog="bed", description=__doc__.splitlines()[1])
    parser.add_argument("command", choices=sorted(commands))
    parser.add_argument("--folder", type=Path, default=fetch.ROOT / "build" / "bed")
    parser.add_argument("--target", choices=("sim", "ocis", "auto"))
    parser.add_argument("--mysql", action="store_true")
    parser.add_argument("--registry", action="store_true")
    parser.add_argument("--no-mariadb", action="store_true")
    parser.add_argument("--no-kafka", action="store_true")
    args = parser.parse_args()
    args.folder = args.folder.resolve()
    try:
        commands[args.command](args)
    except BedError as e:
        sys.exit(f"bed: {e}")


if __name__ == "__main__":
    main()
