"""
Child processes of the bed: started on free ports, polled until they answer, never left behind.

A child gets SIGKILL from the kernel when the thread that started it ends (setpriv --pdeathsig), so
start servers from the main thread. The kernel forgets that wish when a process changes its user;
therefore no server of the bed is told to switch users, as root they run as root. Each child leads
a process group of its own, so that stop() reaches its children too, and writes into a log file
whose end is part of every error message.
"""

import fcntl
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

_RANDOM = random.Random(os.urandom(8))
# what is waited for comes within seconds; a machine with more to do than it can must fail no test
PATIENCE = 150


class BedError(Exception):
    """A server did not start or did not answer; the text says which and shows its log."""


class _Ports:
    """
    The ports this process was given, so that no other of the suites that run at once is given
    them between the question and the server's start. Each is one locked byte of a file: the
    kernel gives them back when the process ends, however it ends.
    """

    def __init__(self):
        self.file = None
        self.taken = set()

    def take(self, port):
        """True if the port is now ours; False if it was given before, here or elsewhere."""
        if self.file is None:
            path = Path(tempfile.gettempdir()) / f"lockstep-ports-{os.getuid()}"
            self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if port in self.taken:
            return False
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        self.taken.add(port)
        return True


_PORTS = _Ports()


def free_port():
    """
    A TCP port nobody listens on and no other process of the bed was given, below the range the
    kernel takes for connections.
    """
    for _ in range(200):
        port = _RANDOM.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if _PORTS.take(port):
            return port
    raise BedError("no free TCP port between 15000 and 32000")


def wait_until(check, seconds, what, every=0.05):
    """
    Polls check() until it returns something true, and returns that. BedError after `seconds`, and
    never before PATIENCE: how fast a thing is, is nothing a test decides. A KeyError counts as "not
    yet": a daemon that is starting has an empty status.
    """
    seconds = max(seconds, PATIENCE)
    end = time.monotonic() + seconds
    while True:
        try:
            result, missing = check(), ""
        except KeyError as e:
            result, missing = None, f" (no {e} at the end)"
        if result:
            return result
        if time.monotonic() > end:
            raise BedError(f"waited {seconds:g} s in vain for {what}{missing}")
        time.sleep(every)


def tail(path, lines=15):
    """The last lines of a log, for an error message."""
    try:
        text = Path(path).read_text(errors="replace")
    except OSError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(empty log)"


class Process:
    """A running child with its log."""

    def __init__(self, name, argv, log, env=None, cwd=None, stdout=None):
        self.name = name
        self.log = Path(log)
        self.argv = [str(a) for a in argv]
        with open(self.log, "ab") as out:
            try:
                # setpriv, not a preexec_fn: gRPC's threads do not survive a fork of Python
                self.child = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *self.argv], stdin=subprocess.DEVNULL,
                    stdout=stdout or out, stderr=out, env=env, cwd=cwd, start_new_session=True)
            except OSError as e:
                raise BedError(f"cannot start {name}: {e}") from e

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child.poll() is None

    def status(self):
        """The exit status; None while it runs; negative for a signal."""
        return self.child.poll()

    def fail(self, what):
        raise BedError(f"{self.name} {what}; end of {self.log}:\n{tail(self.log)}")

    def wait_ready(self, check, seconds):
        """Polls check() until true; a clear error when the process dies or the time is up."""
        def look():
            if not self.alive():
                self.fail(f"ended with status {self.status()} before it was ready")
            return check()
        try:
            return wait_until(look, seconds, self.name)
        except BedError as e:
            if str(e).startswith(self.name):
                raise
            self.fail(f"was not ready after {seconds:g} s")

    def wait(self, seconds):
        """Waits for the end of the process and returns its status."""
        seconds = max(seconds, PATIENCE)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.fail(f"did not end within {seconds:g} s")

    def signal(self, number):
        if self.alive():
            os.kill(self.pid, number)

    def kill(self):
        """SIGKILL to the whole group, as a crash would."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def stop(self, seconds=60, asked=False):
        """SIGTERM (unless it was sent), and SIGKILL when that is not enough. The exit status."""
        if self.alive():
            if not asked:
                self.signal(signal.SIGTERM)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        self.kill()
        return self.child.returncode


def run(argv, what, **kwargs):
    """Runs a command to its end; BedError with its words when it fails. Returns its output."""
    try:
        done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, **kwargs)
    except OSError as e:
        raise BedError(f"{what}: {e}") from e
    if done.returncode != 0:
        text = done.stdout.decode(errors="replace")
        raise BedError(f"{what}: status {done.returncode}\n" + "\n".join(text.splitlines()[-20:]))
    return done.stdout
