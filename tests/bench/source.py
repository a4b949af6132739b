"""
The servers of the benchmark, and the binlogs that all readers read.

Two MariaDBs, because a reader ends where the binlog ends: `busy` holds ROWS changes of watched rows
(and some of others between them), `noise` only rows that nobody watches. They are kept in build/bench
between runs, for writing them takes longer than most readers take, so nothing else may be written to
them: latency has a small one of its own. Kafka begins empty each time.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from bed import DATABASE, fetch
from bed.database import MariaDB
from bed.kafka import Kafka, java
from bed.process import BedError

SCHEMA = fetch.ROOT / "tests" / "workload" / "schema.sql"
FORMAT = 2  # of what lies in a kept source; a change of traffic.c makes it another
WRITERS = 2
SMALL = 10  # rows of a transaction behind the large one
MIMETYPES = ("httpd", "httpd/unix-directory", "application", "text/plain", "application/pdf",
             "image", "image/jpeg", "image/png", "text/markdown", "video/mp4")
_OPTIONS = ("innodb_buffer_pool_size=1G", "innodb_log_file_size=512M", "max_binlog_size=512M",
            "innodb_autoinc_lock_mode=2")
_MORE_TABLES = """
CREATE TABLE oc_activity (
  activity_id BIGINT NOT NULL AUTO_INCREMENT, timestamp INT NOT NULL DEFAULT 0,
  priority INT NOT NULL DEFAULT 0, type VARCHAR(255) NULL, user VARCHAR(64) NULL,
  affecteduser VARCHAR(64) NOT NULL, app VARCHAR(255) NOT NULL, subject VARCHAR(255) NOT NULL,
  subjectparams LONGTEXT NOT NULL, message VARCHAR(255) NULL, messageparams LONGTEXT NULL,
  file VARCHAR(4000) NULL, link VARCHAR(4000) NULL, object_type VARCHAR(255) NULL,
  object_id BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (activity_id), KEY activity_user_time (affecteduser, timestamp));
"""
# what the peers ask for; Lockstep has its own user with less
_PEER = """
CREATE USER peer@'%' IDENTIFIED BY 'peer';
GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, BINLOG MONITOR,
  REPLICATION SLAVE ADMIN, LOCK TABLES, UPDATE ON *.* TO peer@'%';
"""


class Source(MariaDB):
    """A MariaDB with a binlog of a known kind and size."""

    user, password, database = "peer", "peer", DATABASE

    def __init__(self, folder, kind, rows):
        self.kind_of_rows, self.wanted = kind, {"format": FORMAT, "kind": kind, "rows": rows}
        self.described = Path(folder) / "source.json"
        if self._kept() is None:
            shutil.rmtree(folder, ignore_errors=True)
        super().__init__(folder, _OPTIONS)
        self.bootstrap = None  # where its readers produce to

    def _kept(self):
        try:
            known = json.loads(self.described.read_text())
        except (OSError, ValueError):
            return None
        return known if known["wanted"] == self.wanted else None

    def prepare(self, traffic):
        """Starts, writes the rows unless they are there, knows where they begin and end."""
        self.start()
        known = self._kept()
        if known is None:
            known = self._write(traffic)
            self.described.write_text(json.dumps(known))
        self.start_at, self.end_at = tuple(known["start"]), tuple(known["end"])
        self.facts = known["facts"]

    def _place(self):
        """(file, position, GTIDs) of the binlog's end."""
        file, position = self.sql("SHOW MASTER STATUS")[0][:2]
        return file, int(position), self.sql("SELECT @@gtid_binlog_pos")[0][0]

    def _write(self, traffic):
        self.sql(_PEER)
        self.load(SCHEMA)
        self.sql(_MORE_TABLES, DATABASE)
        self.sql("FLUSH BINARY LOGS")
        start = self._place()
        values = ",".join(f"({i},'{m}')" for i, m in enumerate(MIMETYPES, 1))
        self.sql(f"INSERT INTO oc_mimetypes (id, mimetype) VALUES {values}", DATABASE)
        said = self._large() if self.kind_of_rows == "large" else self._traffic(traffic)
        files = self.sql("SHOW BINARY LOGS")
        first = [f[0] for f in files].index(start[0])
        facts = {key: sum(s[key] for s in said) for key in ("rows", "noise")}
        facts["binlog_mb"] = round(sum(int(f[1]) for f in files[first:]) / 1e6)
        return {"wanted": self.wanted, "start": start, "end": self._place(), "facts": facts}

    def _traffic(self, traffic):
        made = [subprocess.Popen(
            [str(a) for a in (traffic, self.port, "root", "", DATABASE, self.kind_of_rows,
                              self.wanted["rows"] // WRITERS, i, WRITERS)],
            stdout=subprocess.PIPE) for i in range(WRITERS)]
        said = [m.communicate()[0] for m in made]
        if any(m.returncode for m in made):
            raise BedError(f"traffic failed: its words are above ({self.kind_of_rows})")
        return [json.loads(s) for s in said]

    def _large(self):
        """One transaction of that many rows, then a quarter of them again, ten in each."""
        rows, have = self.wanted["rows"], 1000
        made = ", '5f3c8a0d9e1b7' etag FROM"
        sql = ["BEGIN", "INSERT INTO oc_filecache(fileid, storage, path, path_hash, parent, size, "
               "name, etag) SELECT seq, seq % 100, CONCAT('files/of/usual/length/', seq), "
               f"MD5(seq), 1, seq, 'a name of a usual length.txt'{made} seq_1_to_{have}"]
        while have < rows:
            more = min(have, rows - have)
            sql.append("INSERT INTO oc_filecache(fileid, storage, path, path_hash, parent, size, "
                       f"name, etag) SELECT fileid + {have}, storage, path, MD5(fileid + {have}), "
                       f"1, size, name{made} oc_filecache WHERE fileid <= {more}")
            have += more
        sql.append("COMMIT")
        for i in range(1, rows // 4, SMALL):
            sql.append(f"INSERT INTO oc_filecache(fileid, storage, path, path_hash, parent, size, "
                       f"name, etag) SELECT fileid + {rows}, storage, path, MD5(fileid + {rows}), "
                       f"1, size, name{made} oc_filecache WHERE fileid BETWEEN {i} AND "
                       f"{i + SMALL - 1}")
        self.sql(";\n".join(sql), DATABASE)
        return [{"rows": rows + len(range(1, rows // 4, SMALL)) * SMALL, "noise": 0}]


class Broker(Kafka):
    """Kafka with the memory and the compiler that a real one has; topics are made by use.
    `settled`: with Java's first compiler alone, which is done within seconds. The second one is
    at work for minutes and takes a core of it, and all latencies are then those of the compiler."""

    def __init__(self, folder, settled=False):
        shutil.rmtree(folder, ignore_errors=True)
        self.settled = settled
        super().__init__(folder, ("auto.create.topics.enable=true",), heap="1g")

    def _java(self, heap, *argv):
        log4j = self.folder / "log4j2.properties"
        first = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC") if self.settled else ()
        return [java(), *first, f"-Xms{heap}", f"-Xmx{heap}", f"-Dlog4j2.configurationFile={log4j}", "-cp",
                f"{fetch.kafka_jars()}/*", *argv]


def machine():
    """What the figures were measured on."""
    cpu = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text()
                .splitlines() if line.startswith("model name")), "unknown")
    memory = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines()
                  if line.startswith("MemTotal"))
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_gb": round(memory / 1e6),
            "kernel": os.uname().release, "load_at_start": round(os.getloadavg()[0], 2)}


def write_docs(stage, out, about, table):
    """The figures into docs/performance.md, between the two marks of the stage."""
    path = fetch.ROOT / "docs" / "performance.md"
    begin, end = f"<!-- figures of {stage} -->\n", f"<!-- end of {stage}'s figures -->"
    head, rest = path.read_text().split(begin)
    _, tail = rest.split(end)
    facts = out["machine"]
    words = (f"{out['when']}: {facts['cores']} cores ({facts['cpu']}), {facts['memory_gb']} GB, "
             f"kernel {facts['kernel']}; {about}")
    path.write_text(f"{head}{begin}{words}\n\n{table}\n{end}{tail}")
