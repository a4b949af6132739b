"""The servers come from the scenarios' own conftest; a capture is each test's own."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from harness import Capture  # noqa: E402


@pytest.fixture
def new_capture(bed, tmp_path):
    made = []

    def make(sets=None, database=None):
        made.append(Capture(bed, tmp_path / f"c{len(made)}", sets, database))
        return made[-1]

    yield make
    for capture in made:
        capture.close()


@pytest.fixture
def capture(new_capture):
    return new_capture()
