"""The workload never contradicts itself: rows, disk and memory agree after any random run."""

import pytest

from bed import Bed
from workload import consistency
from workload.site import Site
from workload.workload import Workload


@pytest.fixture(scope="module")
def bed():
    with Bed(kafka=False) as bed:
        yield bed


def new_site(bed, tmp_path, seed):
    bed.mariadb.sql("DROP DATABASE owncloud; CREATE DATABASE owncloud CHARACTER SET utf8mb4"
                    " COLLATE utf8mb4_bin")
    site = Site(tmp_path / "data", seed, unix_socket=bed.mariadb.socket, user="owncloud",
                password="owncloud", database="owncloud")
    site.create_tables()
    return site


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rows_and_disk_agree_after_a_random_run(bed, tmp_path, seed):
    site = new_site(bed, tmp_path, seed)
    work = Workload(site, seed)
    work.populate(6)
    work.run(actions=400)
    assert consistency.problems(site) == []
    assert len(work.done) > 20, "the run was to hit most kinds of actions"


def test_every_action_can_happen(bed, tmp_path):
    site = new_site(bed, tmp_path, 7)
    work = Workload(site, 7)
    work.populate(6)
    for _ in range(20):  # the rare ones come when they come: what is done depends on the clock, too
        work.run(actions=500)
        if set(work.done) == set(Workload.WEIGHTS):
            break
    assert set(work.done) == set(Workload.WEIGHTS)


def test_a_site_taken_up_again_goes_on(bed, tmp_path):
    site = new_site(bed, tmp_path, 4)
    Workload(site, 4).populate(4)
    again = Site(tmp_path / "data", 5, unix_socket=bed.mariadb.socket, user="owncloud",
                 password="owncloud", database="owncloud")
    again.load()
    Workload(again, 5).run(actions=100)
    assert consistency.problems(again) == []


def test_a_big_folder_is_renamed_in_one_transaction(bed, tmp_path):
    site = new_site(bed, tmp_path, 5)
    site.create_user("alice")
    site.login("alice")
    folder = site.big_folder("alice", "many", 2000)
    before = bed.mariadb.sql("SELECT @@gtid_binlog_pos")
    site.cache.move(folder, folder.parent, "renamed")
    site.disk(folder).parent.joinpath("many").rename(site.disk(folder))
    after = bed.mariadb.sql("SELECT @@gtid_binlog_pos")
    count = [int(p[0][0].rsplit("-", 1)[1]) for p in (before, after)]
    assert count[1] - count[0] == 1
    assert consistency.problems(site) == []


def test_the_same_seed_does_the_same(bed, tmp_path):
    shapes = []
    for run in ("a", "b"):
        site = new_site(bed, tmp_path / run, 9)
        work = Workload(site, 9)
        work.populate(4)
        work.run(actions=150)
        shapes.append(sorted((n.storage, n.path.split(".d17")[0], n.size)
                             for n in site.cache.nodes.values() if n.path.startswith("files/")))
    assert shapes[0] == shapes[1]
