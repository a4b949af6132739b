"""A command that goes on until it is interrupted (`lockstep status --watch`), on a terminal or not."""

import errno
import os
import select
import signal
import subprocess
import tempfile

from .process import BedError


def watched(argv, mark, screen=False):
    """What it wrote until it had written `mark` twice; then it is interrupted, and must end by that."""
    text = b""
    read, write = os.openpty() if screen else os.pipe()
    with tempfile.TemporaryFile() as said:
        # Who runs the tests in the background may have SIGINT ignored. Not by a preexec_fn: gRPC's
        # threads do not survive a fork of Python.
        child = subprocess.Popen(["env", "--default-signal=INT", *argv], stdin=subprocess.DEVNULL,
                                 stdout=write, stderr=said)
        os.close(write)
        try:
            while text.count(mark) < 2 and child.poll() is None:
                if select.select([read], [], [], 1)[0]:
                    text += os.read(read, 4096)
        except OSError as e:
            if e.errno != errno.EIO:  # what a terminal says that nobody writes to any more
                raise
        finally:
            child.send_signal(signal.SIGINT)
            status = child.wait(60)
            os.close(read)
        said.seek(0)
        if status != -signal.SIGINT:
            raise BedError(f"{argv} ended ({status}): {text}, {said.read()}")
    return text
