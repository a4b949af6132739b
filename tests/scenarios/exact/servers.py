"""
The sources that capture can follow, by name: which server, with which options, and how a snapshot
finds its place there.
"""

from collections import namedtuple

Source = namedtuple("Source", "server options sets sql", defaults=((), {}, ""))

WITHOUT_GTIDS = ("gtid_mode=OFF", "enforce_gtid_consistency=OFF")
WATERMARK = """
    CREATE DATABASE IF NOT EXISTS lockstep_marks;
    CREATE TABLE IF NOT EXISTS lockstep_marks.snapshot (id INT PRIMARY KEY, n BIGINT NOT NULL);
    GRANT SELECT, INSERT, UPDATE ON lockstep_marks.snapshot TO lockstep@'%'"""
SOURCES = {
    "mariadb-10.11": Source("mariadb-10.11"),
    "mariadb-11.4": Source("mariadb-11.4"),
    "mysql-8.0": Source("mysql-8.0"),
    "mysql-8.0, file and offset": Source(
        "mysql-8.0", WITHOUT_GTIDS, {"capture.watermark_table": "lockstep_marks.snapshot"},
        WATERMARK),
    "mysql-5.7": Source("mysql-5.7"),
    "mysql-5.7, file and offset": Source(
        "mysql-5.7", WITHOUT_GTIDS, sql="GRANT RELOAD ON *.* TO lockstep@'%'"),
}


def source(databases, name):
    """(its database, the options that capture needs for it)"""
    which = SOURCES[name]
    database = databases(which.server, *which.options)
    if which.sql:
        database.sql(which.sql)
    return database, which.sets
