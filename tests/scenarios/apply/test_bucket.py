"""ownCloud's primary storage is an S3 bucket: files are objects, beside a home on disk."""

import sys
from pathlib import Path

import pytest

from bed.process import wait_until
from bed.s3 import S3

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "contract"))
from client import OK, Client  # noqa: E402


@pytest.fixture(scope="module")
def s3(bed):
    server = S3(bed.folder / "s3")
    server.start()
    yield server
    server.stop()


class Bucket:
    """
    The files of chosen users are objects: their homes lie where nobody finds them, and the rows say
    object::user:.
    """

    def __init__(self, world, s3, *users):
        self.world, self.s3, self.users, self.there = world, s3, users, {}
        site = world.site
        for uid in users:
            site.sql("UPDATE oc_storages SET id = %s WHERE numeric_id = %s", f"object::user:{uid}",
                     site.storages[uid])
            site.sql("UPDATE oc_accounts SET home = %s WHERE user_id = %s", f"/nonexistent/{uid}", uid)

    def files(self):
        """fileid -> content, of all rows: files, trash, versions."""
        site = self.world.site
        return {n.id: site.disk(n).read_bytes() for uid in self.users
                for n in site.root(uid).below() if not n.folder}

    def follow(self):
        """What is in the rows is in the bucket, under its number."""
        wanted = self.files()
        for fileid in self.there.keys() - wanted.keys():
            self.s3.remove(fileid)
        for fileid, content in wanted.items():
            if self.there.get(fileid) != content:
                self.s3.put(fileid, content)
        self.there = wanted


def test_objects_are_carried_with_versions_and_trash_beside_a_home_on_disk(new_world, s3):
    world = new_world(sets={**s3.options(secret="another one"), "apply.retry_max_ms": 300})
    world.work.populate(2, actions=25)
    site, apply = world.site, world.daemons
    big = site.upload(site.files("alice"), "big.bin", bytes(range(256)) * 16384)
    bucket = Bucket(world, s3, "alice")
    assert bucket.files() and "bob" in site.storages
    bucket.follow()

    # a wrong key is nobody's dead letter: what is read from the bucket waits, and the rest goes on
    status, text = world.daemons.lockstep("check", "--data")
    assert status != 0 and "SignatureDoesNotMatch" in text and "s3_secret_key" not in text, text
    apply.start("capture", "transform")
    apply.spawn("apply")
    wait_until(lambda: "bucket-refused" in apply.get("apply", "/readyz")[1], 60, "/readyz to say why")
    wait_until(lambda: "welcome.txt" in world.cs3.walk("bob"), 60, "the file of the home on disk")
    assert world.dead_letters() == []
    apply.stop("apply")
    apply.start("apply", args=["--set", "data.s3_secret_key=" + s3.options()["data.s3_secret_key"]])
    apply.wait_snapshot()
    world.drained()
    assert world.cs3.walk("alice")["big.bin"].size == big.size
    world.assert_equal()

    # in the stream the row comes before its object
    new = site.upload(site.files("alice"), "late.txt", b"the object comes later")
    site.overwrite(big, b"smaller now")
    site.delete(site.files("alice").children["welcome.txt"])
    wait_until(lambda: apply.status("apply")["parked"].get("content-missing"), 60,
               "a row without its object")
    assert "late.txt" not in world.cs3.walk("alice")
    bucket.follow()
    world.drained()
    assert world.cs3.walk("alice")["late.txt"].size == new.size
    world.assert_equal()
    world.assert_balanced()
    assert world.dead_letters() == []

    # verify reads the objects too
    good = ["--set", "data.s3_secret_key=" + s3.options()["data.s3_secret_key"]]
    assert world.daemons.lockstep("verify", "--deep", *good)[0] == 0
    s3.put(new.id, b"another content, there")
    status, text = world.daemons.lockstep("verify", "--deep", *good)
    assert status == 3 and "late.txt" in text, text
    assert "1 differences" in text, text

    # a folder is no object: that it has none does not say that ownCloud has erased it
    box = site.mkdir(site.files("alice"), "box")
    site.delete(box)
    world.drained()
    client = Client(world.target).sign_in("alice")
    item, = (i for i in world.cs3.trash("alice") if i.ref.path.endswith("box"))
    assert client.purge(item.key).status.code == OK
    status, text = world.daemons.lockstep("verify", *good)
    assert status == 3 and "alice: trash: missing: files_trashbin/files/box.d" in text, text

    status, text = world.daemons.lockstep("check", "--data", *good)
    assert "bucket owncloud-primary can be listed; 1 homes lie in an object store" in text, text
