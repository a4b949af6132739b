"""
One workload on every server that can be followed, by GTID and by file and offset: what is published
is what happened.

The workload has rows of every operation, a move between storages, several tables, DDL, a new file of
the binlog, and a restart of the server; capture is stopped in the middle and goes on. A snapshot
comes first, so that the table is known, and the records are played into it one by one (replay.py).
"""

import pytest
import work
from soak.counts import summary
from replay import Table, differences
from servers import SOURCES, source

def first_half():
    yield work.INSERT + work.values(100, 130)
    yield "UPDATE oc_filecache SET size = size + 1, etag = 'one' WHERE fileid BETWEEN 10 AND 110"
    yield "UPDATE oc_filecache SET storage = 6, path = CONCAT('moved/', fileid) WHERE fileid = 12"
    yield "DELETE FROM oc_filecache WHERE fileid IN (3, 4, 105)"
    yield "BEGIN"
    yield "INSERT INTO oc_storages(numeric_id, id) VALUES (1, 'home::a'), (2, 'home::ü')"
    yield "INSERT INTO oc_group_user VALUES ('staff', 'a'), ('staff', 'b')"
    yield "UPDATE oc_group_user SET gid = 'a/b' WHERE uid = 'b'"
    yield work.INSERT + work.values(200, 201)
    yield "DELETE FROM oc_filecache WHERE fileid = 200"
    yield "COMMIT"
    yield ("INSERT INTO oc_accounts(id, user_id, lower_user_id, backend, home, state) "
           "VALUES (1, 'A', 'a', 'D', '/a', 1)")
    yield "FLUSH BINARY LOGS"
    yield "UPDATE oc_accounts SET display_name = 'Ä', last_login = 7"


def columns_change():
    """Between rows; where the binlog has no names, capture must have come this far."""
    yield "ALTER TABLE oc_properties ADD added VARCHAR(20) NULL FIRST, MODIFY propertyname VARCHAR(99)"
    yield ("INSERT INTO oc_properties(id, fileid, added, propertyname, propertyvalue) "
           "VALUES (1, 5, 'x', 'p', 'v'), (2, 6, NULL, NULL, '')")


def second_half():
    yield "UPDATE oc_filecache SET storage = 2 WHERE fileid = 12"
    yield "UPDATE oc_properties SET propertyvalue = 'w', added = NULL WHERE id = 1"
    yield "INSERT INTO oc_share(id, uid_owner, share_with, attributes) VALUES (1, 'a', 'b', REPEAT('s', 70000))"
    yield "DELETE FROM oc_group_user WHERE uid = 'a'"
    yield work.INSERT + work.values(300, 700)
    yield "UPDATE oc_filecache SET mtime = 5"
    yield "DELETE FROM oc_filecache WHERE fileid > 650"


@pytest.mark.parametrize("which", SOURCES)
def test_what_is_published_is_what_happened(new_capture, databases, which):
    database, sets = source(databases, which)
    capture = new_capture({"capture.commit_rows": 30, **sets}, database)
    work.fill(database, 1, 60)
    capture.start()
    work.run(database, first_half())
    capture.drain()
    work.run(database, columns_change())
    capture.drain()
    database.stop()
    database.start()
    capture.site.wait_ready("capture", 60)
    capture.drain()
    assert capture.stop() == 0
    work.run(database, second_half())
    capture.start()
    status = capture.drain()
    assert status["balance"] == 0 and status["dead"] == {}
    rows = 0
    for table in work.TABLES:
        played = Table().play(capture.records(table))
        assert differences(played, work.source_rows(database, table)) == [], table
        assert set().union(*played.swept) == set(), table
        rows += sum(played.counts[op] for op in "cudr")
    summary(f"one workload, {which}", rows=rows, wrong=0)
