"""
One Kafka for all tests here, and a pipe of its own (a prefix) for each. Every pipe's counters must
balance at its end.
"""

import importlib.util
import sys
import uuid
from pathlib import Path

import pytest

from bed import Bed

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE))  # story


def _load(name):
    spec = importlib.util.spec_from_file_location(f"transform_{name}", _HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


avro = _load("avro")
pipe = _load("pipe")


@pytest.fixture(scope="session")
def kafka():
    with Bed(mariadb=False, kafka=True) as bed:
        yield bed


@pytest.fixture
def new_pipe(kafka, tmp_path):
    pipes = []

    def make(**sets):
        pipes.append(pipe.Pipe(kafka, avro, f"p{uuid.uuid4().hex[:8]}",
                               tmp_path / f"pipe{len(pipes)}", sets))
        return pipes[-1]

    yield make
    try:
        for p in pipes:
            p.check_balance()
    finally:
        for p in pipes:
            p.close()
