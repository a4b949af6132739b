"""What the stream makes of row changes, and what it never lets through."""

import signal
import time

import envelopes
from bed import DATABASE, topics, wait_until
from harness import SCHEMA


def insert(capture, first, last, storage=1):
    capture.sql("INSERT INTO oc_filecache(fileid, storage, path, path_hash, size, etag) "
                f"SELECT seq, {storage}, CONCAT('files/', seq), MD5(seq), seq, 'e' "
                f"FROM seq_{first}_to_{last}")


def test_a_move_between_storages_is_two_halves_with_one_counter(capture):
    insert(capture, 1, 1, 1)
    capture.start()
    capture.sql("UPDATE oc_filecache SET storage = 2, path = 'files/moved' WHERE fileid = 1")
    before = capture.drain()["counters"]
    gone, come = [r for r in capture.rows("filecache") if r["op"] in "du"]
    assert (gone["op"], gone["partition"], gone["moved_to"], gone["part"]) == ("d", 1, 2, 0)
    assert (come["op"], come["partition"], come["moved_from"], come["part"]) == ("u", 2, 1, 1)
    assert gone["seq"][:2] == come["seq"][:2]
    assert set(come["before"]) == {"fileid", "storage", "path"}
    assert come["after"]["path"] == "files/moved" and come["after"]["size"] == 1
    tombstone = [r for r in capture.records("filecache") if r["op"] is None]
    assert [t["headers"] for t in tombstone] == [
        {"seq": ".".join(map(str, gone["seq"])), "gtid": gone["gtid"]}]
    assert before["in"] == before["published"] + before["filtered"] + before["dead"] == 3


def test_a_changed_key_is_a_delete_and_a_create(capture):
    capture.start()
    capture.sql("INSERT INTO oc_groups VALUES('staff'); UPDATE oc_groups SET gid = 'a/b%'")
    capture.drain()
    assert [(r["op"], r["key"]) for r in capture.rows("groups")] == [
        ("c", "staff"), ("d", "staff"), ("c", "a%2Fb%25")]


def test_rows_nobody_asked_for_are_filtered_and_counted(capture):
    capture.start()
    capture.sql("""
        INSERT INTO oc_accounts(user_id, lower_user_id, backend, home) VALUES('A','a','D','/a');
        UPDATE oc_accounts SET last_login = 17;
        UPDATE oc_accounts SET last_login = 18, state = 2;
        INSERT INTO oc_storages(id) VALUES('smb::away');
        UPDATE oc_storages SET available = 0, last_checked = 1700000000;
        UPDATE oc_storages SET available = 1, last_checked = 1700000600;
        INSERT INTO oc_preferences VALUES('A', 'files', 'quota', '5 GB'), ('A', 'core', 'lang', 'de');
        UPDATE oc_preferences SET configvalue = 'fr' WHERE configkey = 'lang';
        DELETE FROM oc_preferences""")
    counters = capture.drain()["counters"]
    assert counters["filtered:unwatched-columns"] == 3  # last_login, and a storage that failed and came back
    assert [r["op"] for r in capture.rows("storages")] == ["c"]
    assert counters["filtered:preferences"] == 3
    assert [r["op"] for r in capture.rows("accounts")] == ["c", "u"]
    assert [(r["op"], r["key"]) for r in capture.rows("preferences")] == [
        ("c", "A/files/quota"), ("d", "A/files/quota")]


def test_secrets_of_links_and_people_stay_at_the_source(capture):
    capture.sql("INSERT INTO oc_users VALUES('a', 'A', 'pwhash0')")
    capture.start()
    capture.sql("""
        INSERT INTO oc_share(share_type, share_with, token, uid_owner)
            VALUES(3, 'linkhash', 'secrettoken', 'a'), (0, 'bob', NULL, 'a'), (3, NULL, 't2', 'a');
        UPDATE oc_users SET password = 'pwhash1';
        UPDATE oc_share SET share_with = 'linkhash2' WHERE id = 1""")
    capture.drain()
    shares = capture.rows("share")
    assert [s["after"]["share_with"] for s in shares] == ["*", "bob", None, "*"]
    assert all("token" not in s["after"] for s in shares)
    assert all("password" not in r["after"] for r in capture.rows("users"))
    for name in ("oc10.oc_share", "oc10.oc_users", "dlq", "position", "status"):
        for r in topics.read(capture.bootstrap, f"{capture.prefix}.{name}"):
            for secret in (b"linkhash", b"secrettoken", b"pwhash"):
                assert secret not in (r["value"] or b"")


FEDERATION = """
    INSERT INTO oc_share_external(remote, share_token, password, name, owner, user, mountpoint,
        mountpoint_hash) VALUES('far.example', 'fedtoken', 'fedpass', '/P', 'z', 'a', '/P', '{0}');
    INSERT INTO oc_trusted_servers(url, url_hash, token, shared_secret)
        VALUES('far.example', '{0}', 'fedtoken', 'fedshared');
    INSERT INTO oc_share(share_type, share_with, token, uid_owner)
        VALUES(6, 'z@far.example', 'fedtoken', 'a'), (3, NULL, 'linktoken', 'a')"""


def test_secrets_of_other_servers_have_an_option_of_their_own(capture):
    capture.start()
    capture.sql(FEDERATION.format(1))
    capture.drain()
    assert [r["after"]["remote"] for r in capture.rows("share_external")] == ["far.example"]
    for name in ("share", "share_external", "trusted_servers"):
        for r in topics.read(capture.bootstrap, f"{capture.prefix}.oc10.oc_{name}"):
            for secret in (b"fedtoken", b"fedpass", b"fedshared", b"linktoken"):
                assert secret not in (r["value"] or b"")
    assert capture.stop() == 0
    capture.start("--set", "capture.federation_secrets=true", snapshot=False)
    capture.sql(FEDERATION.format(2))
    capture.drain()
    received, trusted = capture.rows("share_external")[-1], capture.rows("trusted_servers")[-1]
    assert (received["after"]["share_token"], received["after"]["password"]) == (
        "fedtoken", "fedpass")
    assert (trusted["after"]["token"], trusted["after"]["shared_secret"]) == (
        "fedtoken", "fedshared")
    federated, link = capture.rows("share")[-2:]
    assert federated["after"]["token"] == "fedtoken"
    assert "token" not in link["after"]


def test_values_come_as_the_table_holds_them(capture):
    capture.start()
    name = "Ünïcödé 📷 #%"
    insert = f"""INSERT INTO oc_filecache(storage, path, path_hash, name, size, mtime, etag)
        VALUES(3, 'files/{name}', MD5(1), '{name}', -1, 5000000000, NULL);
        INSERT INTO oc_share(share_type, share_with, uid_owner, expiration, permissions)
        VALUES(0, 'b', 'a', '2031-02-28 23:59:58', -1)"""
    capture.sql(insert)
    capture.drain()
    streamed = capture.state("filecache"), capture.state("share")
    assert streamed[0]["1"]["name"] == name and streamed[0]["1"]["size"] == -1
    assert streamed[0]["1"]["mtime"] == 5000000000 and streamed[0]["1"]["etag"] is None
    assert streamed[1]["1"]["expiration"] == "2031-02-28 23:59:58"
    assert capture.stop() == 0
    capture.start("--snapshot", snapshot=False)
    wait_until(lambda: capture.status().get("counters", {}).get("snapshots") == 2, 60, "snapshot")
    capture.drain()
    assert [r["op"] for r in capture.rows("filecache")][-1] == "r"
    assert (capture.state("filecache"), capture.state("share")) == streamed


def test_truncate_asks_for_a_snapshot_and_alter_for_the_columns(capture):
    insert(capture, 1, 20)
    capture.start()
    capture.sql("TRUNCATE oc_filecache")
    wait_until(lambda: capture.status()["counters"]["snapshots"] == 2, 60, "a second snapshot")
    capture.sql("ALTER TABLE oc_filecache ADD added INT FIRST, MODIFY size INT")
    insert(capture, 30, 31)
    capture.drain()
    state = capture.state("filecache")
    assert {k: v["size"] for k, v in state.items()} == {"30": 30, "31": 31}


def test_without_metadata_columns_come_from_information_schema(capture):
    capture.sql("SET GLOBAL binlog_row_metadata = 'NO_LOG'")
    try:
        capture.start()
        capture.sql("INSERT INTO oc_accounts(user_id, lower_user_id, backend, home, state) "
                    "VALUES('A','a','D','/a',1)")
        insert(capture, 1, 2)
        capture.drain()
        capture.sql("ALTER TABLE oc_filecache ADD added VARCHAR(9) FIRST")
        insert(capture, 3, 3)
        capture.drain()
    finally:
        capture.sql("SET GLOBAL binlog_row_metadata = 'FULL'")
    assert {k: v["path"] for k, v in capture.state("filecache").items()} == {
        "1": "files/1", "2": "files/2", "3": "files/3"}
    assert capture.state("accounts")["1"]["state"] == 1
    assert any(line.get("event") == "source-metadata" for line in capture.site.log_lines("capture"))


def test_compressed_events_are_read(capture):
    capture.sql("SET GLOBAL log_bin_compress = 1")
    try:
        capture.start()
        insert(capture, 1, 500)
        capture.sql(f"CREATE TABLE other (a INT COMMENT '{'x' * 500}')")
        capture.drain()
    finally:
        capture.sql("SET GLOBAL log_bin_compress = 0")
    assert len(capture.state("filecache")) == 500


def test_a_restart_of_the_source_and_new_files_are_followed(capture):
    capture.start()
    insert(capture, 1, 10)
    capture.drain()
    capture.bed.mariadb.stop()
    wait_until(lambda: not capture.site.ready("capture"), 60, "/readyz to fail")
    capture.bed.mariadb.start()
    insert(capture, 11, 20)
    capture.sql("FLUSH BINARY LOGS")
    insert(capture, 21, 30)
    capture.site.wait_ready("capture", 30)
    capture.drain()
    assert [int(r["key"]) for r in capture.rows("filecache")] == list(range(1, 31))


def test_heartbeats_reach_every_partition_and_say_now_when_idle(capture):
    capture.start()
    capture.drain()
    idle_us = time.time() * 1e6

    def heartbeats():
        return [r for r in capture.records("filecache") if r["op"] == "h"]

    # nothing happens at the source, and still they say a later time
    wait_until(lambda: max((r["source_ts_us"] for r in heartbeats()), default=0) > idle_us, 60,
               "a heartbeat of a time without rows", 0.5)
    beats = heartbeats()
    assert {r["partition"] for r in beats} == {0, 1, 2, 3}
    for table in ("share", "accounts", "storages", "users", "preferences", "vcategory",
                  "vcategory_to_object", "properties", "ldap_user_mapping",
                  "ldap_group_mapping", "systemtag", "systemtag_object_mapping"):
        assert any(r["op"] == "h" for r in capture.records(table))
    for p in range(4):
        times = [r["source_ts_us"] for r in beats if r["partition"] == p]
        assert times == sorted(times)


def test_sigterm_is_a_clean_stop(capture):
    capture.start()
    insert(capture, 1, 10)
    process = capture.site.running["capture"]
    process.signal(signal.SIGTERM)
    wait_until(lambda: not process.alive(), 60, "the end")
    assert process.status() == 0


def test_a_lost_position_gives_a_higher_epoch(capture):
    insert(capture, 1, 3)
    capture.start()
    capture.drain()
    capture.stop()
    first = capture.rows("filecache")[-1]["seq"]
    topics.send(capture.bootstrap, f"{capture.prefix}.position", "source", None)
    capture.start()
    capture.drain()
    rows = capture.rows("filecache")
    assert [r["op"] for r in rows] == ["r"] * 6
    assert rows[-1]["seq"] > first and rows[-1]["seq_epoch"] > first[0]


def test_another_database_and_other_tables_are_none_of_our_business(capture):
    capture.start()
    capture.sql("""
        CREATE TABLE oc_other (id BIGINT PRIMARY KEY, a DECIMAL(20,5), b TIME(3), c BIT(9),
            d SET('x','y'), e TIMESTAMP(6) NULL, f YEAR, g GEOMETRY, h DOUBLE);
        INSERT INTO oc_other VALUES(1, 2.5, '10:00:00', 5, 'y', NOW(), 2026, POINT(1,2), 1.5);
        CREATE DATABASE IF NOT EXISTS aside;
        CREATE TABLE aside.oc_filecache (fileid INT PRIMARY KEY, x INT);
        INSERT INTO aside.oc_filecache VALUES(1, 2);
        SET SESSION binlog_format = 'STATEMENT';
        UPDATE aside.oc_filecache SET x = 3;
        DROP DATABASE aside""")
    assert capture.drain()["counters"]["in"] == 0
    assert capture.sql(f"SELECT COUNT(*) FROM {DATABASE}.oc_other") == [["1"]]


def test_a_number_that_fits_nowhere_is_one_dead_letter(capture):
    capture.sql("ALTER TABLE oc_accounts MODIFY id BIGINT UNSIGNED")
    capture.start()
    capture.sql("INSERT INTO oc_accounts(id, user_id, lower_user_id, backend, home) VALUES"
                "(1, 'A', 'a', 'D', '/a'), (18446744073709551615, 'B', 'b', 'D', '/b'),"
                "(2, 'C', 'c', 'D', '/c')")
    status = capture.drain()
    assert status["dead"] == {"number-range": 1} and status["balance"] == 0
    letter, = topics.dead_letters(capture.bootstrap, capture.prefix)
    assert letter["headers"]["cause"] == "number-range"
    assert letter["headers"]["stage"] == "capture"
    assert letter["headers"]["topic"] == f"{capture.prefix}.oc10.oc_accounts"
    assert [r["key"] for r in capture.rows("accounts")] == ["1", "2"]


def test_a_dump_loaded_while_capture_runs_ends_in_the_same_rows(capture):
    insert(capture, 1, 50)
    capture.start()
    for _ in range(2):
        capture.bed.mariadb.sql(f"DROP DATABASE {DATABASE}; CREATE DATABASE {DATABASE}")
        time.sleep(0.7)
        capture.bed.mariadb.load(SCHEMA)
        insert(capture, 40, 60)
    # the snapshot that is done may be one of before what was dropped last
    wait_until(lambda: sorted(map(int, capture.state("filecache"))) == list(range(40, 61)), 60,
               "the repair", 0.5)
    assert capture.drain()["balance"] == 0


def test_text_that_is_not_utf8_and_a_value_too_large_are_dead_letters(capture):
    capture.sql("ALTER TABLE oc_storages MODIFY id VARBINARY(64)")
    capture.start()
    capture.sql("INSERT INTO oc_storages(numeric_id, id) VALUES(1, 'home::a'), (2, X'61FF62'), "
                "(3, 'home::c'); INSERT INTO oc_share(id, uid_owner, attributes) VALUES"
                "(1, 'a', NULL), (2, 'a', REPEAT('x', 3000000)), (3, 'a', NULL)")
    status = capture.drain()
    assert status["dead"] == {"invalid-utf8": 1, "too-large": 1} and status["balance"] == 0
    letters = {r["headers"]["cause"]: r for r in topics.dead_letters(capture.bootstrap,
                                                                     capture.prefix)}
    shown = envelopes.decode("storages", letters["invalid-utf8"]["value"])
    assert shown["after"] == {"numeric_id": 2, "id": "a\\xffb"}
    assert envelopes.decode("share", letters["too-large"]["value"])["after"] == {"id": 2}
    assert [r["key"] for r in capture.rows("storages")] == ["1", "3"]
    assert [r["key"] for r in capture.rows("share")] == ["1", "3"]
