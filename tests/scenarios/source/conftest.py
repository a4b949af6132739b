"""Capture's own harness, for the servers it reads from."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / "capture"), str(Path(__file__).parents[1] / "exact")]
from harness import captures  # noqa: E402
from proxy import Proxy  # noqa: E402


@pytest.fixture
def new_capture(bed, tmp_path):
    yield from captures(bed, tmp_path)


@pytest.fixture
def new_proxy():
    made = []

    def make(database):
        made.append(Proxy(database.host, database.port))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture
def capture(new_capture):
    return new_capture()
