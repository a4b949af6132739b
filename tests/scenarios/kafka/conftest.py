"""Capture's own harness, for what Kafka does to it."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "transform"), str(HERE.parent / "capture"), str(HERE)]
from bed.kafka import Guarded  # noqa: E402
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


@pytest.fixture(scope="session")
def guarded(tmp_path_factory):
    """Kafka with ACLs, and no rules yet: each test has users of its own."""
    kafka = Guarded(tmp_path_factory.mktemp("guarded"),
                    ["one", "asks", "blind", "capture", "transform", "apply", "command", "reads"])
    kafka.start()
    yield kafka
    kafka.stop()
