"""
The servers that scenarios share. `bed` lives as long as the run; `world` is one scenario's own:
a site, the daemons' configuration, a fresh target, all closed at the end; the counters of each daemon
that runs must balance there. The logs of a scenario
that failed are shown by their place.
"""

import pytest

from bed import Bed, Databases
from bed.world import World


@pytest.fixture(scope="session")
def bed(tmp_path_factory):
    with Bed() as bed:
        yield bed


@pytest.fixture(scope="session")
def databases(bed):
    """databases("mysql-5.7", "gtid_mode=OFF"): that server, started by the first who asks."""
    made = Databases(bed.folder / "db")
    made.made["mariadb-10.11", ()] = bed.mariadb
    yield made
    made.stop()


@pytest.fixture
def new_world(bed, tmp_path, request):
    """Makes worlds with options; all are closed at the end."""
    worlds = []

    def make(**options):
        worlds.append(World(bed, tmp_path / f"w{len(worlds)}", **options))
        return worlds[-1]

    yield make
    try:
        for world in worlds:
            world.daemons.check_balance()
    finally:
        for world in worlds:
            world.close()


@pytest.fixture
def world(new_world):
    return new_world()
