"""
Records the binlog events that the unit tests of capture read.

    PYTHONPATH=tests build/venv/bin/python tests/unit/capture/record.py [case ...]

Starts a MariaDB and a MySQL of the bed, runs the statements below, and keeps each case's events (of
the named cases, if any are named) as they stand in the binlog file (checksums included) in
data/<case>.events: one event behind another. The times and the server's version are those of the
recording; nothing in the tests depends on them.
"""

import struct
import sys
from pathlib import Path

from bed import Bed

DATA = Path(__file__).parent / "data"

# every column type that a table can hold, in a watched table; YEAR stands in front of unsigned ones
TYPES = """
CREATE TABLE oc_filecache (
  fileid BIGINT NOT NULL PRIMARY KEY, c_year YEAR, c_utiny TINYINT UNSIGNED, c_tiny TINYINT,
  c_usmall SMALLINT UNSIGNED, c_medium MEDIUMINT, c_umedium MEDIUMINT UNSIGNED, c_uint INT UNSIGNED,
  c_float FLOAT, c_double DOUBLE, c_decimal DECIMAL(20,5), c_decimal9 DECIMAL(9,9),
  c_bit BIT(13), c_date DATE, c_time TIME, c_time3 TIME(3), c_dt DATETIME, c_dt6 DATETIME(6),
  c_ts TIMESTAMP NULL, c_ts2 TIMESTAMP(2) NULL, c_enum ENUM('a','b'), c_set SET('x','y','z'),
  c_char CHAR(10), c_longchar CHAR(255), c_bin BINARY(5), c_varbin VARBINARY(300),
  c_tinytext TINYTEXT, c_text TEXT, c_mediumblob MEDIUMBLOB, c_longtext LONGTEXT, c_json JSON,
  c_point GEOMETRY, storage INT NOT NULL, path VARCHAR(4000), size BIGINT NOT NULL,
  mtime BIGINT, name VARCHAR(250), parent BIGINT NOT NULL DEFAULT -1)
"""
TYPE_ROWS = """
INSERT INTO oc_filecache VALUES
 (1, 2026, 200, -100, 65535, -8388608, 16777215, 4294967295, 1.5, -2.5, -123456789012345.54321,
  0.123456789, b'1010101010101', '2026-11-22', '-12:34:56', '12:34:56.789', '2026-11-22 01:02:03',
  '2026-11-22 01:02:03.456789', '2026-11-22 01:02:03', '2026-11-22 01:02:03.45', 'b', 'x,z', 'char',
  REPEAT('ü', 200), 'bin', 'varbin', 'tiny', 'text', 'blob', 'long', '{"a":1}', POINT(1,2),
  7, 'files/ü📷', -1, 5000000000, 'ü📷', -1),
 (9223372036854775807, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL, -2147483648, NULL, -9223372036854775808, NULL, NULL, 0)
"""
PLAIN = """
CREATE TABLE oc_accounts (id BIGINT UNSIGNED NOT NULL PRIMARY KEY, email VARCHAR(255),
  user_id VARCHAR(255) NOT NULL, last_login INT NOT NULL DEFAULT 0, state SMALLINT);
CREATE TABLE oc_share (id INT PRIMARY KEY, share_type SMALLINT, share_with VARCHAR(255),
  token VARCHAR(32), expiration DATETIME, uid_owner VARCHAR(64));
CREATE TABLE other (a INT PRIMARY KEY)
"""
CASES = {
    "types": TYPE_ROWS + "; UPDATE oc_filecache SET size = 8, storage = 9 WHERE fileid = 1;"
             "DELETE FROM oc_filecache WHERE fileid > 1",
    "mixed": """INSERT INTO oc_accounts VALUES(1, NULL, 'A', 5, 1), (18446744073709551615, 'm', 'B', 6, 2);
        UPDATE oc_accounts SET last_login = 7 WHERE id = 1;
        BEGIN; INSERT INTO other VALUES(1); UPDATE oc_accounts SET state = -1 WHERE id = 1; COMMIT;
        INSERT INTO oc_share VALUES(1, 3, 'hash', 'tok', '2031-02-28 23:59:58', 'A')""",
    "nolog": """SET GLOBAL binlog_row_metadata = 'NO_LOG';
        INSERT INTO oc_accounts VALUES(2, NULL, 'C', 5, 1);
        SET GLOBAL binlog_row_metadata = 'FULL'""",
    "minimal": """SET SESSION binlog_row_image = 'MINIMAL';
        UPDATE oc_accounts SET state = 3 WHERE id = 1""",
    "statement": """SET SESSION binlog_format = 'STATEMENT';
        UPDATE oc_accounts SET state = 4 WHERE id = 1; INSERT INTO other VALUES(2)""",
    "ddl": "ALTER TABLE oc_accounts ADD quota VARCHAR(32) FIRST; TRUNCATE oc_share",
    "compressed": """SET GLOBAL log_bin_compress = 1;
        INSERT INTO oc_share SELECT seq + 10, 0, REPEAT('b', 200), NULL, NULL, 'A' FROM seq_1_to_20;
        DELETE FROM oc_share WHERE id > 10;
        CREATE TABLE long_one (a INT COMMENT 'CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC',
          b INT COMMENT 'CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC',
          c INT COMMENT 'CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC',
          d INT COMMENT 'CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC');
        SET GLOBAL log_bin_compress = 0""",
    "annotated": "SET SESSION binlog_annotate_row_events = 1; INSERT INTO other VALUES(3)",
    "xa": """XA START 'first', 'branch', 7; INSERT INTO oc_accounts VALUES(NULL, 30, NULL, 'X', 5, 1);
        XA END 'first', 'branch', 7; XA PREPARE 'first', 'branch', 7; XA COMMIT 'first', 'branch', 7;
        XA START 'second'; INSERT INTO oc_accounts VALUES(NULL, 31, NULL, 'Y', 5, 1);
        XA END 'second'; XA PREPARE 'second'; XA ROLLBACK 'second';
        XA START 'third'; INSERT INTO oc_accounts VALUES(NULL, 32, NULL, 'Z', 5, 1);
        XA END 'third'; XA COMMIT 'third' ONE PHASE""",
    "savepoint": """BEGIN; INSERT INTO oc_accounts VALUES(NULL, 40, NULL, 'a', 5, 1); SAVEPOINT s;
        INSERT INTO oc_accounts VALUES(NULL, 41, NULL, 'b', 5, 1); ROLLBACK TO s; COMMIT""",
    "unsummed": """SET GLOBAL binlog_checksum = NONE; FLUSH BINARY LOGS;
        INSERT INTO oc_accounts VALUES(NULL, 42, NULL, 'c', 5, 1)""",
}
MYSQL_CASES = {
    "mysql_types": TYPE_ROWS + "; UPDATE oc_filecache SET size = 8, storage = 9 WHERE fileid = 1;"
                   "DELETE FROM oc_filecache WHERE fileid > 1",
    "mysql_mixed": """SET SESSION binlog_rows_query_log_events = ON;
        INSERT INTO oc_accounts VALUES(1, NULL, 'A', 5, 1), (18446744073709551615, 'm', 'B', 6, 2);
        UPDATE oc_accounts SET last_login = 7 WHERE id = 1;
        BEGIN; INSERT INTO other VALUES(1); SAVEPOINT s; UPDATE oc_accounts SET state = 9;
        ROLLBACK TO s; UPDATE oc_accounts SET state = -1 WHERE id = 1; COMMIT""",
    "mysql_payload": """SET SESSION binlog_transaction_compression = ON;
        INSERT INTO oc_share VALUES(1, 3, 'hash', 'tok', '2031-02-28 23:59:58', 'A'),
          (2, 3, REPEAT('b', 200), 'tok', NULL, 'A'), (3, 3, REPEAT('b', 200), 'tok', NULL, 'A');
        BEGIN; INSERT INTO other VALUES(10); DELETE FROM oc_share WHERE id > 1;
        UPDATE oc_share SET token = 'new'; COMMIT""",
    "mysql_xa": """XA START 'first', 'branch', 7; INSERT INTO oc_accounts VALUES(30, NULL, 'X', 5, 1);
        XA END 'first', 'branch', 7; XA PREPARE 'first', 'branch', 7; XA COMMIT 'first', 'branch', 7;
        XA START 'second'; INSERT INTO oc_accounts VALUES(31, NULL, 'Y', 5, 1);
        XA END 'second'; XA PREPARE 'second'; XA ROLLBACK 'second';
        XA START 'third'; INSERT INTO oc_accounts VALUES(32, NULL, 'Z', 5, 1);
        XA END 'third'; XA COMMIT 'third' ONE PHASE""",
    "mysql_v1": """SET GLOBAL log_bin_use_v1_row_events = ON;
        INSERT INTO oc_accounts VALUES(50, NULL, 'v', 5, 1);
        SET GLOBAL log_bin_use_v1_row_events = OFF""",
    "mysql_partitioned": """CREATE TABLE oc_mimetypes (id INT PRIMARY KEY, mimetype VARCHAR(255))
        PARTITION BY HASH(id) PARTITIONS 4;
        INSERT INTO oc_mimetypes VALUES(1, 'text'), (2, 'image');
        UPDATE oc_mimetypes SET id = 7 WHERE id = 2""",
    "mysql_create_select": "CREATE TABLE copied AS SELECT * FROM oc_accounts",
    "mysql_partial": """INSERT INTO oc_filecache (fileid, storage, size, c_json)
        VALUES(70, 7, 1, '{"a": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b": 1}');
        SET SESSION binlog_row_value_options = PARTIAL_JSON;
        UPDATE oc_filecache SET c_json = JSON_SET(c_json, '$.b', 2) WHERE fileid = 70""",
    "mysql_minimal": """SET SESSION binlog_row_image = MINIMAL;
        UPDATE oc_accounts SET state = 3 WHERE id = 1""",
    "mysql_statement": """SET SESSION binlog_format = STATEMENT;
        UPDATE oc_accounts SET state = 4 WHERE id = 1; INSERT INTO other VALUES(2)""",
    "mysql_unsummed": """SET GLOBAL binlog_checksum = NONE;
        INSERT INTO oc_accounts VALUES(42, NULL, 'c', 5, 1)""",
    "mysql_anonymous": """SET GLOBAL binlog_checksum = CRC32;
        SET GLOBAL gtid_mode = ON_PERMISSIVE; SET GLOBAL gtid_mode = OFF_PERMISSIVE;
        INSERT INTO oc_accounts VALUES(43, NULL, 'd', 5, 1)""",
}


def events(raw):
    """The events of a binlog file, as bytes."""
    at = 4
    while at < len(raw):
        size = struct.unpack_from("<I", raw, at + 9)[0]
        yield raw[at:at + size]
        at += size


def record(server, cases, wanted):
    for name, text in cases.items():
        server.sql("FLUSH BINARY LOGS")
        server.sql(text, "owncloud")
        file = server.sql("SHOW MASTER STATUS")[0][0]
        server.sql("FLUSH BINARY LOGS")
        raw = (server.folder / "binlog" / file).read_bytes()
        print(name, [e[4] for e in events(raw)])
        if not wanted or name in wanted:
            (DATA / f"{name}.events").write_bytes(b"".join(events(raw)))


def main(wanted):
    DATA.mkdir(exist_ok=True)
    with Bed(mysql=True, kafka=False, mariadb_options=["log_bin_compress_min_len=100"]) as bed:
        bed.mariadb.sql(TYPES + ";" + PLAIN, "owncloud")
        record(bed.mariadb, CASES, wanted)
        bed.mysql.sql(TYPES + ";" + PLAIN, "owncloud")
        record(bed.mysql, MYSQL_CASES, wanted)


if __name__ == "__main__":
    sys.exit(main(set(sys.argv[1:])))
