"""What `lockstep check --source` names: rows that are not carried as they stand there."""

import json

CORRUPT = """
INSERT INTO oc_storages(id, numeric_id) VALUES('home::ann', 1), ('home::ben', 2),
    ('smb::fs@host//m/', 3), ('webdav::a@host/x/', 4);
INSERT INTO oc_filecache(fileid, storage, path, path_hash, parent, name, encrypted) VALUES
    (10, 1, '', MD5(''), -1, '', 0), (11, 1, 'files', MD5('files'), 10, 'files', 0),
    (12, 1, 'files/q', MD5('files/q'), 11, 'q', 0),
    (13, 1, 'files/q/files', MD5('files/q/files'), 12, 'files', 0),
    (14, 1, 'files/q/files/q', MD5('files/q/files/q'), 13, 'p', 0),
    (15, 2, 'files/x', MD5('files/x'), 11, 'x', 0),
    (16, 1, 'files/sub', MD5('files/sub'), 11, 'sub ', 0),
    (17, 1, 'files/orphan', MD5('files/orphan'), 4711, 'orphan', 0),
    (18, 1, 'files/e', MD5('files/e'), 11, 'e', 7),
    (19, 1, 'files/o''brien 😀', MD5('e'), 11, 'o''brien 😀', 0);
INSERT INTO oc_groups(gid) VALUES('customgroup_real');
INSERT INTO oc_share(id, share_type, share_with, file_source) VALUES
    (1, 1, 'customgroup_friends', 12), (2, 1, 'customgroupsx', 12), (3, 1, 'customgroup_real', 12)"""


def check(capture, *args):
    status, text = capture.site.lockstep("check", "--source", "--json", *args)
    lines = json.loads(text)["lines"]
    assert {line["about"] for line in lines} == {"source"}
    return status, [line["found"] for line in lines]


def test_rows_are_named_by_number_with_what_becomes_of_them(new_capture):
    capture = new_capture(sets={"spaces.Marketing": "ann, smb::*"})
    capture.sql(CORRUPT)
    status, texts = check(capture)
    assert status == 3  # encrypted content fails
    named = [t for t in texts if t.startswith(("fileid ", "storage "))]
    assert sorted(named) == [
        "fileid 14: taken by parent and name: storage 1, path files/q/files/q; by parent and name "
        "files/q/files/p",
        "fileid 15: taken by parent and name: storage 2, path files/x; its parent is in storage 1",
        "fileid 16: taken by parent and name: storage 1, path files/sub; by parent and name "
        "files/sub ",
        "fileid 17: without parent, parked: storage 1, parent 4711",
        "fileid 18: encrypted, a dead letter: storage 1, encrypted = 7",
        "storage 3: smb::fs@host//m/: the project space Marketing of ann",
        "storage 4: webdav::a@host/x/: left out"]
    assert "3 rows whose path or storage disagrees with their parent" in texts
    assert "1 shares with groups of the app customgroups" in texts


def test_of_many_rows_the_first_are_named(new_capture):
    capture = new_capture()
    capture.sql("INSERT INTO oc_storages(id, numeric_id) VALUES('home::ann', 1)")
    capture.sql("INSERT INTO oc_filecache(fileid, storage, path, path_hash, parent, name) VALUES" +
                ",".join(f"({i}, 1, 'files/{i}', MD5({i}), 4711, '{i}')" for i in range(1, 40)))
    _, texts = check(capture)
    assert len([t for t in texts if t.startswith("fileid ")]) == 20
    assert "more rows are without parent, parked" in texts
    assert "every path is that of its parent and name" in texts


def test_the_default_quota_is_compared_with_the_source_s(new_capture):
    capture = new_capture(sets={"people.default_quota": 5 << 30})
    _, texts = check(capture)
    assert any(t.startswith("ownCloud's default quota: ") for t in texts)  # no such table
    capture.sql("CREATE TABLE oc_appconfig(appid VARCHAR(32), configkey VARCHAR(64), configvalue "
                "LONGTEXT, PRIMARY KEY(appid, configkey))")
    for value, said in (("5 GB", "PASS"), ("none", "WARN")):
        capture.sql(f"REPLACE INTO oc_appconfig VALUES('files', 'default_quota', '{value}')")
        _, text = capture.site.lockstep("check", "--source", "--json")
        line, = (line for line in json.loads(text)["lines"] if "default quota" in line["found"])
        assert line["found"] == (f"ownCloud's default quota is {value}, people.default_quota "
                                 f"{5 << 30}")
        assert line["level"].upper() == said


def test_which_ownCloud_it_is_is_told_by_its_database(new_capture):
    capture = new_capture()
    assert any(t.startswith("which ownCloud it is: ") for t in check(capture)[1])  # no such table
    capture.sql("CREATE TABLE oc_migrations(app VARCHAR(177), version VARCHAR(14), "
                "PRIMARY KEY(app, version)); INSERT INTO oc_migrations VALUES"
                "('core', '20170101010112'), ('core', '20230210103154'), ('files', '20991231235959')")
    assert levels(capture)["ownCloud 10.12 to 10.13, by the last migration of its core"] == "pass"


def levels(capture, *args):
    """What was found -> its level."""
    _, text = capture.site.lockstep("check", "--source", "--json", *args)
    return {line["found"]: line["level"] for line in json.loads(text)["lines"]}


def test_how_text_is_stored_is_told_and_what_capture_cannot_read_fails(new_capture):
    capture = new_capture()
    found = levels(capture)
    one, = (t for t in found if t.startswith("columns of text, by collation: "))
    assert found[one] == "pass" and one.endswith(" utf8mb4_bin"), one
    capture.sql("ALTER TABLE oc_share CONVERT TO CHARACTER SET latin1; "
                "ALTER TABLE oc_groups CONVERT TO CHARACTER SET utf8mb3; "
                "ALTER TABLE oc_mimetypes CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    found = levels(capture)
    mixed, = (t for t in found if t.startswith("columns of text, by collation: "))
    assert found[mixed] == "warn" and " latin1_swedish_ci" in mixed, mixed
    assert "1 utf8mb4_general_ci" in mixed, mixed
    latin, = (t for t in found if t.endswith(": converted to UTF-8"))
    assert found[latin] == "warn" and "(oc_share." in latin
    assert found["1 columns are utf8 of three bytes (oc_groups.gid): names with emoji are not in "
                 "there"] == "note"
    capture.sql("ALTER TABLE oc_users CONVERT TO CHARACTER SET ucs2")
    assert levels(capture)["oc_users.uid is stored as ucs2"] == "fail"


def test_sizes_that_are_not_known_are_counted(new_capture):
    capture = new_capture()
    capture.sql("INSERT INTO oc_storages(id, numeric_id) VALUES('home::ann', 1); "
                "INSERT INTO oc_mimetypes(id, mimetype) VALUES(1, 'httpd/unix-directory'); "
                "INSERT INTO oc_filecache(fileid, storage, path, path_hash, parent, name, mimetype, "
                "size) VALUES (10, 1, '', MD5(''), -1, '', 1, -1), "
                "(11, 1, 'files', MD5('files'), 10, 'files', 1, -1), "
                "(12, 1, 'files/a', MD5('files/a'), 11, 'a', 1, 5), "
                "(13, 1, 'files/b', MD5('files/b'), 11, 'b', 0, -2)")
    found = levels(capture)
    assert found["1 files whose size is unknown (-1, -2)"] == "warn"
    assert found["1 folders whose size is unknown (-1, -2)"] == "warn"


def test_names_that_are_refused_and_links_that_lose_their_secrets_are_counted(new_capture):
    capture = new_capture()
    assert levels(capture)["0 links, 0 with a password"] == "pass"
    names = ["a-chunking-12-3-1", "a-chunking-3-1", "-chunking-x-1", "b-chunking-1-2.txt", "ü" * 130]
    capture.sql("INSERT INTO oc_storages(id, numeric_id) VALUES('home::ann', 1); "
                "INSERT INTO oc_filecache(fileid, storage, path, path_hash, parent, name) VALUES "
                "(10, 1, '', MD5(''), -1, ''), (11, 1, 'files', MD5('files'), 10, 'files')," +
                ",".join(f"({20 + i}, 1, 'files/{n}', MD5({i}), 11, '{n}')" for i, n in enumerate(names)))
    capture.sql("INSERT INTO oc_share(id, share_type, uid_owner, uid_initiator, item_type, item_source, "
                "file_source, permissions, stime, token, share_with) VALUES "
                "(1, 3, 'ann', 'ann', 'file', '20', 20, 1, 1, 'abc', NULL), "
                "(2, 3, 'ann', 'ann', 'file', '20', 20, 1, 1, 'abd', 'hash')")
    found = levels(capture)
    assert found["2 names that oCIS takes for chunks of old uploads"] == "warn", found
    assert found["1 names longer than 255 bytes"] == "fail"
    assert found["2 links get a new address, 1 of them a password that nobody knows"] == "warn"
    found = levels(capture, "--set", "capture.link_secrets=true", "--set", "target.system_user_id=1",
                   "--set", "target.system_user_key=1")
    assert found["2 links, 1 with a password: carried with them"] == "pass"


def test_binlogs_must_be_kept_for_longer_than_a_snapshot_takes(new_capture):
    capture = new_capture()
    capture.sql("INSERT INTO oc_filecache(fileid, storage, path, path_hash, name) SELECT seq, 1, "
                "CONCAT('files/', seq), MD5(seq), seq FROM seq_1_to_90000; ANALYZE TABLE oc_filecache")
    found = levels(capture)
    assert found["binlogs are kept for ever"] == "pass"
    rows, = (t for t in found if ": a snapshot takes about " in t)
    assert 60000 < int(rows.split()[1]) < 120000, rows  # the server's own statistics
    before = capture.sql("SELECT @@binlog_expire_logs_seconds")[0][0]
    try:
        for seconds, level in (("1", "fail"), ("3600", "warn"), ("259200", "pass")):
            capture.database.sql(f"SET GLOBAL binlog_expire_logs_seconds = {seconds}")
            kept, = ((t, v) for t, v in levels(capture).items() if t.startswith("binlogs are kept "))
            assert kept[0].startswith(f"binlogs are kept {seconds} s (binlog_expire_logs_seconds)")
            assert kept[1] == level
    finally:
        capture.database.sql(f"SET GLOBAL binlog_expire_logs_seconds = {before}")


def test_binlogs_that_go_by_size_or_never_are_told(new_capture, databases):
    database = databases("mariadb-11.4")
    capture = new_capture(database=database)
    database.sql("SET GLOBAL max_binlog_total_size = 5000000000")
    try:
        assert levels(capture)["binlogs are deleted when there are more than 5.0 GB of them, however "
                               "young"] == "warn"
    finally:
        database.sql("SET GLOBAL max_binlog_total_size = 0")
    database = databases("mysql-8.0")
    capture = new_capture(database=database)
    assert any(t.startswith("binlogs are kept 2592000 s (binlog_expire_logs_seconds)")
               for t in levels(capture))
    database.sql("SET GLOBAL binlog_expire_logs_auto_purge = OFF")
    try:
        assert levels(capture)["binlogs are kept for ever"] == "pass"
    finally:
        database.sql("SET GLOBAL binlog_expire_logs_auto_purge = ON")


def test_an_old_mysql_is_told_by_its_own_variables(new_capture, databases):
    database = databases("mysql-5.7")
    capture = new_capture(database=database)
    found = levels(capture)
    assert found["server version " + database.sql("SELECT VERSION()")[0][0]] == "pass"
    assert found["gtid_mode = ON"] == "pass"
    assert found["binlogs are kept for ever"] == "pass"
    database.sql("SET GLOBAL expire_logs_days = 3")
    try:
        assert any(t.startswith("binlogs are kept 259200 s (expire_logs_days)")
                   for t, v in levels(capture).items() if v == "pass")
    finally:
        database.sql("SET GLOBAL expire_logs_days = 0")
