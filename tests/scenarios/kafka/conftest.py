"""Capture's own harness, for what Kafka does to it."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "transform"), str(HERE.parent / "capture"), str(HERE)]
from harness import Capture  # noqa: E402


@pytest.fixture
def new_capture(bed, tmp_path):
    made = []

    def make(sets=None):
        made.append(Capture(bed, tmp_path / f"c{len(made)}", sets))
        return made[-1]

    yield make
    for capture in made:
        capture.close()
