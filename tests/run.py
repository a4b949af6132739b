"""
Runs the test suites: each with its budget of time, none hidden by another.

    python3 tests/run.py             everything that CI runs (all but clang-tidy)
    python3 tests/run.py unit apply  just these

First the build; then the suites with servers, LANES at a time: each has servers, ports and folders of
its own, and mostly waits for them. What they leave of the two cores goes to what only needs the
compiler (BESIDE), which runs beside them at the lowest priority. Last, alone, what has deadlines of
its own. A suite's output is shown whole, at its end.

A suite fails when its command fails, or when it takes longer than its budget. What passed, failed
and was skipped is read from the closing lines of cmocka and pytest; a suite without such lines
counts as one. At the end: a table, why each failed suite failed (failures.py), and as the last line
the sum: "N passed, N failed, N skipped".

Of thousands of tests with real servers on two cores, one may fail because the machine stood still. So
when very few have failed (AGAIN_AT_MOST), they are run once more, alone. What passes then is UNSTEADY:
named at the end with why it failed at first, counted in the sum, and a defect of it or of the code all
the same. Never run again: what a sanitizer, a compiler or the end of its time has ended.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import failures

ROOT = Path(__file__).resolve().parents[1]
MAKE = ["make", "--no-print-directory", "-j2"]
WAITING = ["make", "--no-print-directory", "-j4"]  # of what runs, half only waits


def pytest(*where, alone=False):
    """A suite of pytest; `alone`: not what lies in folders below."""
    return [sys.executable, "tests/pytest_venv.py", *where] + (["--not-below"] if alone else [])


# name: seconds it may take on two cores, cold, beside others; command
SUITES = {
    "format": (120, MAKE + ["check-format"]),
    "build": (240, MAKE + ["all"]),
    "clang": (600, MAKE + ["check-clang"]),
    "cppcheck": (400, MAKE + ["check-cppcheck"]),
    "tidy": (600, MAKE + ["check-tidy"]),
    "unit-build": (1200, MAKE + ["unit-build"]),
    "fuzz": (900, MAKE + ["fuzz-smoke"]),
    "unit": (900, WAITING + ["unit"]),
    "contract": (600, pytest("tests/contract")),
    "packaging": (240, pytest("tests/packaging")),
    "workload": (180, pytest("tests/workload")),
    "ops": (180, pytest("tests/ops")),
    "runner": (180, pytest("tests/runner")),
    "source": (1800, pytest("tests/scenarios/source")),
    "exact": (1700, pytest("tests/scenarios/exact")),
    "capture": (1500, pytest("tests/scenarios/capture")),
    "scenarios": (1400, pytest("tests/scenarios", alone=True)),
    "kafka": (1300, pytest("tests/scenarios/kafka")),
    "apply": (1200, pytest("tests/scenarios/apply")),
    "recordings": (1000, pytest("tests/recordings")),
    "transform": (900, pytest("tests/scenarios/transform")),
}
# not the recordings: they play days in seconds, with the data directory of the last of them, and
# what is slower than that takes a file whose later rows it has not seen for one without content.
# The longest first, so that all lanes end at about the same time.
LANES = 3
TOGETHER = ("scenarios", "apply", "source", "exact", "kafka", "contract", "transform", "capture",
            "packaging", "runner", "workload", "ops")
BESIDE = ("unit-build", "clang", "fuzz", "cppcheck")
LAST = ("unit", "recordings")
# the lowest priority among the processes of its session, and of its session among the others
LOW = ["sh", "-c", 'echo 19 2>/dev/null >/proc/self/autogroup; exec nice -n 19 "$@"', "low"]
PRINTING = threading.Lock()
RUNNING = set()  # the suites' processes, each the first of its session
STOPPED = threading.Event()  # from outside: what has not begun does not begin
AGAIN_AT_MOST = 4  # tests
PATIENCE = 60  # seconds, for what was interrupted or killed to end
ONLY_IN_CHECK = ("tidy",)  # `make check` has it; too slow for every run
COUNTS = (
    (re.compile(r"\[  PASSED  \] (\d+) test"), 0),
    (re.compile(r"\[  FAILED  \] (\d+) test"), 1),
    (re.compile(r"\[  SKIPPED \] (\d+) test"), 2),
)


def count(text, status):
    """(passed, failed, skipped) of a suite, from what it printed."""
    sums = [0, 0, 0]
    for pattern, column in COUNTS:
        sums[column] += sum(int(n) for n in pattern.findall(text))
    for line in re.findall(r"^=+ (.*) in [\d.:]+s.* =+$", text, re.M):
        for n, word in re.findall(r"(\d+) (passed|failed|error|skipped)", line):
            sums[{"passed": 0, "failed": 1, "error": 1, "skipped": 2}[word]] += int(n)
    if not any(sums):
        sums[0 if status == 0 else 1] = 1
    if status != 0 and not sums[1]:
        sums[1] = 1
    return sums


def send(child, number):
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        pass


def within(child, seconds):
    """All that a suite prints; raises TimeoutExpired. Asked for every second: a signal to us that comes
    just before Python waits is not heard until the wait is over."""
    last = time.monotonic() + seconds
    while True:
        try:
            return child.communicate(timeout=min(1, max(0, last - time.monotonic())))[0]
        except subprocess.TimeoutExpired:
            if time.monotonic() >= last:
                raise


def output(child, seconds):
    """All that a suite prints; and whether it ended by itself. One that does not within its time is
    interrupted (pytest then stops its servers and sums up), and killed when it does not heed that.
    What is left of it and holds its output open is not waited for."""
    out = b""
    for turn, patience in enumerate((seconds, PATIENCE, PATIENCE)):
        try:
            return within(child, patience), turn == 0
        except subprocess.TimeoutExpired as ex:
            out = ex.output or b""
            send(child, (signal.SIGINT, signal.SIGKILL, signal.SIGKILL)[turn])
    return out, False


@dataclass
class Row:
    """What became of a suite."""

    name: str
    counts: list  # passed, failed, skipped
    seconds: float = 0
    remark: str = ""  # what is wrong beside the failed tests, or the status
    why: list = ()  # lines
    again: list = None  # the command that runs once more what failed, where that may be done
    unsteady: int = 0  # tests that failed, and passed when run again
    first: list = ()  # why they failed at first: lines


def again(command, text, status):
    """The command for just what failed; None where that is not run again."""
    if command[:2] == pytest()[:2]:
        return command + ["--lf"] if status == 1 else None
    programs = []
    for line in re.findall(r"^make.*\*\*\* (.*)", text, re.M):
        failed = re.fullmatch(r"\[\S+: \S*/unit/(\S+)\.run\] Error (?!124)\d+", line)
        if failed:
            programs.append(f"tests/unit/{failed[1]}.c")
        elif not re.fullmatch(r"\[\S+: unit\] Error 2", line):  # its make's own end
            return None
    if not programs or failures.of_sanitizers(text):
        return None
    return command + ["UNIT_SRC=" + " ".join(programs)]


def play(name, command, low=()):
    """Runs one suite, its output kept."""
    budget, start = SUITES[name][0], time.monotonic()
    if STOPPED.is_set():
        return Row(name, [0, 1, 0], remark="not begun", why=["not begun: stopped from outside"])
    child = subprocess.Popen([*low, *command], cwd=ROOT, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True)
    RUNNING.add(child)
    if STOPPED.is_set():  # since the look above
        send(child, signal.SIGINT)
    out, in_time = output(child, budget)
    RUNNING.discard(child)
    text = out.decode(errors="replace")
    with PRINTING:
        print(f"\n==== {name} (at most {budget} s): {' '.join(command)}")
        sys.stdout.flush()
        sys.stdout.buffer.write(out)
        sys.stdout.flush()
    status = child.returncode
    remark = ("stopped from outside" if STOPPED.is_set() else f"status {status}" if in_time and status
              else "" if in_time else f"over its budget of {budget} s")
    counts = count(text, status)
    row = Row(name, counts, time.monotonic() - start, remark)
    if counts[1] or remark:
        row.why = failures.of(text, remark)
        row.again = again(command, text, status) if remark == f"status {status}" else None
    return row


def run(name, low=()):
    return play(name, SUITES[name][1], low)


def settle(rows):
    """The few that failed, once more and alone."""
    failed = [row for row in rows if row.why]
    if not all(row.again for row in failed) or sum(row.counts[1] for row in failed) > AGAIN_AT_MOST:
        return
    for row in failed:
        second = play(row.name, row.again)
        row.seconds += second.seconds
        if not second.why and second.counts[0] >= row.counts[1]:
            row.unsteady, row.first, row.why, row.remark = row.counts[1], row.why, [], "unsteady"
            row.counts = [row.counts[0] + row.unsteady, 0, row.counts[2]]


def run_all(names):
    """What needs the cores, alone; the lanes, and beside them what only compiles; what is left."""
    lanes = [n for n in TOGETHER if n in names]
    beside = [n for n in BESIDE if n in names] if lanes else []
    alone = [n for n in names if n not in lanes + beside]
    rows = [run(n) for n in alone if n not in LAST]
    with ThreadPoolExecutor(max_workers=LANES) as pool, ThreadPoolExecutor(max_workers=1) as low:
        compiled = low.map(lambda n: run(n, LOW), beside)
        rows += [*pool.map(run, lanes), *compiled]
    return rows + [run(n) for n in alone if n in LAST]


def stop(number, _):
    """The suites that run are interrupted, at the second time killed; the table is printed."""
    again = STOPPED.is_set()
    STOPPED.set()
    for child in tuple(RUNNING):
        send(child, signal.SIGKILL if again else signal.SIGINT)


def main():
    names = sys.argv[1:]
    if names == ["--list"]:
        print("\n".join(SUITES))
        return 0
    unknown = [n for n in names if n not in SUITES]
    if unknown:
        print(f"no suite {unknown[0]}; there are: {', '.join(SUITES)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    start = time.monotonic()
    rows = run_all(names or [n for n in SUITES if n not in ONLY_IN_CHECK])
    settle(rows)
    total = [sum(column) for column in zip(*(row.counts for row in rows))]
    print(f"\n{'suite':<12}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}{'budget':>8}")
    for row in rows:
        print(f"{row.name:<12}{row.counts[0]:>8}{row.counts[1]:>8}{row.counts[2]:>8}{row.seconds:>9.0f}"
              f"{SUITES[row.name][0]:>8}  {row.remark}")
    print(f"{'all':<12}{'':>24}{time.monotonic() - start:>9.0f}")
    for row in rows:
        if row.unsteady:
            print(f"\nUNSTEADY: {row.name}: failed, and passed when run again", *row.first, sep="\n  ")
        if row.why:
            print(f"\nFAILED: {row.name}", *row.why, sep="\n  ")
    unsteady = sum(row.unsteady for row in rows)
    print(f"\n{total[0]} passed, {total[1]} failed, {total[2]} skipped"
          + (f"; {unsteady} unsteady" if unsteady else ""), flush=True)
    return 1 if any(row.why for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
