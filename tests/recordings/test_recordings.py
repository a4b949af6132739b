"""
Recordings of a real ownCloud 10 travel through Lockstep and must arrive whole.

Asked three times: by `lockstep verify`, by a walk of the target against expected.jsonl, and once
more after everything has been consumed again from the start, which may not cost one writing call.
Left out of the comparison with expected.jsonl: orphans; what lies on external or federated
storages, and shares of such things; trash items whose content is gone from the disk
though their rows are still there (`occ trashbin:cleanup`); mtimes of folders and ids, which the
API of oCIS does not keep.
"""

import collections
import os
import re
from pathlib import Path

import pytest

from bed import Bed, topics, wait_until
from bed.world import World
from recordings.recording import HOME, Recording

FOLDER = os.environ.get("LOCKSTEP_RECORDINGS")
RECORDINGS = sorted(p for p in Path(FOLDER).iterdir() if (p / "binlog.zst").is_file()) \
    if FOLDER else []

pytestmark = pytest.mark.skipif(not RECORDINGS, reason="LOCKSTEP_RECORDINGS names no folder with "
                                                       "recordings; see tests/recordings/README.md")


@pytest.fixture(scope="module", params=RECORDINGS or [None],
                ids=[p.name for p in RECORDINGS] or ["none"])
def replayed(request, tmp_path_factory):
    """A recording, replayed to its end; (recording, world)."""
    recording = Recording(request.param)
    work = tmp_path_factory.mktemp(recording.name)
    # the recording's GTIDs are its own: they may lie before those of this server
    with Bed(mariadb_options=["gtid_strict_mode=OFF"]) as bed, \
            World(bed, work / "w", home=HOME, tables=False,
                  sets={"apply.retry_max_ms": 2000, "apply.shares": "exact",
                        "capture.link_secrets": "true"}) as world:
        recording.load_start(bed.mariadb, work)
        world.data.rmdir()
        recording.unpack("start", world.data, work)
        world.daemons.start()
        world.daemons.wait_snapshot()
        world.drained(90)
        recording.unpack("end", world.data, work)
        recording.feed(bed.mariadb, work)
        world.drained(90)
        yield recording, world


def people(recording, world):
    """Those of the recording who can sign in at the target."""
    rows = world.bed.mariadb.sql("SELECT user_id FROM oc_accounts WHERE state = 1", "owncloud")
    return sorted(uid for uid, in rows)


def test_verify_says_equal_twice(replayed):
    _, world = replayed
    world.assert_equal()
    world.assert_equal()


def test_the_counters_balance_and_nothing_is_dead(replayed):
    _, world = replayed
    world.assert_balanced()
    dead = [(d["key"], d["headers"].get("cause")) for d in world.dead_letters()
            if not content_is_gone(world, d["key"])]
    assert dead == []


def content_is_gone(world, fileid):
    """Whether a row's file is not on disk: `occ trashbin:cleanup` leaves rows of what it erased."""
    rows = world.bed.mariadb.sql(
        "SELECT s.id, f.path FROM oc_filecache f JOIN oc_storages s ON f.storage = s.numeric_id"
        f" WHERE f.fileid = {int(fileid)}", "owncloud") if fileid.isdigit() else []
    return bool(rows) and rows[0][0].startswith("home::") and \
        not (world.data / rows[0][0][6:] / rows[0][1]).exists()


def test_every_expected_file_and_folder_is_there_and_nothing_else(replayed):
    recording, world = replayed
    wanted = {}
    for row in recording.expected("file", "folder"):
        wanted.setdefault(row["user"], {})[row["path"]] = row
    assert wanted
    problems = []
    for user in people(recording, world):
        mine = wanted.get(user, {})
        seen = world.cs3.walk(user)
        problems += [f"{user}: {p} is missing" for p in mine.keys() - seen.keys()]
        problems += [f"{user}: {p} is too much" for p in seen.keys() - mine.keys()]
        for path in mine.keys() & seen.keys():
            problems += differences(user, path, mine[path], seen[path])
    assert problems == []


def test_every_version_is_there_with_its_time_and_size(replayed):
    """Of live files, where ownCloud has not lost the version's own file. One whose second is that of
    the content may be the content."""
    recording, world = replayed
    wanted = collections.defaultdict(list)
    for row in recording.expected("version"):
        path, _, stamp = row["path"].rpartition(".v")
        if (world.data / row["user"] / "files_versions" / row["path"]).is_file():
            wanted[row["user"], path].append((int(stamp), row["size"]))
    walks, missing, seen = {}, [], 0
    for (user, path), versions in wanted.items():
        if user not in people(recording, world):
            continue
        if user not in walks:
            walks[user] = world.cs3.walk(user)
        info = walks[user].get(path)
        if info is None:
            continue  # its file is not there any more
        there = collections.Counter(world.cs3.versions(user, info))
        there[signed(info.mtime.seconds), info.size] += 1
        seen += len(versions)
        missing += [(user, path, v) for v in (collections.Counter(versions) - there).elements()]
    assert missing == []
    assert seen


def differences(user, path, row, info):
    """A file's or folder's row against what the target shows."""
    if row["kind"] == "folder":
        return [] if info.type == 2 else [f"{user}: {path} is no folder"]
    out = []
    if info.type != 1:
        out.append(f"{user}: {path} is no file")
    if info.size != row["size"]:
        out.append(f"{user}: {path} has {info.size} bytes, not {row['size']}")
    if info.checksum.sum != row["sha1_on_disk"]:
        out.append(f"{user}: {path} has SHA1 {info.checksum.sum}, not {row['sha1_on_disk']}")
    if signed(info.mtime.seconds) != row["mtime"]:
        out.append(f"{user}: {path} has mtime {signed(info.mtime.seconds)}, not {row['mtime']}")
    return out


def signed(seconds):
    """Times before 1970 travel as uint64."""
    return seconds - (1 << 64) if seconds >= 1 << 63 else seconds


def test_every_expected_trash_item_is_there_and_nothing_else(replayed):
    recording, world = replayed
    wanted, gone = collections.defaultdict(list), collections.defaultdict(list)
    for row in recording.expected("trash"):
        there = (world.data / row["user"] / "files_trashbin" / "files" / row["name"]).exists()
        (wanted if there else gone)[row["user"]].append(plain(row["name"].rpartition(".d")[0]))
    assert wanted
    for user in people(recording, world):
        seen = [plain(i.ref.path.rsplit("/", 1)[-1]) for i in world.cs3.trash(user)]
        missing = collections.Counter(wanted[user]) - collections.Counter(seen)
        extra = collections.Counter(seen) - collections.Counter(wanted[user] + gone[user])
        assert (missing, extra) == ({}, {}), user


def plain(name):
    """A trash item's name without the mark of one that was made under a free name."""
    return re.sub(r" \(lockstep \d+\)", "", name)


def test_everybody_receives_what_is_shared_with_him(replayed):
    """User shares of what lies in its owner's home: the recipient sees that node."""
    recording, world = replayed
    live = {row["fileid"]: row for row in recording.expected("file", "folder")}
    signing_in = set(people(recording, world))
    checked, problems = 0, []
    for share in recording.expected("share"):
        if share["share_type"] != 0 or share["dormant"] or share["file_source"] not in live:
            continue
        recipient, node = share["share_with"], live[share["file_source"]]
        if recipient not in signing_in or node["user"] not in signing_in or \
                recipient == node["user"]:
            continue
        ids = {r.share.resource_id.opaque_id for r in world.cs3.received(recipient)}
        wanted = world.cs3.walk(node["user"])[node["path"]].id.opaque_id
        checked += 1
        if wanted not in ids:
            problems.append(f"share {share['id']}: {recipient} does not receive {node['path']}")
    assert problems == []
    assert checked


def live_shares(recording, world, *kinds):
    """(share, node) of the shares of what lies in the home of somebody who can sign in."""
    live = {row["fileid"]: row for row in recording.expected("file", "folder")}
    signing_in = set(people(recording, world))
    for share in recording.expected("share"):
        node = live.get(share["file_source"])
        if share["share_type"] in kinds and not share["dormant"] and node \
                and node["user"] in signing_in:
            yield share, node


def called(name, share):
    """As it was, or with the number of one that has a twin in another folder."""
    stem, suffix = os.path.splitext(share["file_target"].rpartition("/")[2])
    return re.fullmatch(re.escape(stem) + r"( \(\d\))?" + re.escape(suffix), name)


def test_shares_keep_id_time_state_and_mount_point(replayed):
    """Of several rows of one recipient the oldest gives id and time."""
    recording, world = replayed
    signing_in, folded, problems = set(people(recording, world)), {}, []
    for share, node in live_shares(recording, world, 0):
        if share["share_with"] in signing_in and share["share_with"] != node["user"]:
            folded.setdefault((share["share_with"], share["file_source"]), []).append((share, node))
    for (recipient, _), rows in folded.items():
        share, node = min(rows, key=lambda r: (r[0]["stime"], r[0]["id"]))
        target = world.cs3.walk(node["user"])[node["path"]].id.opaque_id
        got = [r for r in world.cs3.received(recipient)
               if r.share.resource_id.opaque_id == target and r.share.grantee.type == 1]
        wanted = (str(share["id"]), share["stime"])
        if [(r.share.id.opaque_id.rpartition(":")[2], r.share.ctime.seconds)
                for r in got] != [wanted]:
            problems.append((share, [str(r.share.id.opaque_id) for r in got]))
        elif len(rows) == 1 and share["accepted"] == 0 and (
                got[0].state != 2 or not called(got[0].mount_point.path.removeprefix("./"), share)):
            problems.append((share, got[0].state, got[0].mount_point.path))
    assert problems == []
    assert folded


def test_old_links_open_with_their_tokens_and_passwords(replayed):
    """One with a password is opened in each recording: to find out which it has takes seconds."""
    recording, world = replayed
    links, problems, opened = list(live_shares(recording, world, 3)), [], 0
    for share, node in links:
        answer = world.cs3.open_link(share["token"])
        if answer.status.code != (8 if share["share_with"] else 1):
            problems.append((share["id"], answer.status.code))
        elif share["share_with"] and not opened:
            password = password_of(share["share_with"])
            got = world.cs3.open_link(share["token"], password)
            assert (got.status.code, got.share.id.opaque_id, got.share.ctime.seconds) == \
                (1, str(share["id"]), share["stime"])
            assert world.cs3.open_link(share["token"], password + "x").status.code == 8
            opened += 1
        elif not share["share_with"]:
            wanted = world.cs3.walk(node["user"])[node["path"]].id.opaque_id
            assert answer.share.resource_id.opaque_id == wanted
    assert problems == []
    assert opened and links


def password_of(stored):
    """As tests/recordings/README.md says how the links' passwords were chosen."""
    import bcrypt
    hashed = stored.removeprefix("1|").replace("$2y$", "$2b$", 1).encode()
    words = ["Secret7!"] + ["N%d!" % i for i in range(10)] + ["Pw%d!" % i for i in range(100)]
    return next(word for word in words if bcrypt.checkpw(word.encode(), hashed))


def test_consuming_everything_once_more_costs_no_writing_call(replayed):
    """Last: apply starts again at offset 0 with its ledger."""
    _, world = replayed
    if world.target.kind != "simulator":
        pytest.skip("only the simulator counts calls")
    before = world.target.counts()
    records = sum(1 for name in ("resource", "space", "person", "share", "annotation")
                  for r in topics.read(world.bed.kafka.bootstrap, f"{world.prefix}.cs3.{name}")
                  if r["value"] is not None and not r["key"].startswith("!"))
    taken = taken_in(world)
    world.daemons.stop("apply")
    world.daemons.start("apply", args=["--from-start"])
    wait_until(lambda: taken_in(world) >= taken + records, 60, f"{records} records to be taken in", 0.2)
    world.drained()
    assert world.target.writes_since(before) == {}
    world.assert_equal()
    world.assert_balanced()


def taken_in(world):
    return world.daemons.status("apply").get("counters", {}).get("in", 0)
