"""
What bench-apply measures with: a lockstep-apply of its own, the states it is fed with, rclone, and
a watcher that sees when a file is there.
"""

import base64
import hashlib
import itertools
import json
import os
import re
import sqlite3
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

from cs3.storage.provider.v1beta1 import provider_api_pb2, provider_api_pb2_grpc, resources_pb2
import grpc

from bed import fetch, topics
from bed.cs3 import Cs3
from bed.daemons import Daemons
from bed.database import MariaDB
from bed.process import BedError, run
from bed.world import World
from confluent_kafka.admin import AdminClient, NewTopic
from recordings.recording import HOME, Recording

import measure

TOOLS = fetch.ROOT / "build" / "bench" / "bin"
PARTITIONS = 8
MTIME = 1700000000
_USERS = itertools.count(1)


class States:
    """The program that sends desired states; lines in, "flushed" out."""

    def __init__(self, bootstrap, prefix):
        self.child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", str(TOOLS / "states"), bootstrap, prefix,
             str(PARTITIONS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.records = 0

    def send(self, lines):
        for line in lines:
            self.child.stdin.write(line + "\n")
            self.records += 1
        self.child.stdin.write("flush\n")
        self.child.stdin.flush()
        if self.child.stdout.readline() != "flushed\n":
            raise BedError("states ended; its words are above")

    def stop(self):
        self.child.stdin.close()
        self.child.wait(30)
        self.child.stdout.close()


class Apply:
    """lockstep-apply as it is configured by default, on topics that are its own."""

    def __init__(self, bed, folder, prefix, sets):
        self.bed, self.data = bed, Path(folder) / "data"
        self.data.mkdir(parents=True)
        kafka = AdminClient({"bootstrap.servers": bed.kafka.bootstrap})
        new = [NewTopic(f"{prefix}.cs3.{name}", PARTITIONS if name == "resource" else 1, 1)
               for name in ("person", "space", "resource", "share", "annotation")]
        for made in kafka.create_topics(new).values():
            made.result(30)
        self.site = Daemons(bed, data=self.data, prefix=prefix, folder=Path(folder) / "lockstep",
                            sets={"lockstep.partitions": PARTITIONS, "lockstep.status_ms": 1000,
                                  **sets})
        self.config, self.storages, self.db = self.site.config, 0, None
        self.states = States(bed.kafka.bootstrap, prefix)

    def __enter__(self):
        self.process = self.site.spawn("apply")
        self.site.wait_ready("apply")
        return self

    def __exit__(self, *error):
        if self.db:
            self.db.close()
        self.states.stop()
        self.site.stop()

    def user(self):
        """A new user with a space: his name. The n-th has storage n."""
        self.storages += 1
        uid = f"bench{next(_USERS)}-{os.getpid()}"
        self.states.send([f"user\t{uid}", f"space\t{self.storages}\t{uid}"])
        return uid

    # ---- how far it is

    def _ledger(self, sql):
        if not self.db:
            self.db = sqlite3.connect(f"file:{self.site.ledger}?mode=ro", uri=True, timeout=10)
        return self.db.execute(sql).fetchall()

    def counters(self):
        return dict(self._ledger("SELECT name, value FROM counter"))

    def open(self):
        """Records that were taken in and are not done."""
        counters = self.counters()
        dead = self._ledger("SELECT count(*) FROM dead WHERE counted = 1")[0][0]
        return 2 * counters.get("in", 0) - sum(counters.values()) - dead

    def wait_taken(self, count, seconds):
        self._wait(lambda: count - self.counters().get("in", 0), seconds, "take it all in")

    def wait_drained(self, seconds=120):
        """Until all that was sent is taken in and done; when that was seen."""
        sent = self.states.records
        self._wait(lambda: max(sent - self.counters().get("in", 0), self.open()), seconds,
                   "be done")
        return time.time()

    def _wait(self, left, seconds, what):
        """Looks seldom while much is left: looking takes of what is measured."""
        end = time.time() + seconds
        while (n := left()) > 0:
            self.site.check_alive()
            if time.time() > end:
                raise BedError(f"apply did not {what} within {seconds} s: "
                               f"{json.dumps(self.site.status('apply'))}")
            time.sleep(min(0.5, 0.01 + n / 5000))

    def dead(self):
        return self._ledger("SELECT count(*) FROM dead")[0][0]

    def seconds_in_calls(self):
        """Of all calls together; divided by the time that passed: how many were in flight."""
        code, text = self.site.get("apply", "/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if line.startswith("lockstep_apply_call_seconds_sum")) if code == 200 else 0

    def calls(self):
        """How many of each kind were made."""
        _, text = self.site.get("apply", "/metrics")
        return {name: int(n) for name, n in re.findall(
            r'^lockstep_apply_call_seconds_count\{.*?method="(.*?)".*?\} (\d+)', text, re.M)}

    def mirrored(self):
        """How many transactions the mirror has sent."""
        return len(topics.read(self.bed.kafka.bootstrap, f"{self.site.prefix}.applier"))

    def resources(self):
        return {"cpu_s": measure.cpu_seconds(self.process.pid),
                "max_rss_mb": measure.peak_mb(self.process.pid)}


class Tree:
    """One user's files: the lines that make them, and their content on the disk."""

    def __init__(self, data, uid, storage):
        self.data, self.uid, self.storage = Path(data), uid, storage
        self.ids = itertools.count(storage * 10000000)
        self.root, self.home = next(self.ids), next(self.ids)
        self.shared = []

    def base(self):
        (self.data / self.uid / "files").mkdir(parents=True)
        return [f"folder\t{self.root}\t{self.storage}\t-1\t",
                f"folder\t{self.home}\t{self.storage}\t{self.root}\tfiles"]

    def folder(self, name, parent=None):
        fileid = next(self.ids)
        return fileid, f"folder\t{fileid}\t{self.storage}\t{parent or self.home}\t{name}"

    def folders(self, name, count):
        made = [self.folder(f"{name} {i:06d}") for i in range(count)]
        self.shared = [(fileid, f"/{name} {i:06d}") for i, (fileid, _) in enumerate(made)]
        return [line for _, line in made]

    def shares(self, grantee):
        """Each is called by a name of its own at its recipient, as ownCloud sees to it."""
        return [f"share\t{next(self.ids)}\t{fileid}\t{self.uid}\t{grantee}\t{mount}"
                for fileid, mount in self.shared]

    def row(self, name, parent, size, sha1, mtime=MTIME):
        fileid = next(self.ids)
        return (f"file\t{fileid}\t{self.storage}\t{parent}\t{name}\t{size}\t{mtime}\t"
                f"e{fileid:x}\t{sha1}")

    def files(self, folder, count, size):
        """New files in a new folder, no two alike."""
        place = self.data / self.uid / "files" / folder
        place.mkdir()
        fileid, line = self.folder(folder)
        return [line, *(self.row(name, fileid, size, sha1)
                        for name, sha1 in contents(place, count, size))]

    def rows(self, folder, count):
        """Rows of files that are not on the disk."""
        fileid, line = self.folder(folder)
        yield line
        for i in range(count - 1):
            yield self.row(f"quarterly report {i:07d}.pdf", fileid, 100000,
                           hashlib.sha1(b"%d" % i).hexdigest())


def contents(place, count, size):
    """So many files, each with its number at the beginning; (name, SHA1)."""
    rest = os.urandom(size)
    for i in range(count):
        content = (b"%d " % i)[:size] + rest[len(b"%d " % i):]
        name = f"file {i:06d}.bin"
        (place / name).write_bytes(content)
        os.utime(place / name, (MTIME, MTIME))
        yield name, hashlib.sha1(content).hexdigest()


# ---- others

def rclone(target, place, uid, count, size):
    """A copy by rclone over the proxy's WebDAV, signed in with a password."""
    place.mkdir()
    for _ in contents(place, count, size):
        pass
    password = "bench Password 7"
    set_password(target, uid, password)
    at = target.graph.removesuffix("/graph")
    hidden = run(["rclone", "obscure", password], "rclone obscure").decode().strip()
    env = dict(os.environ, RCLONE_CONFIG_T_TYPE="webdav", RCLONE_CONFIG_T_VENDOR="owncloud",
               RCLONE_CONFIG_T_URL=f"{at}/remote.php/webdav", RCLONE_CONFIG_T_USER=uid,
               RCLONE_CONFIG_T_PASS=hidden, RCLONE_CONFIG=str(place.parent / "rclone.conf"))
    began = time.time()
    run(["rclone", "copy", "--no-check-certificate", place, "t:rclone"], "rclone", env=env)
    seconds = time.time() - began
    return {"count": count, "seconds": round(seconds, 2), "per_s": round(count / seconds, 2),
            "mb_per_s": round(count * size / seconds / 1e6, 2)}


def set_password(target, uid, password):
    sign_in = base64.b64encode(
        f"{target.graph_user}:{target.graph_password}".encode()).decode()
    request = urllib.request.Request(
        f"{target.graph}/v1.0/users/{uid}", method="PATCH",
        data=json.dumps({"passwordProfile": {"password": password}}).encode(),
        headers={"Authorization": "Basic " + sign_in, "Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=30, context=ssl._create_unverified_context()).close()


class Watcher:
    """Sees when a name is in a folder, asked at the storage provider."""

    def __init__(self, target, uid):
        self.cs3 = Cs3(target)
        self.channel = grpc.insecure_channel(target.provider)
        self.api = provider_api_pb2_grpc.ProviderAPIStub(self.channel)
        self.root, (_, self.metadata) = self.cs3.root(uid), self.cs3.session(uid)

    def wait(self, path, seconds=60):
        ref = resources_pb2.Reference(resource_id=self.root, path="./" + path)
        end = time.time() + seconds
        while time.time() < end:
            answer = self.api.Stat(provider_api_pb2.StatRequest(ref=ref), metadata=self.metadata)
            if answer.status.code == 1:
                return time.time()
            time.sleep(0.01)
        raise BedError(f"{path} did not come within {seconds} s")

    def close(self):
        self.channel.close()
        self.cs3.close()


def one_by_one(target, apply, tree, folder, count):
    """New files one after the other, each sent when the last one is there: milliseconds."""
    lines, times = tree.files(folder, count, 1024), []
    watcher = Watcher(target, tree.uid)
    try:
        apply.states.send(lines[:1])
        watcher.wait(folder)
        for line in lines[1:]:
            began = time.time()
            apply.states.send([line])
            times.append((watcher.wait(f"{folder}/{line.split(chr(9))[4]}") - began) * 1000)
    finally:
        watcher.close()
    times.sort()
    return {"count": count, "p50_ms": round(times[count // 2], 1),
            "p99_ms": round(times[min(count * 99 // 100, count - 1)], 1),
            "max_ms": round(times[-1], 1)}


# ---- what users did

WRITES = {"PUT", "MKCOL", "MOVE", "COPY", "DELETE", "POST", "PROPPATCH"}


def user_actions(bed, folder, windows):
    """
    A recording of an ownCloud 10 through the whole pipe, once for each window: what its users asked
    for that writes, what came of it in records, and in calls that write. It is fed at once.
    """
    place = os.environ.get("LOCKSTEP_RECORDINGS")
    if not place:
        return {}
    name = sorted(p.parent for p in Path(place).glob("*/binlog.zst"))[-1]
    recording, out = Recording(name), {}
    actions = sum(1 for line in (name / "requests.log").read_text().splitlines()
                  if line.split(" ")[2:3] and line.split(" ")[2] in WRITES
                  and re.search(r"-> 20[014]$", line))
    bed.mariadb = MariaDB(Path(folder) / "mariadb", ["gtid_strict_mode=OFF"])
    bed.mariadb.start()
    try:
        for window in windows:
            work = Path(folder) / f"window{window}"
            work.mkdir(parents=True)
            with World(bed, work / "w", home=HOME, tables=False,
                       sets={"apply.window_ms": window, "apply.shares": "exact",
                             "apply.retry_max_ms": 2000}) as world:
                taken = replay(recording, world, bed, work)
            out[f"recording {recording.name}, window {window} ms"] = {
                "actions": actions, **taken,
                "calls_per_action": round(taken["calls"] / actions, 2)}
    finally:
        bed.mariadb.stop()
        bed.mariadb = None
    return out


def replay(recording, world, bed, work):
    def taken_in():
        return world.daemons.status("apply").get("counters", {}).get("in", 0)
    recording.load_start(bed.mariadb, work)
    world.data.rmdir()
    recording.unpack("start", world.data, work)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained(120)
    before, records = world.target.counts(), taken_in()
    recording.unpack("end", world.data, work)
    recording.feed(bed.mariadb, work, own_gtids=False)
    world.drained(120)
    return {"records": taken_in() - records, "calls": sum(
        world.target.writes_since(before).values())}
