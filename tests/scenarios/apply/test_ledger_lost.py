"""
The ledger and its mirror are both lost, while oCIS holds all that was applied: apply refuses to begin
as on its first day, and when it is told to, makes a new ledger of what it finds there.
"""

import json
import sqlite3
from contextlib import closing

from bed import topics, wait_until

SETS = {"apply.standby_ms": 2000, "apply.retry_max_ms": 500, "capture.link_secrets": "true"}
REBUILD = ("--set", "apply.rebuild=true")
# said once more, and nothing changes: homes, members, mail addresses (which oCIS does not tell); over
# the sharing API what is in a share, too
SAID_AGAIN = {"CreateHome", "POST /groups/{id}/members/$ref", "PATCH /users/{id}"}
SAID_BY_API = {"UpdateShare", "UpdateReceivedShare"}


def lose(world, *mirror):
    """Somebody deletes the ledger's folder and these topics."""
    world.daemons.stop("apply")
    lose_ledger(world)
    if mirror:
        topics.delete(world.bed.kafka.bootstrap, *(f"{world.prefix}.{name}" for name in mirror))


def lose_ledger(world):
    for path in world.daemons.folder.glob("ledger.db*"):
        path.unlink()


def refused(world, *args):
    """What apply says when it is started, and its exit status."""
    process = world.daemons.spawn("apply", *args)
    status = process.wait(60)
    last = [line for line in world.daemons.log_lines("apply") if line.get("event") == "fatal"][-1]
    return status, last["cause"]


def ledger(world, sql):
    """Rows of it; none where it is just being made."""
    try:
        with closing(sqlite3.connect(f"file:{world.daemons.ledger}?mode=ro", uri=True)) as db:
            return db.execute(sql).fetchall()
    except sqlite3.OperationalError:
        return []


LINEAGE = "SELECT value FROM meta WHERE key = 'lineage'"
NODES = """SELECT n.fileid, n.target, n.name, n.parent = -1, d.name, d.size FROM node n
           JOIN desired d ON d.fileid = n.fileid WHERE n.leftover = 0 ORDER BY n.fileid"""


def all_there(world):
    """Ids, etags, versions, trash, links of all users, by eyes of our own."""
    out = {}
    for uid in world.site.users:
        nodes = world.cs3.walk(uid)
        out[uid] = (
            {path: (n.id.opaque_id, n.etag, n.size if n.checksum.sum else 0)
             for path, n in nodes.items()},
            {path: sorted(world.cs3.versions(uid, n))
             for path, n in nodes.items() if n.checksum.sum},
            sorted((i.key, i.ref.path, i.deletion_time.seconds) for i in world.cs3.trash(uid)),
            sorted((l.id.opaque_id, l.token) for l in world.cs3.links(uid)))
    return out


def something_of_everything(world):
    """Beside what a day of work leaves: versions, trash with folders and twins, a link."""
    site, uid = world.site, world.site.users[0]
    home = site.files(uid)
    folder = site.mkdir(home, "Kept")
    changed = site.upload(folder, "changed.txt", b"first", mtime=1600000000)
    site.overwrite(changed, b"second", mtime=1600000100)
    site.overwrite(changed, b"third, and last", mtime=1600000200)
    for text in (b"one", b"three", b"eleven"):
        site.delete(site.upload(folder, "twin.txt", text))
    gone = site.mkdir(folder, "Gone")
    site.upload(site.mkdir(gone, "in it"), "deep.txt", b"deep in the trash")
    site.delete(gone)
    return uid, folder, changed


def changes_arrive(world, uid, folder, changed):
    """A rename, an overwrite, a delete, a restore from the trash, an unshare."""
    site = world.site
    site.move(folder, site.files(uid), "Kept, and renamed")
    site.overwrite(changed, b"and on it goes", mtime=1600000300)
    site.delete(site.upload(folder, "new, and gone", b"new"))
    for name in ("twin.txt", "Gone"):
        site.restore(uid, next(item for item in site.trashed(uid) if item[2] == name))
    world.work.run(actions=30)
    world.drained()
    world.assert_equal()
    world.assert_balanced()


def first_sign(world):
    """What an apply leaves that dies between its first sign of life and its ledger's name."""
    world.send("applier", b"owner", json.dumps({
        "lineage": "00c0ffee", "instance": "1", "beat": 1, "changed": 0, "whole": False,
        "released": False, "time_us": 1}).encode())


def rebuild(world, kills, said=frozenset()):
    """Starts apply, kills it so often in the midst of looking, and waits until all is found."""
    before = world.target.counts() if hasattr(world.target, "counts") else None
    if kills and before is not None:  # else it is done before anybody can kill it
        world.target.ask("/faults", "POST", {"call": "storage-users.*", "effect": "latency",
                                             "ms": 30})
    for n in range(kills):
        apply = world.daemons.spawn("apply", *REBUILD)
        wait_until(lambda least=5 * n: len(ledger(world, "SELECT id FROM node")) > least
                   or world.daemons.ready("apply"), 60, "some to be found")
        apply.kill()
    if kills and before is not None:
        world.target.ask("/faults", "DELETE")
    world.daemons.start("apply", args=REBUILD)
    world.drained()
    assert world.daemons.status("apply")["looking"] == 0
    if before is not None:
        writes = world.target.writes_since(before)
        assert set(writes) <= SAID_AGAIN | said, writes


def test_a_lost_ledger_is_made_of_what_is_at_the_target(new_world):
    world = new_world(sets={**SETS, "apply.shares": "exact"})
    world.work.populate(3, actions=30)
    world.daemons.start()
    world.daemons.wait_snapshot()
    uid, folder, changed = something_of_everything(world)
    world.drained()
    there, letters = all_there(world), len(world.dead_letters())
    nodes = ledger(world, NODES)
    lose(world, "ledger")
    assert refused(world) == (5, "ledger-lost")

    apply = world.daemons.spawn("apply", *REBUILD)
    wait_until(lambda: "rebuild" in [l.get("event") for l in world.daemons.log_lines("apply")], 60,
               "it to begin")
    apply.kill()  # the records may be in, or not
    if ledger(world, "SELECT 1 FROM meta WHERE key = 'rebuilding'"):
        assert refused(world) == (5, "ledger-lost")
    rebuild(world, kills=2)
    assert all_there(world) == there
    mine = ledger(world, NODES)
    assert [n for n in mine if n not in nodes and n[1]] == []
    assert {n[0] for n in mine} == {n[0] for n in nodes}
    world.assert_equal()
    world.assert_balanced()
    assert len(world.dead_letters()) == letters

    world.daemons.stop("apply")
    world.daemons.start("apply")  # and it is a ledger as any other
    changes_arrive(world, uid, folder, changed)


def test_without_a_mirror_a_lost_ledger_is_known_by_the_groups_offsets(new_world):
    """And links over the sharing API, which have ids and tokens of the target, are found."""
    world = new_world(sets={**SETS, "apply.shares": "api", "apply.mirror": "false"})
    world.work.populate(2, actions=5)
    for _ in range(4):
        world.work.share_link()
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    there = all_there(world)
    assert any(links for *_, links in there.values())
    lose(world)
    for _ in range(2):
        assert refused(world) == (5, "ledger-lost")
    mirror = ("--set", "apply.mirror=true")
    assert refused(world, *mirror) == (5, "ledger-lost")
    first_sign(world)  # of one that got no further, and that does not make it a first day
    assert refused(world, *mirror) == (5, "ledger-lost")
    rebuild(world, kills=0, said=SAID_BY_API)
    assert all_there(world) == there
    world.assert_equal()


def test_who_died_before_his_ledger_had_a_name_begins_again(new_world):
    world = new_world(sets=SETS)
    world.work.populate(2, actions=5)
    topics.make(world.bed.kafka.bootstrap, *(f"{world.prefix}.{t}" for t in ("ledger", "applier")))
    first_sign(world)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.assert_equal()
    world.assert_balanced()


def test_who_dies_at_his_first_sign_of_life_is_himself_when_he_starts_again(new_world):
    """With a ledger that had no mirror so far, and where nobody may wait as standby."""
    world = new_world(sets={**SETS, "apply.mirror": "false", "apply.standby": "false"})
    world.work.populate(2, actions=5)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.daemons.stop("apply")
    assert ledger(world, LINEAGE) == []
    topics.make(world.bed.kafka.bootstrap, *(f"{world.prefix}.{t}" for t in ("ledger", "applier")))
    mirrored = ("--set", "apply.mirror=true")
    process = world.daemons.spawn("apply", *mirrored)
    signs = (world.bed.kafka.bootstrap, f"{world.prefix}.applier", "owner")
    sign = wait_until(lambda: topics.last(*signs), 120, "a sign of life", every=0.01)
    process.kill()
    assert ledger(world, LINEAGE) == [(json.loads(sign)["lineage"],)]
    world.work.run(actions=10)
    world.daemons.start("apply", args=mirrored)
    world.drained()
    world.assert_equal()
    world.assert_balanced()
