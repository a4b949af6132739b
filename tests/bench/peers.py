"""
The readers that capture is compared with: fetched, built, and how each is started.

Versions are pinned here and in canal/go.mod. Everything lands in build/bench/peers; a folder there is
complete when it is there: it is filled under another name and renamed. A peer that cannot be had
(no Go, no registry) is left out of the run and named in the result with the reason.
"""

import json
import os
import shutil
from pathlib import Path

from bed.process import BedError, run

HERE = Path(__file__).resolve().parent
DEBEZIUM = "3.5.0.Final"
MAXWELL = "1.22.6"
GO_MYSQL = "1.15.0"
WATCHED = ("oc_filecache", "oc_storages", "oc_mimetypes", "oc_share")
HEAP = "1g"

# Debezium's pom names a repository of its own, which has nothing that Central lacks.
_SETTINGS = """<settings><mirrors><mirror><id>central-only</id><mirrorOf>*,!central</mirrorOf>
<url>file:///nowhere</url></mirror></mirrors></settings>
"""
# Maxwell names a class of Java's old script engine, which Java 15 took away; it is never called.
_NASHORN = """package jdk.nashorn.api.scripting;
public abstract class ScriptObjectMirror extends java.util.AbstractMap<String, Object> {
    public boolean isArray() { return false; }
}
"""


def java():
    return str(Path(os.environ["JAVA_HOME"]) / "bin" / "java") if "JAVA_HOME" in os.environ \
        else "java"


def _filled(folder, fill):
    if not folder.is_dir():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        fill(part)
        part.rename(folder)
    return folder


def _jars(folder, *artifacts):
    """All jars that these artifacts (group:artifact:version) need, into folder/lib."""
    (folder / "settings.xml").write_text(_SETTINGS)
    dependencies = "".join(
        "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version>"
        "</dependency>".format(*a.split(":")) for a in artifacts)
    (folder / "pom.xml").write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>lockstep</groupId>"
        "<artifactId>bench</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>\n")
    run(["mvn", "-q", "-B", "-s", "settings.xml", "dependency:copy-dependencies",
         "-DincludeScope=runtime", "-DoutputDirectory=lib"], "fetching with mvn", cwd=folder)


class Debezium:
    """Debezium's embedded engine with the MariaDB connector, JSON to Kafka (DebeziumToKafka.java)."""

    name = f"debezium {DEBEZIUM}"

    def __init__(self, folder):
        def fill(part):
            _jars(part, *(f"io.debezium:debezium-{what}:{DEBEZIUM}"
                          for what in ("connector-mariadb", "embedded")),
                  "org.slf4j:slf4j-simple:1.7.36")
            run(["javac", "-cp", "lib/*", "-d", "classes", HERE / "DebeziumToKafka.java"],
                "compiling DebeziumToKafka.java", cwd=part)
        self.folder = _filled(folder / f"debezium-{DEBEZIUM}", fill)
        # what is ours may have changed since
        run(["javac", "-cp", "lib/*", "-d", "classes", HERE / "DebeziumToKafka.java"],
            "compiling DebeziumToKafka.java", cwd=self.folder)

    def command(self, site, work, topics, target, start=None, **more):
        """
        Follows the source from `start` (file, pos), or takes a snapshot and ends when there is
        none; ends after `target` rows, 0: never. Options of the connector in `more`, _ for a dot.
        """
        work.mkdir(parents=True, exist_ok=True)
        options = {
            "name": "bench", "topic.prefix": topics,
            "connector.class": "io.debezium.connector.mariadb.MariaDbConnector",
            "database.hostname": site.host, "database.port": site.port,
            "database.user": site.user, "database.password": site.password,
            "database.server.id": 5001, "database.ssl.mode": "disable",
            "database.include.list": site.database,
            "table.include.list": ",".join(f"{site.database}.{t}" for t in WATCHED),
            "include.schema.changes": "false",
            "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
            "schema.history.internal.file.filename": work / "history",
            "schema.history.internal.store.only.captured.tables.ddl": "true",
            "offset.storage": "org.apache.kafka.connect.storage.FileOffsetBackingStore",
            "offset.storage.file.filename": work / "offsets", "offset.flush.interval.ms": 10000,
            "key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false",
            "max.batch.size": 8192, "max.queue.size": 32768,
            # with an offset but no history the connector reads the tables' definitions again
            "snapshot.mode": "recovery" if start else "initial_only",
            **{key.replace("_", "."): value for key, value in more.items()}}
        for file in ("history", "offsets"):
            (work / file).unlink(missing_ok=True)
        argv = [java(), f"-Xms{HEAP}", f"-Xmx{HEAP}", "-cp",
                f"{self.folder}/classes:{self.folder}/lib/*",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "DebeziumToKafka",
                site.bootstrap, target]
        if start:
            offset = {"file": start[0], "pos": start[1], "gtids": start[2], "row": 0, "event": 0}
            argv += ["--offset", json.dumps(offset)]
        return argv + [f"{key}={value}" for key, value in options.items()]


class Maxwell:
    """Maxwell, JSON lines to stdout. Its own database on the source is made anew for each run."""

    name = f"maxwell {MAXWELL}"

    def __init__(self, folder):
        def fill(part):
            _jars(part, f"com.zendesk:maxwell:{MAXWELL}")
            source = part / "jdk" / "nashorn" / "api" / "scripting" / "ScriptObjectMirror.java"
            source.parent.mkdir(parents=True)
            source.write_text(_NASHORN)
            run(["javac", "-d", "classes", source], "compiling Maxwell's missing class", cwd=part)
        self.folder = _filled(folder / f"maxwell-{MAXWELL}", fill)

    def command(self, site, start):
        site.sql("SET sql_log_bin=0; DROP DATABASE IF EXISTS maxwell;"
                 "CREATE USER IF NOT EXISTS maxwell@'%' IDENTIFIED BY 'maxwell';"
                 "GRANT ALL ON maxwell.* TO maxwell@'%';"
                 "GRANT SELECT, REPLICATION CLIENT, REPLICATION SLAVE, BINLOG MONITOR,"
                 " REPLICATION SLAVE ADMIN, SUPER ON *.* TO maxwell@'%'")
        tables = ", ".join(f"include: {site.database}.{t}" for t in WATCHED)
        return [java(), f"-Xmx{HEAP}", "-cp", f"{self.folder}/classes:{self.folder}/lib/*",
                "com.zendesk.maxwell.Maxwell", f"--host={site.host}", f"--port={site.port}",
                "--user=maxwell", "--password=maxwell", "--producer=stdout",
                "--replica_server_id=5002", "--log_level=warn",
                f"--init_position={start[0]}:{start[1]}:0", f"--filter=exclude: *.*, {tables}"]


class Canal:
    """go-mysql's canal, which decodes each row and counts it (canal/main.go)."""

    name = f"go-mysql canal {GO_MYSQL}"

    def __init__(self, folder):
        if not shutil.which("go"):
            raise BedError("there is no go on the PATH")
        self.program = folder / "canal"
        folder.mkdir(parents=True, exist_ok=True)
        run(["go", "build", "-o", self.program, "."], "building canal with go",
            cwd=HERE / "canal")

    def command(self, site, start, target):
        return [self.program, f"{site.host}:{site.port}", site.user, site.password, site.database,
                start[0], start[1], target, *WATCHED]
