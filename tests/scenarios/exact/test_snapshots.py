"""
A snapshot with writers at work is exact at its edge: not one row is missing, doubled, undone, or
left over. What that means, and how it is held against every record, stands in replay.py.

Six writers change a few hundred rows without a pause; capture reads them in chunks so small that a
snapshot has dozens of edges. Between two snapshots some rows are deleted behind capture's back:
the sweep must take exactly these.
"""

import pytest
import work
from counts import count, seeded, summary
from replay import Table, differences

from bed import wait_until

BEHIND = 100000  # from this fileid on nobody writes, but for what is done behind capture's back
PLAYED = ("filecache", "group_user")


def one_snapshot(capture, number, random):
    """Takes one; returns the keys that were deleted behind capture's back."""
    gone = {str(BEHIND + n) for n in range(number * 3, number * 3 + random.randrange(3))}
    if gone:
        capture.sql(f"SET sql_log_bin = 0; DELETE FROM oc_filecache "
                    f"WHERE fileid IN ({', '.join(gone)})")
    capture.sql("TRUNCATE oc_vcategory")  # calls for a snapshot
    wait_until(lambda: capture.status()["counters"]["snapshots"] >= number + 2, 120, "a snapshot")
    return gone


@pytest.mark.parametrize("server, in_ci", [("mariadb-10.11", 8)])
def test_snapshots_under_six_writers_are_exact(new_capture, databases, server, in_ci):
    tries = count("snapshots", in_ci)
    random = seeded("snapshots", server)
    database = databases(server)
    capture = new_capture({"capture.snapshot_chunk": 17, "capture.commit_rows": 50}, database)
    work.fill(database, 1, work.MANY)
    work.fill(database, BEHIND, BEHIND + 3 * tries)
    with work.Writers(database, 6, "snapshots", server) as writers:
        capture.start()
        gone = [one_snapshot(capture, number, random) for number in range(tries)]
    status = capture.drain(120)
    assert status["balance"] == 0 and status["dead"] == {}
    records = {table: capture.records(table) for table in PLAYED}
    played = {table: Table().play(records[table]) for table in PLAYED}
    for table in PLAYED:
        assert differences(played[table], work.source_rows(database, table)) == []
    assert played["filecache"].swept == [set()] + gone
    assert set().union(*played["group_user"].swept) == set()
    counts = played["filecache"].counts
    summary(f"snapshots under six writers, {server}", snapshots=len(gone) + 1,
            statements=writers.done(), rows_of_snapshots=counts["r"],
            rows_of_the_stream=counts["c"] + counts["u"] + counts["d"], wrong=0)
