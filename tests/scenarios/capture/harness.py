"""One capture on a fresh database and a prefix of its own, on the servers that scenarios share."""

import itertools
import os
import time
from pathlib import Path

import envelopes
from bed import DATABASE, wait_until
from bed.daemons import Daemons

SCHEMA = Path(__file__).resolve().parents[2] / "workload" / "schema.sql"
PREFIXES = itertools.count(1)


class Capture:
    """The source's database, a lockstep-capture that follows it, and what it wrote."""

    def __init__(self, bed, folder, sets=None):
        self.bed, self.folder = bed, folder
        self.prefix = f"cap{os.getpid()}-{next(PREFIXES)}"
        self.bootstrap = bed.kafka.bootstrap
        bed.mariadb.sql(f"DROP DATABASE IF EXISTS {DATABASE}; CREATE DATABASE {DATABASE} "
                        "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        bed.mariadb.load(SCHEMA)
        self.site = Daemons(bed, data=folder, prefix=self.prefix, folder=folder, sets={
            "lockstep.partitions": 4, "source.heartbeat_ms": 400, **(sets or {})})

    def sql(self, text):
        return self.bed.mariadb.sql(text, DATABASE)

    def start(self, *args, snapshot=True):
        self.site.start("capture", args=args, seconds=30)
        if snapshot:
            self.site.wait_snapshot(60)

    def stop(self):
        return self.site.stop("capture")["capture"]

    def run(self, *args, seconds=20):
        """Runs to its end: (exit status, the log's lines)."""
        process = self.site.spawn("capture", *args)
        wait_until(lambda: not process.alive(), seconds, "the end of capture")
        return process.status(), self.site.log_lines("capture")

    def status(self):
        return self.site.status("capture")

    def drain(self, seconds=30):
        """Until capture has committed all that is in the binlog now."""
        gtid = self.sql("SELECT @@gtid_binlog_pos")[0][0]
        want = int(gtid.rsplit("-", 1)[1])

        def done():
            status = self.status()
            have = status.get("gtid", "").rsplit("-", 1)[-1]
            return status.get("ready") and have.isdigit() and int(have) >= want
        wait_until(done, seconds, f"GTID {gtid} in capture: {self.status()}")
        time.sleep(0.1)  # commit_ms, and more
        return self.status()

    def rows(self, table):
        return envelopes.rows(self.bootstrap, self.prefix, table)

    def records(self, table):
        return envelopes.records(self.bootstrap, self.prefix, table)

    def state(self, table):
        return envelopes.state(self.bootstrap, self.prefix, table)

    def close(self):
        self.site.stop()
