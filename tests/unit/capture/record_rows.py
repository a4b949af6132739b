"""
Records rows of every column type, and what a SELECT shows of them, for test_rows.c.

    PYTHONPATH=tests build/venv/bin/python tests/unit/capture/record_rows.py [server ...]

For each server of the bed data/rows-<case>.events holds the events, .values what the server itself
shows of the watched columns (in hexadecimal, UTF-8, one row a line; the texts as values.c promises
them: times without their fraction, numbers without ZEROFILL's zeros), and .columns what
information_schema says, as the position topic keeps it. data/collations.txt has every server's
collations by number.
"""

import json
import struct
import sys
import tempfile
from pathlib import Path

from bed.database import SERVERS

DATA = Path(__file__).parent / "data"

# our columns of oc_share, each of another type, with columns of any type between them
BOTH = """
  f FLOAT UNSIGNED, y YEAR, share_type BIT(9), d DOUBLE, share_with DECIMAL(30,9), bn BINARY(5),
  uid_owner {choice}, e9 ENUM('n{many}'), uid_initiator {choices}, parent YEAR, g GEOMETRY,
  item_type DATE, dt DATETIME{n}, item_source TIME{n}, file_source DECIMAL(18,0), vb VARBINARY(300),
  file_target DATETIME{n}, permissions TINYINT(4) UNSIGNED ZEROFILL, t0 TIME, ts TIMESTAMP NULL,
  stime BIGINT UNSIGNED, js JSON, accepted MEDIUMINT, expiration TIMESTAMP{n} NULL DEFAULT NULL,
  token VARCHAR(32) CHARACTER SET ascii, gv INT AS (mail_send + 1), mail_send SMALLINT,
  share_name CHAR(20) CHARACTER SET latin1, bl BLOB, lb LONGBLOB,
  attributes MEDIUMTEXT CHARACTER SET latin1, gs INT AS (mail_send + 2) STORED, b64 BIT(64)
"""
MARIADB = """, vc VARCHAR(300) COMPRESSED CHARACTER SET latin1, tc TEXT COMPRESSED, ui UUID, i6 INET6,
  i4 INET4, inv INT INVISIBLE DEFAULT 5"""
LABELS = dict(choice="ENUM('a','ü','c d') CHARACTER SET latin1",
              choices="SET('x','yy','ü') CHARACTER SET utf8mb4", many="','".join(map(str, range(300))))
PLAIN = dict(LABELS, choice="VARCHAR(9) CHARACTER SET latin1", choices="TINYTEXT CHARACTER SET utf8mb3")
NAMES = ("share_type share_with uid_owner uid_initiator parent item_type item_source file_source "
         "file_target permissions stime accepted expiration mail_send share_name attributes").split()
ROWS = [
    # the extremes one way, the other way, ordinary ones, zeros, nothing at all
    ("511", "999999999999999999999.999999999", "'ü'", "'x,yy,ü'", "2155", "'9999-12-31'",
     "'838:59:59'", "999999999999999999", "'9999-12-31 23:59:59.{n9}'", "255",
     "9223372036854775807", "8388607", "'2038-01-19 03:14:07'", "32767", "'ÿ€ŸžŠ'", "UNHEX('{all}')"),
    ("0", "-999999999999999999999.999999999", "'a'", "''", "1901", "'1000-01-01'", "'-838:59:59'",
     "-999999999999999999", "'1000-01-01 00:00:00'", "0", "0", "-8388608", "'1970-01-01 00:00:01'",
     "-32768", "''", "''"),
    ("257", "0.000000001", "'c d'", "'x,ü'", "2026", "'2026-11-22'", "'12:34:56.{n4}'", "-7",
     "'2026-11-22 01:02:03.{n4}'", "7", "18446744073709551615", "-1", "'2026-11-22 01:02:03.{n4}'",
     "-1", "'trailing  '", "REPEAT('ü', 300)"),
    ("1", "-0.5", "''", "'yy'", "0", "'0000-00-00'", "'-00:00:00.{n4}'", "0",
     "'0000-00-00 00:00:00'", "042", "5", "1", "'0000-00-00 00:00:00'", "0", "'x'", "'y'"),
    ("NULL",) * 16,
    ("3", "-123456789.5", "'ü'", "'yy,ü'", "1970", "'1970-01-01'", "'-12:34:56.{n4}'", "123456789",
     "'0001-01-01 00:00:01.{n9}'", "99", "9223372036854775808", "0", "'2001-09-09 01:46:40.{n9}'",
     "1", "'ab'", "'c'"),
]
OTHERS = ("f=1.5, y=2026, d=-2.5, bn='b', e9='298', g=POINT(1,2), dt='2026-11-22 01:02:03', vb=REPEAT('v',300), "
          "t0='01:02:03', ts='2026-11-22 01:02:03', js='{\"a\":[1,\"ü\"]}', token='tok', bl='bl', "
          "lb=REPEAT('l', 300), b64=b'1'")
MARIADB_OTHERS = (", vc=REPEAT('vü',99), tc=REPEAT('t', 300), ui='00112233-4455-6677-8899-aabbccddeeff', "
                  "i6='::1', i4='127.0.0.1'")


def select(name):
    """A column as text of UTF-8 in hexadecimal, by the rules of values.c."""
    text = (f"{name}+0" if name in ("share_type", "parent", "permissions")
            else f"SUBSTRING_INDEX({name},'.',1)" if name in ("item_source", "file_target", "expiration")
            else name)
    return f"HEX(CONVERT(CAST({text} AS CHAR) USING utf8mb4))"


def inserts(decimals, mariadb):
    """The statements that make the rows."""
    fill = {"n9": "9" * max(decimals, 1) if decimals else "0", "n4": "456789"[:decimals] or "0",
            "all": "".join(f"{i:02X}" for i in range(256))}
    lines = ["SET SESSION sql_mode='NO_ENGINE_SUBSTITUTION', time_zone='+00:00'"]
    for i, row in enumerate(ROWS):
        values = ", ".join(f"{name}={value.format(**fill)}" for name, value in zip(NAMES, row))
        more = ", " + OTHERS + (MARIADB_OTHERS if mariadb else "") if i % 2 == 0 else ""
        lines.append(f"INSERT INTO oc_share SET id={i + 1}, {values}{more}")
    return lines


def record(db, case, labels, decimals, settings="SET @x=1", undo="SET @x=1"):
    mariadb = db.name.startswith("mariadb")
    n = f"({decimals})" if decimals else ""
    columns = (BOTH.format(n=n, **labels) + (MARIADB if mariadb else ""))
    db.sql(f"{settings}; SET SESSION sql_mode='NO_ENGINE_SUBSTITUTION'; DROP TABLE IF EXISTS oc_share; "
           f"CREATE TABLE oc_share (id INT PRIMARY KEY, {columns}); FLUSH BINARY LOGS", "owncloud")
    file = db.place()[0]
    db.sql("; ".join(inserts(decimals, mariadb)), "owncloud")
    db.sql("FLUSH BINARY LOGS")
    raw = (db.folder / "binlog" / file).read_bytes()
    (DATA / f"rows-{case}.events").write_bytes(b"".join(
        e for e in events(raw) if e[4] in (15, 19, 23, 30)))
    shown = db.sql("SET SESSION time_zone='+00:00'; SELECT " + ", ".join(map(select, ["id", *NAMES])) +
                   " FROM oc_share ORDER BY id", "owncloud")
    (DATA / f"rows-{case}.values").write_text("\n".join("\t".join(r) for r in shown) + "\n")
    described = db.sql(
        "SELECT COLUMN_NAME, DATA_TYPE, COALESCE(CHARACTER_SET_NAME,'-'), COLUMN_TYPE LIKE '%unsigned%', "
        "COALESCE(DATETIME_PRECISION, NUMERIC_SCALE, 0) FROM information_schema.COLUMNS "
        "WHERE TABLE_SCHEMA='owncloud' AND TABLE_NAME='oc_share' ORDER BY ORDINAL_POSITION")
    (DATA / f"rows-{case}.columns").write_text(json.dumps({"share": [
        [c[0], c[1], "" if c[2] == "-" else c[2], c[3] == "1", int(c[4]), ""] for c in described]}) + "\n")
    db.sql(undo)
    print(case, len(shown), "rows")


def events(raw):
    """The events of a binlog file, as bytes."""
    at = 4
    while at < len(raw):
        size = struct.unpack_from("<I", raw, at + 9)[0]
        yield raw[at:at + size]
        at += size


def collations(db):
    table = ("COLLATION_CHARACTER_SET_APPLICABILITY" if db.name.startswith("mariadb") else "COLLATIONS")
    return {(int(i), "utf8mb3" if name == "utf8" else name) for i, name in db.sql(
        f"SELECT ID, CHARACTER_SET_NAME FROM information_schema.{table} WHERE ID IS NOT NULL")}


def main():
    known = set()
    with tempfile.TemporaryDirectory() as folder:
        for name in sys.argv[1:] or SERVERS:
            db = SERVERS[name](Path(folder) / name)
            db.start()
            try:
                full = name != "mysql-5.7"
                record(db, name, LABELS if full else PLAIN, 6)
                if name == "mariadb-10.11":
                    record(db, "mariadb-old", PLAIN, 0, "SET GLOBAL mysql56_temporal_format=OFF")
                    record(db, "mariadb-hires", PLAIN, 5)
                    record(db, "mariadb-hires-nolog", PLAIN, 6,
                           "SET GLOBAL binlog_row_metadata='NO_LOG'")
                    record(db, "mariadb-minimal", PLAIN, 3,
                           "SET GLOBAL mysql56_temporal_format=ON, binlog_row_metadata='MINIMAL'")
                if name == "mysql-8.0":
                    record(db, "mysql-minimal", PLAIN, 3, "SET GLOBAL binlog_row_metadata='MINIMAL'")
                known |= collations(db)
            finally:
                db.stop()
    if not sys.argv[1:]:
        (DATA / "collations.txt").write_text("".join(f"{i} {c}\n" for i, c in sorted(known)))


if __name__ == "__main__":
    sys.exit(main())
