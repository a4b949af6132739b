"""
A test that hangs says its name: what takes longer than LIMIT fails, with the place where it stood, and
the others go on. $LOCKSTEP_TEST_SECONDS is another limit, 0 none (soak has none).

SIGINT (or SIGTERM) is what a suite gets when its time is up: the test that runs fails the same way, its
servers end, and the run closes in order, with its list of failures and its sum. What does not come to an end
even then (it hangs in C, where no exception reaches it, or in a thread) ends with the stacks of all
threads. A plugin of pytest, which pytest_venv.py loads.
"""

import faulthandler
import os
import signal
from contextlib import contextmanager
from pathlib import Path

import pytest

# many times what the slowest takes; what is fetched at first is fetched within it
LIMIT = int(os.environ.get("LOCKSTEP_TEST_SECONDS") or (0 if "SOAK_SUMMARY" in os.environ else 600))
CLOSING = 45  # less than run.py waits for


def place(frame):
    """Where the test stands, not what it calls."""
    first = frame
    while frame and not Path(frame.f_code.co_filename).name.startswith("test_"):
        frame = frame.f_back
    frame = frame or first
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Ending:
    """What a signal asked for, and whether a test can be told of it now."""

    def __init__(self, stderr):
        self.stderr = stderr  # the real one, which pytest does not keep for a report
        self.session, self.asked, self.telling = None, None, False

    def ask(self, number, frame):
        if self.asked:
            if number == signal.SIGINT:  # somebody at a terminal has no patience
                raise KeyboardInterrupt
            return
        self.asked = signal.Signals(number).name
        self.last_word(CLOSING)
        if self.session:
            self.session.shouldstop = f"ended by {self.asked}"
        if self.telling:
            pytest.fail(f"ended by {self.asked} at {place(frame)}")

    def late(self, _, frame):
        if self.telling:
            pytest.fail(f"took longer than {LIMIT} s; stood at {place(frame)}")

    def last_word(self, seconds):
        """The stacks and the end, unless it is taken back."""
        faulthandler.dump_traceback_later(seconds, exit=True, file=self.stderr)

    @contextmanager
    def told(self):
        """Around one part of a test, whose failures pytest reports as the test's."""
        if LIMIT:
            # again and again: a signal that comes just before Python waits is not heard
            signal.setitimer(signal.ITIMER_REAL, LIMIT, 1)
            if not self.asked:
                self.last_word(LIMIT + CLOSING)
        self.telling = True
        try:
            yield
        finally:
            self.telling = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            if not self.asked:
                faulthandler.cancel_dump_traceback_later()


ENDING = pytest.StashKey[Ending]()


def pytest_configure(config):
    ending = config.stash[ENDING] = Ending(os.dup(2))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ending.ask)
    signal.signal(signal.SIGALRM, ending.late)


def pytest_unconfigure(config):
    config.stash[ENDING].last_word(CLOSING)  # a thread that was forgotten, which Python waits for


def pytest_sessionstart(session):
    ending = session.config.stash[ENDING]
    ending.session = session
    if ending.asked:
        session.shouldstop = f"ended by {ending.asked}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    with item.config.stash[ENDING].told():
        if item.config.stash[ENDING].asked:
            pytest.fail("its suite was ended before it ran")
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    with item.config.stash[ENDING].told():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    with item.config.stash[ENDING].told():
        return (yield)
