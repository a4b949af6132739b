"""
The bed: real servers on free ports in a temporary folder, for tests and the demo.

    with Bed(mariadb=True, kafka=True) as bed:
        bed.mariadb.sql("SELECT 1")
        print(bed.kafka.bootstrap)

Everything is gone when the block ends, however it ends; after an error the logs are kept and the
message says where. See README.md beside this file.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from .database import DATABASE, PASSWORDS, SERVERS, MariaDB, MySQL
from .kafka import Kafka, Registry
from .process import BedError, Process, free_port, wait_until
from .target import Ocis, Simulator, real_ocis

__all__ = ["Bed", "BedError", "DATABASE", "Databases", "PASSWORDS", "Process", "free_port", "wait_until"]


class Bed:
    """
    Which servers: each argument switches one on. `target`: "sim", "ocis" (BedError where there is
    none), "auto" (a real oCIS where there is one) or None. Options are lines of the server's own
    configuration file.
    """

    def __init__(self, folder=None, mariadb=True, mysql=False, kafka=True, registry=False,
                 target=None, mariadb_options=(), mysql_options=(), kafka_options=(), keep=False):
        self._own = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="lockstep-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.keep = keep
        self.mariadb = MariaDB(self.folder / "mariadb", mariadb_options) if mariadb else None
        self.mysql = MySQL(self.folder / "mysql", mysql_options) if mysql else None
        self.kafka = Kafka(self.folder / "kafka", kafka_options) if kafka else None
        self.registry = Registry(self.folder / "registry") if registry else None
        self.target = None
        if target == "auto":
            target = "ocis" if real_ocis() else "sim"
        if target == "sim":
            self.target = Simulator(self.folder / "sim")
        elif target == "ocis":
            self.target = Ocis(self.folder / "ocis")

    def start(self):
        try:
            if self.kafka:
                self.kafka.begin()  # the slowest: it starts while the others do
            for server in (self.mariadb, self.mysql, self.target, self.registry):
                if server:
                    server.start()
            if self.kafka:
                self.kafka.ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self):
        for server in (self.target, self.registry, self.kafka, self.mysql, self.mariadb):
            if server:
                server.stop()

    def describe(self):
        """Where everything listens, as plain data."""
        out = {"folder": str(self.folder)}
        for name in ("mariadb", "mysql"):
            server = getattr(self, name)
            if server:
                out[name] = {"host": server.host, "port": server.port, "socket": server.socket,
                             "database": DATABASE, "users": {"root": "", **PASSWORDS}}
        if self.kafka:
            out["kafka"] = {"bootstrap": self.kafka.bootstrap}
        if self.registry:
            out["registry"] = {"url": self.registry.url}
        if self.target:
            out["target"] = self.target.describe()
        return out

    def write_description(self):
        part = self.folder / "bed.json.part"
        part.write_text(json.dumps(self.describe(), indent=2) + "\n")
        part.rename(self.folder / "bed.json")

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if self._own and not self.keep:  # as a crash would: nobody starts them again
            for server in (self.kafka, self.mysql, self.mariadb):
                if server and server.process:
                    server.kill()
        self.stop()
        if kind is None and self._own and not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif kind is not None:
            print(f"bed: logs are kept in {self.folder}", file=sys.stderr)


class Databases:
    """Servers beside the bed's, each started when it is first asked for: databases("mysql-5.7")."""

    def __init__(self, folder):
        self.folder, self.made = Path(folder), {}

    def __call__(self, name, *options):
        """The server of that name (database.SERVERS) with these lines in its configuration."""
        if (name, options) not in self.made:
            server = SERVERS[name](self.folder / f"{name}-{len(self.made)}", options)
            server.start()
            self.made[name, options] = server
        return self.made[name, options]

    def stop(self):
        """As a crash would: nobody starts them again."""
        for server in self.made.values():
            if server.process:
                server.kill()
