"""
One scenario's world: a site on a bed, the daemons between it and a fresh target, and what a test
wants to know at the end.

MariaDB and Kafka are shared by the scenarios of a run; the database, the topics' prefix, the data
directory and the target are each scenario's own. $LOCKSTEP_TEST_TARGET says which target: "sim"
(the default), "ocis", or "auto".
"""

import hashlib
import itertools
import os
import re
import sqlite3
from pathlib import Path

from workload.site import Site
from workload.workload import Workload

from . import topics
from .cs3 import Cs3
from .daemons import STAGES, Daemons
from .database import DATABASE
from .process import BedError, tail, wait_until
from .target import Ocis, Simulator, real_ocis

_NUMBER = itertools.count(1)


def _file_differences(what, file, info):
    content = file.read_bytes()
    wanted = {"size": len(content), "SHA1": hashlib.sha1(content).hexdigest(),
              "mtime": int(file.stat().st_mtime)}
    before_1970 = info.mtime.seconds >> 63 << 64  # the fields have no sign, the time has one
    seconds = info.mtime.seconds - before_1970 - (info.mtime.nanos >> 31)  # divided towards zero
    seen = {"size": info.size, "SHA1": info.checksum.sum, "mtime": seconds}
    return [f"{what} has {k} {seen[k]}, not {wanted[k]}" for k in wanted if wanted[k] != seen[k]]


def _plain(name):
    """A name without the time of its deletion."""
    return re.sub(r"\.d\d+$", "", name or "")


def _name_in(sentence):
    """The file's name in a sentence of `lockstep verify` or of tree_differences()."""
    found = re.match(r"(?:DIFFERENT  )?\S+: '(.*)' (?:is|has) |DIFFERENT  (.*)$", sentence)
    path = found and (found[1] or re.sub(r"^.*?: (?:[a-z ]+: )*", "", found[2]))
    return _plain(path.rsplit("/", 1)[-1]) if path else None


def new_target(folder):
    wanted = os.environ.get("LOCKSTEP_TEST_TARGET", "sim")
    real = wanted == "ocis" or (wanted == "auto" and real_ocis())
    return Ocis(folder) if real else Simulator(folder)


class World:
    def __init__(self, bed, folder, seed=1, home=None, sets=None, tables=True):
        self.bed, self.folder = bed, Path(folder)
        self.data = self.folder / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.prefix = f"t{os.getpid()}-{next(_NUMBER)}"
        bed.mariadb.sql(f"DROP DATABASE IF EXISTS {DATABASE}; CREATE DATABASE {DATABASE}"
                        " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        self.target = bed.target = new_target(self.folder / "target")
        self.target.start()
        self.daemons = Daemons(bed, self.data, home=home, prefix=self.prefix, sets=sets,
                               folder=self.folder / "lockstep")
        self.cs3 = Cs3(self.target)
        self.site = self.work = None
        if tables:
            self.site = Site(self.data, seed, home=home, unix_socket=bed.mariadb.socket,
                             user="root", database=DATABASE)
            self.site.create_tables()
            self.work = Workload(self.site, seed)

    def close(self):
        self.daemons.stop()
        self.cs3.close()
        self.target.stop()
        if self.site:
            self.site.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    # ---- what a test wants to know

    def tree_differences(self):
        """Every home on disk against the target, by eyes of our own; sentences."""
        out = []
        for uid in self.site.storages:
            place = self.data / uid / "files"
            seen = self.cs3.walk(uid)
            mine = {str(p.relative_to(place)): p for p in place.rglob("*")}
            out += [f"{uid}: {p!r} is missing" for p in sorted(mine.keys() - seen.keys())]
            out += [f"{uid}: {p!r} is too much" for p in sorted(seen.keys() - mine.keys())]
            for path in sorted(mine.keys() & seen.keys()):
                if not mine[path].is_dir():
                    out += _file_differences(f"{uid}: {path!r}", mine[path], seen[path])
            trashed = sorted(name for _, _, name, *_ in self.site.trashed(uid))
            there = sorted(i.ref.path.rsplit("/", 1)[-1] for i in self.cs3.trash(uid))
            if len(trashed) != len(there):
                out.append(f"{uid}: {len(trashed)} items in the trash, {len(there)} at the target")
        return out

    def drained(self, seconds=60):
        self.daemons.wait_drained(seconds)

    def verify(self):
        """(exit status, table) of lockstep verify."""
        return self.daemons.lockstep("verify")

    def assert_equal(self):
        status, text = self.verify()
        differences = self.tree_differences() if self.site else []
        if status != 0 or differences:
            raise AssertionError("\n".join([f"lockstep verify says {status}:", text, *differences,
                                            self.diagnosis(text.splitlines() + differences)]))
        return text

    def diagnosis(self, differences):
        """What ledger, simulator and apply's log know of the names in these sentences."""
        names = {n for n in map(_name_in, differences) if n}
        out, ids = ["--- ledger"], set()
        with sqlite3.connect(f"file:{self.daemons.ledger}?mode=ro", uri=True) as ledger:
            ledger.row_factory = sqlite3.Row
            known = [r for table in ("desired", "node") for r in ledger.execute(
                f"SELECT '{table}' AS \"table\", * FROM {table}") if _plain(r["name"]) in names]
            files = {r["fileid"] for r in known}
            ids = {r["target"] for r in known if "target" in r.keys()}
            known += [r for table in ("work", "op", "dead") for r in ledger.execute(
                f"SELECT '{table}' AS \"table\", * FROM {table}")
                if table == "op" or r["id"] in files]
            out += [str({k: r[k] for k in r.keys() if r[k] not in (None, "")}) for r in known]
        if hasattr(self.target, "ask"):
            out.append("--- calls at the simulator")
            out += [line for line in self.target.ask("/calls")["calls"]
                    if any(x in line for x in names | ids)][-100:]
        return "\n".join([*out, "--- end of apply's log", tail(self.daemons.log("apply"), 15)])

    def assert_balanced(self):
        for stage in STAGES:
            status = self.daemons.status(stage)
            assert status.get("balance") == 0, f"{stage} is out of balance: {status}"

    def dead_letters(self):
        """Dead letters: their headers, and the record's key and value."""
        return topics.dead_letters(self.bed.kafka.bootstrap, self.prefix)

    def wait_dead_letter(self, cause, seconds=30):
        """The first dead letter of that cause; AssertionError when none comes."""
        last = []

        def found():
            last[:] = self.dead_letters()
            return [d for d in last if d["headers"].get("cause") == cause]
        try:
            return wait_until(found, seconds, "a dead letter", 0.3)[0]
        except BedError as e:
            raise AssertionError(f"{e} {cause}; there are {[d['headers'] for d in last]}") from None

    def read(self, topic):
        return topics.read(self.bed.kafka.bootstrap, f"{self.prefix}.{topic}")

    def send(self, topic, key, value, partition=0):
        topics.send(self.bed.kafka.bootstrap, f"{self.prefix}.{topic}", key, value, partition)
