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

    code, text = world.daemons.lockstep("dlq", "retry", "--all")
    assert code == 2 and "of them are about what somebody has changed in oCIS" in text, text
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


def test_repair_says_of_what_is_in_no_topic_what_brings_it(new_world):
    world = new_world(sets=SETS)
    world.work.populate(1, actions=2)
    world.daemons.start()
    world.daemons.wait_snapshot()
    site, uid = world.site, world.site.users[0]
    site.sql("SET SESSION sql_log_bin = 0")
    site.upload(site.files(uid), "unlogged.txt", b"behind the binlog's back")
    site.sql("SET SESSION sql_log_bin = 1")
    world.drained()
    code, text = world.daemons.lockstep("repair", "--user", uid, "--yes", "--json")
    assert code == 3 and json.loads(text)["absent"] == 1, text
    code, text = world.daemons.lockstep("repair", "--user", uid, "--yes")
    assert code == 3 and "1 are in no record of the topics: `lockstep snapshot start --user U`" in text, text
    assert world.daemons.lockstep("snapshot", "start", "--user", uid)[0] == 0
    world.daemons.wait_snapshot()
    world.drained()
    world.assert_equal()
    code, text = world.daemons.lockstep("repair", "--user", uid, "--yes", "--json")
    assert code == 0 and json.loads(text)["absent"] == 0, text


def test_repair_compares_every_share_of_a_file_of_which_one_differs(new_world):
    """Two rows reach bob; what is lost at the target is the second one, and a difference names the first."""
    world = new_world(sets=SETS)
    site = world.site
    for uid in ("ann", "bob"):
        site.create_user(uid)
        site.login(uid)
    site.create_group("staff")
    site.add_member("staff", "bob")
    folder = site.mkdir(site.files("ann"), "Box")
    world.work.shares.to_user(folder, "bob", 1)
    world.work.shares.to_group(folder, "staff", 15)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.assert_equal()
    owner = Client(world.target).sign_in("ann")
    lost = [s for s in owner.my_shares() if s.grantee.type == 2]  # a group
    assert len(lost) == 1 and owner.remove_share(lost[0].id.opaque_id).status.code == OK
    status, text = world.verify()
    assert status == 3 and "bob: share: permissions: files/Box of ann" in text, text
    code, text = world.daemons.lockstep("repair", "--user", "bob", "--yes")
    assert code == 0, text
    wait_until(lambda: world.verify()[0] == 0, 60, "both sides to be equal")
    world.assert_balanced()


def test_repair_makes_what_differs_as_the_source_has_it_and_leaves_what_is_the_targets_alone(new_world):
    world = new_world(sets=SETS)
    world.work.populate(1, actions=2)
    world.daemons.start()
    world.daemons.wait_snapshot()
    site, uid = world.site, world.site.users[0]
    folder = site.mkdir(site.files(uid), "Box")
    for name in ("deleted", "written", "renamed"):
        site.upload(folder, name, name.encode())
    world.drained()
    there = world.cs3.walk(uid)
    node = {name: there["Box/" + name].id.opaque_id for name in ("deleted", "written", "renamed")}
    him = Client(world.target).sign_in(uid)
    assert him.delete(node["deleted"]).status.code == OK
    assert him.upload(None, b"his", node=node["written"]).status_code == 200
    assert him.move(node["renamed"], there["Box"].id.opaque_id, "his name").status.code == OK
    him.file("his own", b"put there", parent=there["Box"].id.opaque_id)

    def repair(*words, status):
        code, text = world.daemons.lockstep("repair", "--user", uid, *words)
        assert code == status, text
        return json.loads(text) if "--json" in words else text
    planned = repair("--dry-run", "--json", status=3)
    assert planned["again"] >= 3 and planned["sent"] == 0 < planned["left"]
    assert "--yes" in repair(status=2)  # it asks, and nobody is there to answer
    assert world.daemons.lockstep("repair", "--user", "nobody", "--yes")[0] == 2
    did = repair("--yes", "--json", status=3)
    assert did["again"] == planned["again"] and did["sent"] == did["entities"] >= 3

    def mended():
        now = world.cs3.walk(uid)
        return all("Box/" + name in now and now["Box/" + name].id.opaque_id == of
                   and now["Box/" + name].checksum.sum == sha1(name.encode())
                   for name, of in node.items())
    wait_until(mended, 60, "what differed to be as the source has it")
    world.drained()
    left = repair("--json", status=3)  # his own file alone
    assert (left["again"], left["left"], left["sent"]) == (0, 1, 0)
    assert world.cs3.walk(uid)["Box/his own"].checksum.sum == sha1(b"put there")
    world.assert_balanced()
