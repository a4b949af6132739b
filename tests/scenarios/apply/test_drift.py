"""
People write in oCIS while apply does: nothing of theirs is lost, each such case is a letter, and a
retried letter lets the source win.
"""

import json
import sys
import threading
from pathlib import Path

from bed import wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "contract"))
from client import OK, Client, sha1  # noqa: E402

SETS = {"control.key": "a key for tests that is long enough", "apply.retry_max_ms": 300}
ROUNDS = 12


def letters(world):
    code, text = world.daemons.lockstep("dlq", "list", "--json")
    assert code == 0, text
    return {letter["key"]: letter for letter in json.loads(text)}


def test_nothing_is_lost_of_what_somebody_writes_in_ocis_beside_the_stream(new_world):
    world = new_world(sets=SETS)
    world.work.populate(2, actions=5)
    world.daemons.start()
    world.daemons.wait_snapshot()
    site, uid = world.site, world.site.users[0]
    home = site.files(uid)
    folder = site.mkdir(home, "Drift")
    files = [site.upload(folder, "f%d" % i, b"source %d" % i) for i in range(6)]
    renamed, deleted = files[4:]
    inside = site.mkdir(home, "Inside")
    site.upload(inside, "ours", b"ours")
    world.drained()
    there = world.cs3.walk(uid)
    node = {name: there["Drift/" + name].id.opaque_id for name in ("f%d" % i for i in range(6))}
    him = Client(world.target).sign_in(uid)
    wrong = []

    def write():
        for n in range(ROUNDS):
            for i in range(4):
                text = b"his %d of %d" % (n, i)
                for _ in range(50):  # who meets another upload to the node tries again
                    answer = him.upload(None, text, node=node["f%d" % i])
                    if answer.status_code == 200:
                        break
                else:
                    wrong.append(answer)
    thread = threading.Thread(target=write)
    thread.start()
    for n in range(ROUNDS):
        for i in range(4):
            site.overwrite(files[i], b"source, round %d of %d" % (n, i))
    thread.join(120)
    assert not thread.is_alive() and not wrong

    assert him.move(node["f4"], there["Drift"].id.opaque_id, "his name").status.code == OK
    assert him.delete(node["f5"]).status.code == OK
    him.file("his", b"put there", parent=there["Inside"].id.opaque_id)
    for i in range(4):
        site.overwrite(files[i], b"source at last %d" % i)
    site.move(renamed, folder, "the source's name")
    site.overwrite(deleted, b"source at last 5")
    site.delete(inside)
    causes = {**{str(f.id): "changed-at-target" for f in files[:4]},
              str(renamed.id): "moved-at-target", str(deleted.id): "deleted-at-target",
              str(inside.id): "changed-at-target"}
    wait_until(lambda: {k: l["cause"] for k, l in letters(world).items()
                        if l["state"] == "open"} == causes, 60, "a letter for each of them")
    world.drained()
    there = world.cs3.walk(uid)
    for i in range(4):
        assert there["Drift/f%d" % i].checksum.sum == sha1(b"his %d of %d" % (ROUNDS - 1, i))
    assert "Drift/his name" in there and "Drift/f5" not in there and "Inside/his" in there
    assert world.daemons.status("apply")["dead"] == {"changed-at-target": 5, "moved-at-target": 1,
                                                     "deleted-at-target": 1}

    code, text = world.daemons.lockstep("dlq", "retry", "--all", "--yes")
    assert code == 0, text
    wait_until(lambda: world.daemons.status("apply")["dead"] == {}, 60, "the source to have won")
    world.drained()
    there = world.cs3.walk(uid)
    for i in (0, 1, 2, 3, 5):
        assert there["Drift/f%d" % i].checksum.sum == sha1(b"source at last %d" % i)
    assert "Drift/the source's name" in there and "Inside" not in there
    # his last words are an older version
    assert him.versions(node["f0"]).versions
    world.assert_balanced()
