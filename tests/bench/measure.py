"""
A reader under measurement: when its first row was through, when its last, and what it took.

Readers say "first" and "end" themselves on stdout, or their stdout is the rows (count_lines). What it
took is asked of the kernel at the end, while the process still lives: CPU seconds of all its threads
and of the children it waited for, and the most memory it ever held.
"""

import os
import selectors
import statistics
import subprocess
import time

from bed.process import BedError, tail

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """By the process's own clock, to the nanosecond; of its children by the kernel's ticks."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    clock = ~pid << 3 | 2  # clock_getcpuclockid(3): CPUCLOCK_SCHED of a process
    return time.clock_gettime(clock) + sum(int(n) for n in fields[13:15]) / TICK


def peak_mb(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmHWM"):
                return round(int(line.split()[1]) / 1024, 1)
    return None


def taken(pid, began, first, last, rows):
    """The figures of one run. Wall time is from the first row to the last; the start is apart."""
    wall = max(last - first, 0.01)
    return {"rows": rows, "start_s": round(first - began, 2), "wall_s": round(wall, 2),
            "cpu_s": round(cpu_seconds(pid), 3), "max_rss_mb": peak_mb(pid),
            "rows_per_s": round(rows / wall), "load": round(os.getloadavg()[0], 2)}


def paired(one, other):
    """Of two that were measured in turn, the middle of the rounds' own ratios; None without both."""
    try:
        return round(statistics.median(
            a / b for a, b in zip(one["rounds"], other["rounds"], strict=True)), 3)
    except (KeyError, ZeroDivisionError):
        return None


class Lines:
    """A child whose stdout is read with a deadline."""

    def __init__(self, command, log):
        self.log, self.began = log, time.time()
        with open(log, "ab") as err:
            self.child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *(str(a) for a in command)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err)
        self.select = selectors.DefaultSelector()
        self.select.register(self.child.stdout, selectors.EVENT_READ)
        self.rest = b""

    @property
    def pid(self):
        return self.child.pid

    def read(self, seconds):
        """The next bytes; b"" at the end. BedError when nothing comes."""
        if not self.select.select(seconds):
            raise BedError(f"silent for {seconds} s; end of {self.log}:\n{tail(self.log)}")
        return os.read(self.child.stdout.fileno(), 1 << 20)

    def word(self, wanted, seconds):
        """Waits for a line that begins with this word: (when it came, the rest of it)."""
        end = time.time() + seconds
        while True:
            while b"\n" in self.rest:
                line, self.rest = self.rest.split(b"\n", 1)
                if line.split(b" ")[0] == wanted.encode():
                    return time.time(), line[len(wanted):].split()
            more = self.read(max(end - time.time(), 0))
            if not more:
                raise BedError(f"ended before '{wanted}'; end of {self.log}:\n{tail(self.log)}")
            self.rest += more

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child.stdout.close()


def first_to_end(command, log, rows, seconds=900):
    """A reader that says "first" and "end"."""
    reader = Lines(command, log)
    try:
        first, _ = reader.word("first", 120)
        last, _ = reader.word("end", seconds)
        return taken(reader.pid, reader.began, first, last, rows)
    finally:
        reader.stop()


def count_lines(command, log, rows, silence=60):
    """A reader whose stdout is one line a row."""
    reader, seen, first = Lines(command, log), 0, None
    try:
        while seen < rows:
            more = reader.read(silence)
            if not more:
                raise BedError(f"ended after {seen} of {rows} rows; see {log}")
            last = time.time()
            first = first or last
            seen += more.count(b"\n")
        return taken(reader.pid, reader.began, first, last, seen)
    finally:
        reader.stop()
