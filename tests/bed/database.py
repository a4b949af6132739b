"""
MariaDB 10.11 of Debian and MySQL 8.0.31, each with a private data directory and a free port.

Both write a row binlog with full images and full metadata and do not wait for the disk. Users:
root (no password), `owncloud` (all rights on the database `owncloud`: what plays ownCloud), and
`lockstep` (the rights that docs/operations.md asks for, and not one more).
"""

import os
import shutil
import subprocess
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
binlog_row_metadata=FULL
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
mysqlx=OFF
"""


class Database:
    """A running server. `options` are lines for its configuration; the last word counts."""

    kind = "mariadb"

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
        run(["mariadb-install-db", f"--defaults-file={self.config}", f"--user={_user()}",
             "--auth-root-authentication-method=normal", "--skip-test-db"],
            "mariadb-install-db (package mariadb-server-core)")

    def _argv(self):
        return [_program("mariadbd"), f"--defaults-file={self.config}"]

    def start(self):
        """Makes the data directory when it is new, starts, waits until it answers."""
        new = not any((self.folder / "data").iterdir())
        if new:
            self._initialise()
        self.process = Process(self.kind, self._argv(), self.folder / "server.log")
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
        out = run(argv + ([database] if database else []), f"SQL on {self.kind}",
                  input=text.encode())
        return [line.split("\t") for line in out.decode().splitlines()]

    def load(self, path, database=DATABASE):
        """Feeds a file of SQL to the server."""
        with open(path, "rb") as f:
            run(self.client("--binary-mode", database), f"loading {path}", stdin=f)

    def stop(self):
        if self.process:
            self.process.stop(30)
            self.process = None


class MariaDB(Database):
    kind = "mariadb"


class MySQL(Database):
    kind = "mysql"

    def __init__(self, folder, options=()):
        self.basedir = fetch.mysql()
        super().__init__(folder, options)

    def _config(self):
        return (_MYSQL + _COMMON).format(folder=self.folder, port=self.port, user=_user(),
                                         basedir=self.basedir)

    def _initialise(self):
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


def _user():
    import pwd
    return pwd.getpwuid(os.getuid()).pw_name


def _program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or name
