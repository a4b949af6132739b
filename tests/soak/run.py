"""
The tests of tests/scenarios/exact, of transform/test_exact.py and test_histories.py with their full
counts, and a table of what was done.

    make soak                                    everything
    make soak SOAK="-k snapshots"                pytest's own options
    SOAK_SNAPSHOTS=50 SOAK_SEED=7 make soak      other counts, another seed

What passed and failed is pytest's word; the table says how often each thing was tried.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# name: how often, what
COUNTS = {
    "SOAK_SNAPSHOTS": (300, "snapshots under six writers, on each server"),
    "SOAK_CUT_EVERY": (1, "the connection is cut at every n-th event, chosen at random"),
    "SOAK_RECORDING_CUT_EVERY": (1, "the same in each recording of $LOCKSTEP_RECORDINGS"),
    "SOAK_EVENT_KILLS": (60, "SIGKILL behind a chosen event"),
    "SOAK_KILLS": (200, "SIGKILL at random moments under load"),
    "SOAK_OUTAGES": (20, "Kafka is away for longer than a session, stopped or killed"),
    "SOAK_ROWS": (2000000, "rows in one transaction"),
    "SOAK_TRANSFORM_KILLS": (200, "SIGKILL of transform at random moments under load"),
    "SOAK_TRANSFORM_MEMBERS": (60, "instances of transform that join, leave, crash and sleep"),
    "SOAK_HISTORIES": (500, "random days through the whole chain, apply killed at random moments"),
    "SOAK_HISTORY_ACTIONS": (2000, "actions in each of them"),
}


def table(path):
    """The tests' own words, one line for each."""
    for line in path.read_text().splitlines():
        numbers = json.loads(line)
        what = numbers.pop("what")
        yield f"{what}: " + ", ".join(f"{v:,} {k.replace('_', ' ')}" for k, v in numbers.items())


def main():
    env = dict(os.environ)
    for name, (full, _) in COUNTS.items():
        env.setdefault(name, str(full))
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        env["SOAK_SUMMARY"] = str(Path(folder) / "summary")
        Path(env["SOAK_SUMMARY"]).touch()
        start = time.monotonic()
        status = subprocess.run(
            [sys.executable, "tests/pytest_venv.py", "tests/scenarios/exact",
             "tests/scenarios/transform/test_exact.py", "tests/scenarios/test_histories.py", *shlex.split(env.get("SOAK", ""))],
            cwd=ROOT, env=env).returncode
        print(f"\nsoak, {time.monotonic() - start:.0f} s, seed {env.get('SOAK_SEED', '4')}: "
              f"{'all passed' if status == 0 else 'FAILED'}")
        for line in table(Path(env["SOAK_SUMMARY"])):
            print("  " + line)
    return status


if __name__ == "__main__":
    sys.exit(main())
