"""
Columns: the same bytes from a snapshot and from the stream, names that belong to the rows' own
moment, and DDL between rows.
"""

import json
import sys
from pathlib import Path

import envelopes
import pytest

from bed import DATABASE, topics, wait_until
from bed.daemons import last_error

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "unit" / "capture"))
import record_rows  # noqa: E402

TABLES = """filecache share storages mimetypes share_external trusted_servers accounts users groups
    group_user ldap_user_mapping ldap_group_mapping files_trash properties vcategory
    vcategory_to_object systemtag systemtag_object_mapping preferences""".split()
# columns of types that ours never have, in front of ours, between them and behind
BESIDE = """ADD COLUMN x_f FLOAT DEFAULT 1.5 FIRST, ADD COLUMN x_d DECIMAL(31,7) DEFAULT -12345.6789,
    ADD COLUMN x_j JSON, ADD COLUMN x_b BIT(13) DEFAULT b'1010101010101', ADD COLUMN x_t TIME(3),
    ADD COLUMN x_e ENUM('a','ü') DEFAULT 'ü', ADD COLUMN x_s SET('a','b') DEFAULT 'a,b',
    ADD COLUMN x_g GEOMETRY, ADD COLUMN x_y YEAR DEFAULT 2026, ADD COLUMN x_n BINARY(5) DEFAULT 'n',
    ADD COLUMN x_ts TIMESTAMP(6) NULL, ADD COLUMN x_l VARCHAR(300) CHARACTER SET latin1 DEFAULT 'ü'"""
LIMITS = {"smallint": 2 ** 15, "int": 2 ** 31, "bigint": 2 ** 63}


def described(capture, table):
    """[(column, type, most characters, nullable, unsigned)]"""
    return [(c, t, None if n == "NULL" else int(n), null == "YES", u == "1") for c, t, n, null, u in capture.sql(
        "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, IS_NULLABLE, COLUMN_TYPE LIKE '%unsigned%' "
        f"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='{DATABASE}' AND TABLE_NAME='oc_{table}' "
        "AND COLUMN_NAME NOT LIKE 'x!_%' ESCAPE '!' ORDER BY ORDINAL_POSITION")]


def extreme(table, column, row):
    """One value as SQL: the least, the most, nothing where that may be, something usual."""
    name, kind, most, null, unsigned = column
    if table == "preferences" and name in ("appid", "configkey"):
        return {"appid": "'files'", "configkey": "'quota'"}[name]
    if row == 2 and null:
        return "NULL"
    if kind in LIMITS:
        low = 0 if unsigned else -LIMITS[kind]
        return str({0: low, 1: LIMITS[kind] - 1, 2: 1}.get(row, 77))
    if kind == "datetime":
        return {0: "'1000-01-01 00:00:00'", 1: "'9999-12-31 23:59:59'"}.get(row, "'2031-02-28 23:59:58'")
    if row == 0:
        return "''"
    # of four bytes each; an index of a key may hold no more than 3,072 of them
    character = " 📷éü"[row]
    return f"REPEAT('{character}', {min(most, 600 if row == 1 else 7)})"


def fill(capture):
    out = ["SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO'"]
    for table in TABLES:
        columns = described(capture, table)
        names = ", ".join(f"`{c[0]}`" for c in columns)
        for row in range(4):
            values = ", ".join(extreme(table, c, row) for c in columns)
            out.append(f"INSERT INTO oc_{table} ({names}) VALUES ({values})")
    capture.sql(";\n".join(out))


def after_bytes(capture, table):
    """key -> op -> the bytes of the image behind a row."""
    out = {}
    top, named = envelopes.schema(table)
    for record in topics.read(capture.bootstrap, f"{capture.prefix}.oc10.oc_{table}"):
        if record["value"] is None:
            continue
        reader, parts, op = envelopes.Reader(record["value"], named), [], None
        for field in top["fields"]:
            start = reader.at
            value = reader.value(field["type"])
            if field["name"] == "op":
                op = value
            if field["name"] in ("after", "after_present"):
                parts.append(record["value"][start:reader.at])
        if op in "cur":
            out.setdefault(record["key"], {})[op] = b"".join(parts)
    return out


def snapshots(capture):
    return capture.status().get("counters", {}).get("snapshots", 0)


def snapshot_again(capture):
    assert capture.stop() == 0
    capture.start("--snapshot", snapshot=False)
    wait_until(lambda: snapshots(capture) == 2, 60, "a second snapshot")
    return capture.drain()


@pytest.mark.parametrize("server", ["mariadb-10.11", "mysql-8.0"])
def test_a_row_has_equal_bytes_from_snapshot_and_stream(new_capture, databases, server):
    capture = new_capture(database=databases(server))
    for table in ("filecache", "storages", "group_user"):
        capture.sql(f"ALTER TABLE oc_{table} {BESIDE}")
    capture.start()
    fill(capture)
    capture.drain()
    assert snapshot_again(capture)["balance"] == 0
    for table in TABLES:
        rows = after_bytes(capture, table)
        assert len(rows) == 4, table
        for key, row in rows.items():
            assert row["c"] == row["r"], (table, key)
    assert capture.status()["dead"] == {}


@pytest.mark.parametrize("server", ["mariadb-10.11", "mysql-8.0"])
def test_columns_of_any_type_have_equal_bytes_from_snapshot_and_stream(new_capture, databases, server):
    capture = new_capture(database=databases(server))
    mariadb = server.startswith("mariadb")
    columns = record_rows.BOTH.format(n="(6)", **record_rows.LABELS)
    capture.sql("DROP TABLE oc_share; CREATE TABLE oc_share (id INT PRIMARY KEY, "
                f"{columns}{record_rows.MARIADB if mariadb else ''})")
    capture.start()
    capture.sql("; ".join(record_rows.inserts(6, mariadb)))
    capture.drain()
    status = snapshot_again(capture)
    assert status["dead"] == {"number-range": 4} and status["balance"] == 0  # two rows, both ways
    rows = after_bytes(capture, "share")
    assert set(rows) == {"1", "2", "4", "5"}
    for key, row in rows.items():
        assert row["c"] == row["r"], key
    shown = {r["key"]: r["after"] for r in capture.rows("share")}
    assert shown["1"]["uid_owner"] == "ü" and shown["1"]["uid_initiator"] == "x,yy,ü"
    assert shown["2"]["share_with"] == "-999999999999999999999.999999999"
    assert shown["1"]["share_type"] == 511 and shown["1"]["share_name"] == "ÿ€ŸžŠ"


def vcategory(capture):
    """oc_vcategory as it is in the database."""
    return {r[0]: json.loads(r[1]) for r in capture.sql(
        "SELECT id, JSON_OBJECT('id', id, 'uid', uid, 'type', type, 'category', category) FROM oc_vcategory")}


SWAP = "ALTER TABLE oc_vcategory CHANGE uid type VARCHAR(64) NOT NULL, CHANGE type uid VARCHAR(64) NOT NULL"


def add_category(capture, n):
    capture.sql(f"INSERT INTO oc_vcategory(id, uid, type, category) VALUES({n}, 'u{n}', 't{n}', 'c{n}')")


@pytest.fixture
def nameless(new_capture, databases):
    """A capture on a server whose rows come without names."""
    server = databases("mariadb-10.11")
    server.sql("SET GLOBAL binlog_row_metadata = 'NO_LOG'")
    capture = new_capture(database=server)
    capture.sql("ALTER TABLE oc_vcategory MODIFY uid VARCHAR(64) NOT NULL, MODIFY type VARCHAR(64) NOT NULL")
    yield capture
    server.sql("SET GLOBAL binlog_row_metadata = 'FULL'")


def test_columns_swapped_while_capture_is_down_are_never_mixed_up(nameless):
    capture = nameless
    capture.start()
    add_category(capture, 1)
    capture.drain()
    assert capture.stop() == 0
    add_category(capture, 2)
    capture.sql(SWAP)
    add_category(capture, 3)
    capture.start(snapshot=False)
    wait_until(lambda: snapshots(capture) == 2, 60, "the snapshot behind the ALTER")
    capture.drain()
    created = [r["after"] for r in capture.rows("vcategory") if r["op"] == "c"]
    assert created == [{"id": n, "uid": f"u{n}", "type": f"t{n}", "category": f"c{n}"} for n in (1, 2, 3)]
    assert capture.state("vcategory") == vcategory(capture)
    assert capture.state("vcategory")["1"]["uid"] == "t1"

    # altered twice behind the position: nobody knows what the rows in between looked like
    assert capture.stop() == 0
    add_category(capture, 4)
    capture.sql(SWAP)
    add_category(capture, 5)
    capture.sql("ALTER TABLE oc_vcategory ADD added INT FIRST")
    add_category(capture, 6)
    status, lines = capture.run(seconds=60)
    why = last_error(lines)
    assert status == 1 and why["cause"] == "columns-unknown" and "--snapshot" in why["message"]
    created = [r["key"] for r in capture.rows("vcategory") if r["op"] == "c"]
    assert created == ["1", "2", "3", "4"]
    capture.start("--snapshot", snapshot=False)
    capture.site.wait_snapshot(60)
    add_category(capture, 7)
    capture.drain()
    assert capture.state("vcategory") == vcategory(capture)
    assert sorted(capture.state("vcategory")) == list("1234567")


def test_mysql_5_7_has_no_names_and_is_followed_through_ddl_and_restarts(new_capture, databases):
    capture = new_capture({"capture.snapshot": "never"}, databases("mysql-5.7"))
    capture.sql("ALTER TABLE oc_vcategory ADD x_j JSON, ADD x_g POINT, ADD x_u BIGINT UNSIGNED FIRST")
    capture.start(snapshot=False)
    add_category(capture, 1)
    capture.drain()
    capture.sql("ALTER TABLE oc_vcategory ADD added INT FIRST, MODIFY x_u INT AFTER x_j")
    add_category(capture, 2)
    capture.drain()
    assert capture.stop() == 0
    add_category(capture, 3)
    capture.sql("ALTER TABLE oc_vcategory DROP added, ADD x_first BLOB FIRST")
    add_category(capture, 4)
    capture.start(snapshot=False)
    assert capture.drain()["balance"] == 0
    assert capture.state("vcategory") == {
        str(n): {"id": n, "uid": f"u{n}", "type": f"t{n}", "category": f"c{n}"} for n in (1, 2, 3, 4)}


def test_ddl_between_rows_leaves_what_the_tables_hold(capture):
    add_category(capture, 1)
    capture.sql("CREATE TABLE like_it LIKE oc_vcategory; CREATE TABLE other (a INT)")
    capture.start()

    def expect(ddl, new_snapshot):
        before = snapshots(capture)
        capture.sql(ddl)
        add_category(capture, 20 + before)
        if new_snapshot:
            wait_until(lambda: snapshots(capture) > before, 60, f"a snapshot after {ddl}")
        capture.drain()
        assert capture.status()["snapshot"]["state"] == "done", ddl
        assert (snapshots(capture) > before) == new_snapshot, ddl
        assert capture.state("vcategory") == vcategory(capture), ddl

    expect("INSERT INTO like_it VALUES(2, 'u', 't', 'c'); /* gh-ost */ rename /* gh-ost */ table "
           "oc_vcategory to _oc_vcategory_del, like_it to oc_vcategory", True)
    expect("DROP TABLE _oc_vcategory_del; RENAME TABLE other TO another; "
           "ALTER TABLE oc_vcategory ADD added INT FIRST, ADD INDEX by_added (added, category)", False)
    capture.sql("DELETE FROM oc_vcategory WHERE id > 5")
    expect("TRUNCATE TABLE oc_vcategory", True)
    expect("/*!50000 DROP */ TABLE oc_vcategory; CREATE TABLE oc_vcategory (id INT PRIMARY KEY, "
           "category VARCHAR(99), uid VARCHAR(64) CHARACTER SET latin1, type VARCHAR(64))", True)
    expect("INSERT INTO oc_vcategory VALUES(9, 'longer', 'ü', 't'); "
           "ALTER TABLE oc_vcategory MODIFY category CHAR(60), MODIFY uid VARCHAR(70)", True)
    expect("CREATE OR REPLACE TABLE oc_vcategory (id INT, uid TEXT, type TEXT, category TEXT, "
           "PRIMARY KEY(id)) PARTITION BY RANGE(id) (PARTITION a VALUES LESS THAN (20), "
           "PARTITION b VALUES LESS THAN MAXVALUE)", True)
    capture.sql("INSERT INTO oc_vcategory VALUES(3, 'in', 'partition', 'a')")
    expect("CREATE TABLE plain (id INT PRIMARY KEY, uid TEXT, type TEXT, category TEXT); "
           "INSERT INTO plain VALUES(4, 'from', 'plain', 'ü'); "
           "ALTER TABLE oc_vcategory EXCHANGE PARTITION a WITH TABLE plain", True)
    expect("ALTER TABLE oc_vcategory TRUNCATE PARTITION b", True)
    expect("ALTER TABLE oc_vcategory DROP PARTITION a", True)
    expect("ALTER TABLE oc_vcategory RENAME aside; CREATE TABLE oc_vcategory LIKE aside", True)
    assert capture.status()["balance"] == 0


def test_names_are_found_in_any_case_where_the_server_lowers_them(new_capture, databases):
    capture = new_capture({"source.database": "OwnCloud", "source.table_prefix": "OC_"},
                          databases("mariadb-10.11", "lower_case_table_names=1"))
    capture.sql("INSERT INTO OC_Storages(numeric_id, id) VALUES(1, 'home::a')")
    capture.start()
    capture.sql("INSERT INTO OwnCloud.OC_STORAGES(numeric_id, id) VALUES(2, 'home::b')")
    capture.drain()
    assert [(r["op"], r["key"]) for r in capture.rows("storages")] == [("r", "1"), ("c", "2")]
    capture.sql("TRUNCATE Oc_Storages")
    wait_until(lambda: snapshots(capture) == 2, 60, "a snapshot")
    capture.drain()
    assert capture.state("storages") == {}


def test_a_column_that_cannot_be_followed_is_named_at_the_start(capture):
    capture.sql("ALTER TABLE oc_storages MODIFY id VARCHAR(64) CHARACTER SET greek; "
                "ALTER TABLE oc_users MODIFY displayname BINARY(9)")
    for where, text in (("oc_storages.id", "greek"), ("oc_users.displayname", "binary")):
        status, lines = capture.run(seconds=60)
        why = last_error(lines)["message"]
        assert status == 4 and where in why and text in why
        capture.sql("ALTER TABLE oc_storages MODIFY id VARCHAR(64)")
