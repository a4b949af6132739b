"""One capture on a fresh database and a prefix of its own, on the servers that scenarios share."""

import itertools
import json
import os
from pathlib import Path

import envelopes
from bed import DATABASE, topics, wait_until
from bed.daemons import Daemons
from bed.database import has_all

SCHEMA = Path(__file__).resolve().parents[2] / "workload" / "schema.sql"
PREFIXES = itertools.count(1)


class Capture:
    """The source's database, a lockstep-capture that follows it, and what it wrote."""

    def __init__(self, bed, folder, sets=None, database=None):
        self.bed, self.folder = bed, folder
        self.database = database or bed.mariadb
        self.prefix = f"cap{os.getpid()}-{next(PREFIXES)}"
        self.bootstrap = bed.kafka.bootstrap
        self.database.sql(f"DROP DATABASE IF EXISTS {DATABASE}; CREATE DATABASE {DATABASE} "
                          "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        self.database.load(SCHEMA)
        self.site = Daemons(bed, data=folder, prefix=self.prefix, folder=folder,
                            source=self.database, sets={
            "lockstep.partitions": 4, "source.heartbeat_ms": 400, **(sets or {})})

    def sql(self, text):
        return self.database.sql(text, DATABASE)

    def start(self, *args, snapshot=True):
        self.site.start("capture", args=args, seconds=30)
        if snapshot:
            self.site.wait_snapshot(60)
            wait_until(lambda: self.committed()["snapshot"]["state"] == "done", 60,
                       "the commit of the snapshot's end")

    def stop(self):
        return self.site.stop("capture")["capture"]

    def run(self, *args, seconds=60):
        """Runs to its end: (exit status, the log's lines)."""
        process = self.site.spawn("capture", *args)
        wait_until(lambda: not process.alive(), seconds, "the end of capture")
        return process.status(), self.site.log_lines("capture")

    def status(self):
        return self.site.status("capture")

    @staticmethod
    def reached(gtids, place, at):
        return has_all(at["gtid"], gtids) if gtids else (at["file"], at["pos"]) >= place

    def committed(self):
        """The position as it stands in Kafka."""
        return json.loads(topics.last(self.bootstrap, f"{self.prefix}.position", "source") or "{}")

    def drain(self, seconds=30):
        """Until capture has committed all that is in the binlog now."""
        gtids = self.database.gtids()
        if not gtids:  # a transaction of its own, so that a file's head is no place to wait for
            self.database.sql("CREATE DATABASE IF NOT EXISTS marker")
        place = self.database.place()

        def done():
            self.site.check_alive()
            status = self.status()
            return status.get("ready") and self.reached(gtids, place, status)
        wait_until(done, seconds, f"GTID {gtids} {place} in capture: {self.status()}")
        wait_until(lambda: self.reached(gtids, place, self.committed()), seconds,
                   f"GTID {gtids} {place} in the position topic", 0.02)
        return self.status()

    def rows(self, table):
        return envelopes.rows(self.bootstrap, self.prefix, table)

    def records(self, table):
        return envelopes.records(self.bootstrap, self.prefix, table)

    def state(self, table):
        return envelopes.state(self.bootstrap, self.prefix, table)

    def close(self):
        self.site.stop()


def captures(bed, folder):
    """What the fixture `new_capture` is: makes captures, and closes them at the end."""
    made = []

    def make(sets=None, database=None):
        made.append(Capture(bed, folder / f"c{len(made)}", sets, database))
        return made[-1]

    yield make
    try:
        for capture in made:
            capture.site.check_balance()
    finally:
        for capture in made:
            capture.close()
