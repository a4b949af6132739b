"""Capture's own harness, for the servers it reads from."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "capture"))
from harness import captures  # noqa: E402


@pytest.fixture
def new_capture(bed, tmp_path):
    yield from captures(bed, tmp_path)


@pytest.fixture
def capture(new_capture):
    return new_capture()
