"""
A snapshot with writers at work is exact at its edge: not one row is missing, doubled, undone, or
left over. What that means, and how it is held against every record, stands in replay.py.

Six writers change a few hundred rows without a pause; capture reads them in chunks so small that a
snapshot has dozens of edges. Between two snapshots some rows are deleted behind capture's back:
the sweep must take exactly these.
"""

import pytest
import work
from soak.counts import count, seeded, summary, those
from replay import Table, differences
from servers import source

from bed import wait_until

BEHIND = 100000  # from this fileid on nobody writes, but for what is done behind capture's back
AT_ONCE = 30  # by one capture; then the records are read, and the next one begins from nothing
PLAYED = ("filecache", "group_user")


def one_snapshot(capture, number, random):
    """Takes one; returns the keys that were deleted behind capture's back."""
    gone = {str(BEHIND + n) for n in range(number * 3, number * 3 + random.randrange(3))}
    if gone:
        capture.sql(f"SET sql_log_bin = 0; DELETE FROM oc_filecache "
                    f"WHERE fileid IN ({', '.join(gone)})")
    capture.sql("TRUNCATE oc_vcategory")  # calls for a snapshot
    wait_until(lambda: capture.status()["counters"]["snapshots"] >= number + 2, 300, "a snapshot")
    return gone


def snapshots(capture, database, tries, *seed):
    """So many in a row; what was counted."""
    random = seeded("snapshots", *seed)
    work.fill(database, 1, work.MANY)
    work.fill(database, BEHIND, BEHIND + 3 * tries)
    with work.Writers(database, 6, "snapshots", *seed) as writers:
        capture.start()
        gone = [one_snapshot(capture, number, random) for number in range(tries - 1)]
    status = capture.drain(120)
    assert status["balance"] == 0 and status["dead"] == {}
    played = {table: Table().play(capture.records(table)) for table in PLAYED}
    for table in PLAYED:
        assert differences(played[table], work.source_rows(database, table)) == []
    assert played["filecache"].swept == [set()] + gone
    assert set().union(*played["group_user"].swept) == set()
    assert capture.stop() == 0
    counts = played["filecache"].counts
    return {"snapshots": tries, "statements": writers.done(), "rows_of_snapshots": counts["r"],
            "rows_of_the_stream": counts["c"] + counts["u"] + counts["d"], "wrong": 0}


IN_CI = {"mariadb-10.11": 4, "mysql-8.0": 3, "mysql-8.0, file and offset": 0}


@pytest.mark.parametrize("server, in_ci", those(IN_CI))
def test_snapshots_under_six_writers_are_exact(new_capture, databases, server, in_ci):
    tries, sums = count("snapshots", in_ci), {}
    database, sets = source(databases, server)
    for first in range(0, tries, AT_ONCE):
        capture = new_capture({"capture.snapshot_chunk": 17, "capture.commit_rows": 500, **sets},
                              database)
        done = snapshots(capture, database, min(AT_ONCE, tries - first), server, first)
        sums = {name: n + sums.get(name, 0) for name, n in done.items()}
        print(first, sums, flush=True)  # soak takes a while
    summary(f"snapshots under six writers, {server}", **sums)
