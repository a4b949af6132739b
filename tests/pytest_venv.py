"""
Runs pytest in build/venv (made when it is missing), with tests/ on the module path.

    python3 tests/pytest_venv.py tests/recordings [--not-below] [-k ...]

--not-below leaves out the folders below the given one: they are suites of their own. A folder
without tests is a skipped one, and says so. Who ends this process ends pytest, which closes in order
and says which test ran (hangs.py); the kernel sees to it when nobody else can any more.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from bed import fetch  # noqa: E402

NO_TESTS_COLLECTED = 5


def wait(child):
    """
    Its status. That the end is asked for is said again and again: a signal that comes just before
    Python waits is not heard.
    """
    ended = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: ended.append(number))
    while True:
        try:
            return child.wait(0.5)
        except subprocess.TimeoutExpired:
            if ended:
                child.terminate()


def main():
    args = sys.argv[1:]
    where = [a for a in args if not a.startswith("-") and (ROOT / a.split("::")[0]).exists()]
    if "--not-below" in args:
        args.remove("--not-below")
        args += [f"--ignore={p}" for w in where for p in (ROOT / w).iterdir() if p.is_dir()]
    python = fetch.venv_python()
    env = dict(os.environ, PYTHONPATH=str(ROOT / "tests"), PYTHONDONTWRITEBYTECODE="1")
    known = ROOT / "build" / "pytest" / "-".join(where).replace("/", "-")  # what failed: for --lf
    argv = ["setpriv", "--pdeathsig", "TERM", str(python), "-m", "pytest", "-o", f"cache_dir={known}",
            "-p", "hangs", "--rootdir", str(ROOT), "-rsfE", "--durations=5", "--import-mode=importlib",
            *args]
    status = wait(subprocess.Popen(argv, env=env))
    if status == NO_TESTS_COLLECTED:
        print(f"no tests in {' '.join(where)}: skipped")
        print("=== 1 skipped in 0.00s ===")
        return 0
    return status


if __name__ == "__main__":
    sys.exit(main())
