"""
MariaDB 10.11 of Debian, MariaDB 11.4.5, MySQL 8.0.31 and 5.7.22, each with a private data directory
and a free port.

All write a row binlog with full images, full metadata (5.7 has none) and GTIDs, and do not wait for
the disk. Users: root (no password), `owncloud` (all rights on the database `owncloud`: what plays
ownCloud), and `lockstep` (the rights that docs/operations.md asks for, and not one more).
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import fetch
from .process import BedError, Process, free_port, run

DATABASE = "owncloud"
PASSWORDS = {"owncloud": "owncloud", "lockstep": "lockstep"}

_COMMON = """
datadir={folder}/data
socket={folder}/sock
pid-file={folder}/pid
port={port}
bind-address=127.0.0.1
tmpdir={folder}/tmp
log-error={folder}/server.log
server_id=1
log_bin={folder}/binlog/mysql-bin
binlog_format=ROW
binlog_row_image=FULL
loose_binlog_row_metadata=FULL
sync_binlog=0
innodb_flush_log_at_trx_commit=0
innodb_doublewrite=0
innodb_flush_method=nosync
innodb_buffer_pool_size=128M
character-set-server=utf8mb4
collation-server=utf8mb4_bin
max_connections=100
skip-name-resolve
performance_schema=OFF
"""
_MARIADB = """
[mariadbd]
user={user}
binlog_annotate_row_events=OFF
gtid_domain_id=0
gtid_strict_mode=ON
innodb_log_file_size=64M
expire_logs_days=0
"""
_MYSQL = """
[mysqld]
user={user}
basedir={basedir}
lc-messages-dir={basedir}/share
gtid-mode=ON
enforce-gtid-consistency=ON
log-slave-updates=ON
loose-mysqlx=OFF
"""


class Database:
    """A running server. `options` are lines for its configuration; the last word counts."""

    name = kind = "mariadb"  # kind: mariadb or mysql
    version = None  # what is fetched
    basedir = None  # its place; None: Debian's

    def __init__(self, folder, options=()):
        self.folder = Path(folder)
        self.host, self.port = "127.0.0.1", free_port()
        self.socket = str(self.folder / "sock")
        self.process = None
        if len(self.socket) > 100:
            raise BedError(f"the folder's name is too long for a socket: {self.socket}")
        for sub in ("data", "binlog", "tmp"):
            (self.folder / sub).mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "my.cnf"
        self.config.write_text(self._config() + "\n".join(options) + "\n")

    def _config(self):
        return (_MARIADB + _COMMON).format(folder=self.folder, port=self.port, user=_user())

    def _initialise(self):
        """A copy of what the first server of its kind made in this cache: seconds of waiting less."""
        def fill(part):
            with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
                first = type(self)(folder)
                first._install()
                (first.folder / "data" / "auto.cnf").unlink(missing_ok=True)  # a server's own name
                copy(first.folder / "data", part / "data")

        def copy(data, to):
            run(["cp", "-R", "--sparse=always", "--reflink=auto", data, to], "copying a data directory")
        pattern = fetch.filled(f"{self.name}-{self._version()}-pattern", fill)
        (self.folder / "data").rmdir()
        copy(pattern / "data", self.folder / "data")

    def _version(self):
        said = run([*self._argv()[:1], "--no-defaults", "--version"], "asking the server's version")
        return re.search(rb"Ver (\S+)", said)[1].decode()

    def _install(self):
        place = [f"--basedir={self.basedir}"] if self.basedir else []
        program = self.basedir / "scripts" / "mariadb-install-db" if place else "mariadb-install-db"
        run([program, f"--defaults-file={self.config}", *place, f"--user={_user()}",
             "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"],
            "mariadb-install-db (package mariadb-server-core)")

    def _argv(self):
        program = self.basedir / "bin" / "mariadbd" if self.basedir else _program("mariadbd")
        place = [f"--basedir={self.basedir}"] if self.basedir else []
        return [program, f"--defaults-file={self.config}", *place]

    def start(self):
        """Makes the data directory when it is new, starts, waits until it answers."""
        new = not any((self.folder / "data").iterdir())
        if new:
            self._initialise()
        self.process = Process(self.name, self._argv(), self.folder / "server.log")
        self.process.wait_ready(self.answers, 60)
        if new:
            self.sql(self._accounts())

    def _accounts(self):
        return f"""
            CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
            CREATE USER owncloud@'%' IDENTIFIED BY 'owncloud', lockstep@'%' IDENTIFIED BY 'lockstep';
            GRANT ALL ON {DATABASE}.* TO owncloud@'%';
            GRANT SELECT ON {DATABASE}.* TO lockstep@'%';
            GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO lockstep@'%';"""

    def client(self, *more, user="root"):
        """The command line of Debian's client for this server, by its socket."""
        argv = ["mariadb", "--no-defaults", "-S", self.socket, f"-u{user}",
                "--default-character-set=utf8mb4"]
        return argv + ([f"-p{PASSWORDS[user]}"] if user in PASSWORDS else []) + list(more)

    def answers(self):
        return subprocess.run(self.client("-e", "SELECT 1"), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def sql(self, text, database=None, user="root"):
        """Runs statements as text; returns the rows as lists of texts (NULL is the text NULL)."""
        argv = self.client("-N", "-B", "--binary-mode", user=user)
        out = run(argv + ([database] if database else []), f"SQL on {self.name}",
                  input=text.encode())
        return [line.split("\t") for line in out.decode().splitlines()]

    def load(self, path, database=DATABASE):
        """Feeds a file of SQL to the server."""
        with open(path, "rb") as f:
            run(self.client("--binary-mode", database), f"loading {path}", stdin=f)

    def place(self):
        """The end of the binlog now: file and offset."""
        file, offset, *_ = self.sql("SHOW MASTER STATUS")[0]
        return file, int(offset)

    def gtids(self):
        """All that is in the binlog, in the server's own words; "" without GTIDs."""
        return self.sql("SELECT @@gtid_binlog_pos")[0][0]

    def stop(self):
        if self.process:
            self.process.stop(30)
            self.process = None

    def kill(self):
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.process = None


class MariaDB(Database):
    """Debian's."""


class MariaDB11(MariaDB):
    name, version = "mariadb-11.4", "11.4.5"

    def __init__(self, folder, options=()):
        self.basedir = fetch.mariadb(self.version)
        # without certificates it makes its own at each start, which takes up to a minute;
        # ssl-cert and the like among the options switch it on again
        super().__init__(folder, ("skip-ssl", *options))


class MySQL(Database):
    name = kind = "mysql"
    version = "8.0.31"

    def __init__(self, folder, options=()):
        self.basedir = fetch.mysql(self.version)
        super().__init__(folder, options)

    def _config(self):
        return (_MYSQL + _COMMON).format(folder=self.folder, port=self.port, user=_user(),
                                         basedir=self.basedir)

    def _install(self):
        run(self._argv() + ["--initialize-insecure"], "mysqld --initialize-insecure")

    def _argv(self):
        return [self.basedir / "bin" / "mysqld", f"--defaults-file={self.config}"]

    def _accounts(self):
        return f"""
            CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
            CREATE USER owncloud@'%' IDENTIFIED WITH mysql_native_password BY 'owncloud';
            CREATE USER lockstep@'%' IDENTIFIED WITH mysql_native_password BY 'lockstep';
            GRANT ALL ON {DATABASE}.* TO owncloud@'%';
            GRANT SELECT ON {DATABASE}.* TO lockstep@'%';
            GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO lockstep@'%';"""

    def gtids(self):
        rows = self.sql("SELECT @@global.gtid_executed")  # several uuids stand on several lines
        return "".join(row[0] for row in rows).replace("\\n", "")


class MySQL57(MySQL):
    name, version = "mysql-5.7", "5.7.22"


# by the name that tests call them
SERVERS = {"mariadb-10.11": MariaDB, "mariadb-11.4": MariaDB11, "mysql-8.0": MySQL,
           "mysql-5.7": MySQL57}


def has_all(have, want):
    """Whether one set of GTIDs, as text of either flavour, holds another."""
    have, want = _intervals(have), _intervals(want)
    return all(any(a <= first and last <= b for a, b in have.get(source, ()))
               for source, parts in want.items() for first, last in parts)


def _intervals(text):
    """domain (MariaDB: all up to the number) or uuid -> [(first, last)]"""
    out = {}
    for part in filter(None, text.replace(" ", "").split(",")):
        if ":" in part:
            source, *intervals = part.split(":")
            out[source] = [tuple(map(int, (i.split("-") * 2)[:2])) for i in intervals]
        else:
            domain, _, number = part.split("-")
            out[domain] = [(1, int(number))]
    return out


def _user():
    import pwd
    return pwd.getpwuid(os.getuid()).pw_name


def _program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or name
