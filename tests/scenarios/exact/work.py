"""
What happens at the source: writers at random, a fixed workload of every kind of event, and what the
tables hold at the end, in the shape of the records.
"""

import threading

import envelopes
import pymysql
from soak.counts import seeded

from bed import DATABASE

TABLES = ("filecache", "group_user", "share", "accounts", "properties", "storages")
KEYS = {"filecache": ("fileid",), "group_user": ("gid", "uid"), "share": ("id",),
        "accounts": ("id",), "properties": ("id",), "storages": ("numeric_id",)}
UNSENT = {"share": {"token"}}  # secrets that are switched off
LINK = 3
DEADLOCK, LOCK_WAIT, DUPLICATE = 1213, 1205, 1062
COMPRESSION = {"mariadb": "GLOBAL log_bin_compress",  # MySQL 5.7 has none
               "mysql": "SESSION binlog_transaction_compression"}
MANY = 400  # rows that writers play with


def connect(database):
    return pymysql.connect(unix_socket=database.socket, user="root", database=DATABASE,
                           charset="utf8mb4", autocommit=True)


def columns(table):
    """The columns that its records carry."""
    _, named = envelopes.schema(table)
    row = next(kind for name, kind in named.items() if name.endswith("Row"))
    return [f["name"] for f in row["fields"] if f["name"] not in UNSENT.get(table, ())]


def key_text(value):
    """A part of a record's key."""
    return str(value).replace("%", "%25").replace("/", "%2F")


def source_rows(database, table):
    """key -> row, as the records have them."""
    names, out = columns(table), {}
    db = connect(database)
    try:
        with db.cursor() as c:
            c.execute(f"SELECT {', '.join(f'`{n}`' for n in names)} FROM oc_{table}")
            for values in c.fetchall():
                row = {n: v if v is None or isinstance(v, int) else str(v)
                       for n, v in zip(names, values)}
                if row.get("share_type") == LINK and row["share_with"] is not None:
                    row["share_with"] = "*"  # a password's hash
                out["/".join(key_text(row[k]) for k in KEYS[table])] = row
    finally:
        db.close()
    return out


def fill(database, first, last, storages=7):
    """Rows of oc_filecache, on a server of any kind."""
    db = connect(database)
    try:
        with db.cursor() as c:
            c.executemany(
                "INSERT INTO oc_filecache(fileid, storage, path, path_hash, size, etag) "
                "VALUES (%s, %s, %s, MD5(%s), %s, 'e')",
                [(n, n % storages, f"files/{n}", n, n) for n in range(first, last + 1)])
    finally:
        db.close()


class Writer(threading.Thread):
    """Inserts, changes, moves and deletes rows at random until told to stop."""

    def __init__(self, database, *seed, pause=0.002):
        super().__init__(daemon=True)
        self.random, self.pause = seeded(*seed), pause
        self.end, self.error, self.done = threading.Event(), None, 0
        self.db = connect(database)
        self.db.cursor().execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def act(self, c):
        n, r = self.random.randrange(1, MANY), self.random.random()
        if r < 0.3:
            c.execute("INSERT IGNORE INTO oc_filecache(fileid, storage, path, path_hash, size) "
                      "VALUES(%s, %s, %s, MD5(%s), %s)", (n, n % 7, f"files/ü{n}", n, n))
        elif r < 0.5:
            c.execute("UPDATE oc_filecache SET size = size + 1, etag = %s WHERE fileid = %s",
                      (f"{self.random.getrandbits(60):x}", n))
        elif r < 0.6:
            c.execute("UPDATE IGNORE oc_filecache SET storage = %s WHERE fileid = %s",
                      (self.random.randrange(7), n))
        elif r < 0.75:
            c.execute("DELETE FROM oc_filecache WHERE fileid = %s", (n,))
        elif r < 0.85:
            c.execute("REPLACE INTO oc_group_user VALUES(%s, %s)", (f"g{n % 9}", f"u'{n % 5}"))
        elif r < 0.9:
            c.execute("DELETE FROM oc_group_user WHERE gid = %s", (f"g{n % 9}",))
        else:
            self.transaction(c, n)

    def transaction(self, c, n):
        """Over both tables; one in four is rolled back."""
        c.execute("BEGIN")
        for i in range(20):
            c.execute("UPDATE oc_filecache SET size = -%s WHERE fileid = %s", (i, n + i))
        c.execute("REPLACE INTO oc_group_user VALUES(%s, 'all')", (f"g{n % 9}",))
        c.execute("ROLLBACK" if n % 4 == 0 else "COMMIT")

    def run(self):
        try:
            with self.db.cursor() as c:
                while not self.end.wait(self.pause):
                    try:
                        self.act(c)
                    except pymysql.err.Error as e:
                        if e.args[0] not in (DEADLOCK, LOCK_WAIT, DUPLICATE):
                            raise
                        c.execute("ROLLBACK")
                    self.done += 1
        except Exception as e:  # shown by stop()
            self.error = e

    def stop(self):
        self.end.set()
        self.join(150)
        assert not self.is_alive(), "a writer waits for the database"
        self.db.close()
        assert self.error is None, self.error


class Writers:
    """Several at once: `with Writers(database, 6, "some seed"):`"""

    def __init__(self, database, n, *seed, **options):
        self.writers = [Writer(database, *seed, i, **options) for i in range(n)]

    def __enter__(self):
        for w in self.writers:
            w.start()
        return self

    def __exit__(self, *error):
        for w in self.writers:
            w.end.set()
        for w in self.writers:
            w.stop()

    def done(self):
        return sum(w.done for w in self.writers)


def values(first, last, storage="n % 5", text="x"):
    """The VALUES of rows of oc_filecache."""
    return ", ".join(
        f"({n}, {n % 5 if storage == 'n % 5' else storage}, 'files/{text}{n}', MD5('{text}{n}'), {n})"
        for n in range(first, last + 1))


INSERT = "INSERT INTO oc_filecache(fileid, storage, path, path_hash, size) VALUES"


def every_kind(server):
    """
    A fixed workload, statement by statement: single rows and statements whose rows fill several
    events, several tables in one statement, transactions of many events, rows rolled back, moves,
    changed keys, empty and large values, DDL between rows (of columns that nobody carries: others
    ask for a snapshot), statements and tables that nobody watches, new files of the binlog,
    compressed events.
    """
    names = "5.7" not in server  # of the columns, in the binlog
    yield INSERT + values(1, 40)
    yield INSERT + values(1000, 1400)  # several row events
    yield "UPDATE oc_filecache SET size = size + 1, etag = MD5(fileid) WHERE fileid >= 1000"
    yield "UPDATE oc_filecache SET storage = 9, path = CONCAT('moved/', fileid) WHERE fileid % 7 = 3"
    yield "INSERT INTO oc_storages(numeric_id, id) VALUES (1, 'home::a'), (2, 'home::ü'), (3, NULL)"
    yield ("INSERT INTO oc_share(id, share_type, share_with, uid_owner, file_source, attributes) "
           "VALUES (1, 0, 'b', 'a', 5, NULL), (2, 1, 'staff', 'a', 6, ''), (3, 0, NULL, 'a', 7, '[]')")
    yield "UPDATE oc_share SET attributes = REPEAT('0123456789abcdef', 20000) WHERE id = 2"  # 320 KB
    yield f"UPDATE oc_filecache SET path = REPEAT('é', 2000), name = REPEAT('{chr(0x1F4F7)}', 250) WHERE fileid = 2"
    # several tables in one statement
    yield ("UPDATE oc_filecache f JOIN oc_share s ON f.fileid = s.file_source "
           "SET f.size = -1, s.permissions = 31")
    yield ("DELETE f, s FROM oc_filecache f JOIN oc_share s ON f.fileid = s.file_source "
           "WHERE s.id = 3")
    # a transaction of many events, with rows of other tables between and some taken back
    yield "BEGIN"
    for n in range(50, 60):
        yield INSERT + values(n, n + 0)
        yield f"INSERT INTO oc_file_locks(`lock`, `key`) VALUES (1, 'k{n}')"
        yield f"UPDATE oc_filecache SET mtime = {n} WHERE fileid IN ({n}, {n - 40})"
        yield f"INSERT INTO oc_group_user VALUES('g{n % 3}', 'u{n}')"
    yield "SAVEPOINT here"
    yield "DELETE FROM oc_filecache WHERE fileid < 55"
    yield "ROLLBACK TO SAVEPOINT here"
    yield "DELETE FROM oc_file_locks"
    yield "COMMIT"
    yield "BEGIN"
    yield "DELETE FROM oc_filecache"
    yield "ROLLBACK"
    yield "FLUSH BINARY LOGS"
    yield "UPDATE oc_group_user SET gid = 'a/b%' WHERE uid = 'u51'"  # a changed key
    yield ("INSERT INTO oc_accounts(id, user_id, lower_user_id, backend, home) VALUES "
           "(1, 'A', 'a', 'D', '/a'), (2, 'B', 'b', 'D', '/b')")
    yield "UPDATE oc_accounts SET last_login = 5"  # a column that nobody watches
    yield "UPDATE oc_accounts SET last_login = 6, state = 2 WHERE id = 2"
    # DDL between rows
    yield "CREATE TABLE oc_noise (a INT PRIMARY KEY, b LONGTEXT)"
    yield "INSERT INTO oc_noise VALUES (1, REPEAT('n', 50000)), (2, NULL)"
    if names:
        yield from altered()
    yield "CREATE INDEX again ON oc_properties(propertyname)"
    yield "DROP TABLE oc_noise"
    yield "FLUSH BINARY LOGS"
    yield "FLUSH BINARY LOGS"
    # statements, in another database and on a table that nobody watches
    yield "CREATE DATABASE IF NOT EXISTS aside"
    yield "CREATE TABLE aside.oc_filecache (fileid INT PRIMARY KEY, x INT) ENGINE=MyISAM"
    yield "INSERT INTO aside.oc_filecache VALUES (1, 2), (2, 3)"
    yield "SET SESSION binlog_format = 'STATEMENT'"
    yield "UPDATE aside.oc_filecache SET x = 5"
    yield "INSERT INTO oc_mounts VALUES (NULL, 1, 2, 'a', '/a')"
    yield "SET SESSION binlog_format = 'ROW'"
    yield "DROP DATABASE aside"
    # compressed
    compression = COMPRESSION[server.split("-")[0]] if names else None
    if compression:
        yield f"SET {compression} = ON"
    yield INSERT + values(2000, 2400, 3, "z")
    yield "BEGIN"
    yield "UPDATE oc_filecache SET size = 7 WHERE storage = 3"
    yield "UPDATE oc_group_user SET gid = 'zipped' WHERE gid = 'g1'"
    yield "DELETE FROM oc_filecache WHERE fileid BETWEEN 2100 AND 2390"
    yield "COMMIT"
    if compression:
        yield f"SET {compression} = OFF"
    for n in range(3000, 3020):
        yield INSERT + values(n, n)
        yield f"UPDATE oc_filecache SET etag = 'last' WHERE fileid = {n}"
    yield "DELETE FROM oc_filecache WHERE fileid BETWEEN 3005 AND 3010"


def altered():
    """Columns come and go between rows: to be followed from behind, the binlog must name them."""
    yield "ALTER TABLE oc_properties ADD added VARCHAR(20) NULL AFTER fileid"
    yield ("INSERT INTO oc_properties(id, fileid, added, propertyname, propertyvalue) VALUES "
           "(1, 5, 'x', 'p', 'v'), (2, 6, NULL, 'q', '')")
    yield "ALTER TABLE oc_properties DROP COLUMN added"
    yield ("INSERT INTO oc_properties(id, fileid, propertyname, propertyvalue) "
           "VALUES (3, 7, 'r', REPEAT('v', 255))")
    yield "ALTER TABLE oc_filecache MODIFY storage_mtime INT NULL, ADD first_one TINYINT NULL FIRST"
    yield "UPDATE oc_filecache SET storage_mtime = NULL, size = 99 WHERE fileid < 9"


def run(database, statements):
    """By one session, each committed by itself; returns how many."""
    db = connect(database)
    try:
        with db.cursor() as c:
            return sum(1 for s in statements if c.execute(s) is not None)
    finally:
        db.close()
