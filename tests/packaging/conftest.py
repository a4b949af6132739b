"""What is installed, once for all tests of this folder."""

import subprocess

import pytest

from bed.daemons import BIN
from bed.fetch import ROOT


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The root of a folder that `make install` filled as a distribution does."""
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["make", "-s", "install", f"DESTDIR={root}", "PREFIX=/usr",
                    "UNITDIR=/lib/systemd/system"], cwd=ROOT, check=True)
    return root


@pytest.fixture(scope="session")
def lockstep():
    """Runs one of the programs without a configuration; the status, what it said."""
    def run(*args, program="lockstep"):
        done = subprocess.run([BIN / program, *args], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120, text=True)
        return done.returncode, done.stdout
    return run
