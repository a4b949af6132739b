"""
One transaction of any size takes little of capture's memory: what the kernel says was the most that
the process ever held (VmHWM) stays under a cap. The transaction is published in pieces, each a
Kafka transaction, and the row's ordinal says how far it went.
"""

import re
from pathlib import Path

import pytest
import work
from soak.counts import count, summary

CAP_KB = 128 << 10


def insert_in_one_transaction(database, rows, before=()):
    """So many rows of oc_filecache, doubled until they are there; for a server of any kind."""
    def statements():
        yield from before
        yield "BEGIN"
        yield work.INSERT + work.values(1, 1000)
        have = 1000
        while have < rows:
            more = min(have, rows - have)
            yield ("INSERT INTO oc_filecache(fileid, storage, path, path_hash, size, name, etag) "
                   f"SELECT fileid + {have}, storage, path, MD5(fileid + {have}), size, "
                   f"'a name of a usual length.txt', '5f3c8a0d9e1b7' FROM oc_filecache "
                   f"WHERE fileid <= {more}")
            have += more
        yield "COMMIT"
    work.run(database, statements())


def peak_kb(process):
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])


CASES = {  # the server, what capture is told, what is done before
    "mariadb-10.11": ("mariadb-10.11", {}, []),
    "mysql-8.0, compressed, over TLS": ("mysql-8.0", {"source.tls": "required"},
                                        ["SET SESSION binlog_transaction_compression = ON"])}


@pytest.mark.parametrize("case", CASES)
def test_a_transaction_of_any_size_stays_in_little_memory(new_capture, databases, case):
    rows = count("rows", 200000)
    server, sets, before = CASES[case]
    database = databases(server)
    capture = new_capture({"capture.snapshot": "never", **sets}, database)
    capture.start(snapshot=False)
    before_kb = peak_kb(capture.site.running["capture"])
    insert_in_one_transaction(database, rows, before)
    status = capture.drain(60 + rows / 2000)
    assert status["balance"] == 0 and status["counters"]["published"] == rows
    peak = peak_kb(capture.site.running["capture"])
    summary(f"one transaction, {case}", rows=rows, idle_mib=before_kb >> 10,
            peak_mib=peak >> 10)
    assert peak < CAP_KB
