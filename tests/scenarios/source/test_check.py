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
    (19, 1, 'files/o''brien 😀', MD5('e'), 11, 'o''brien 😀', 0)"""


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
