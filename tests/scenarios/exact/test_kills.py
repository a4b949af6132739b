"""
SIGKILL at random moments under load: a consumer that reads what is committed sees each row once and
in order. Some kills come while capture starts, some in a snapshot, some in the stream; replay.py
says what is held against the records, `u` and `d` by the row that was there before.
"""

import subprocess

import pytest
import work
from soak.counts import count, seeded, summary, those
from replay import Table, differences
from servers import source

from bed import wait_until

PLAYED = ("filecache", "group_user")


@pytest.mark.parametrize("server, in_ci", those({"mariadb-10.11": 6, "mysql-8.0": 0}))
def test_kills_under_load_give_each_row_once_and_in_order(new_capture, databases, server, in_ci):
    kills = count("kills", in_ci)
    random = seeded("kills", server)
    database, sets = source(databases, server)
    capture = new_capture({"capture.snapshot_chunk": 50, "capture.commit_rows": 40, **sets},
                          database)
    work.fill(database, 1, work.MANY)
    work.fill(database, 10001, 11000)
    with work.Writers(database, 4, "kills", server, pause=0.0005) as writers:
        for number in range(kills):
            process = capture.site.spawn("capture")
            if number % 4 == 3:
                capture.sql("TRUNCATE oc_vcategory")  # calls for a snapshot
            # many times what one Kafka transaction takes: kills come inside of it
            capture.sql("UPDATE oc_filecache SET size = size + 1 WHERE fileid > 10000")
            if number % 3:  # the others die while they start, or a little later
                wait_until(lambda: capture.site.ready("capture"), 60, "readiness")
            try:
                process.child.wait(random.uniform(0.01, 1.2))
            except subprocess.TimeoutExpired:
                pass
            assert process.alive(), capture.site.log_lines("capture")[-1]
            capture.site.kill("capture")
    # with transactions of a usual size, or a slow machine would not come to an end
    capture.start("--set", "capture.commit_rows=5000")
    status = capture.drain(180)
    assert status["balance"] == 0 and status["dead"] == {}
    rows = 0
    for table in PLAYED:
        played = Table().play(capture.records(table))
        assert differences(played, work.source_rows(database, table)) == []
        assert set().union(*played.swept) == set()
        rows += sum(played.counts[op] for op in "cudr")
    summary(f"killed under load, {server}", kills=kills, statements=writers.done(), rows=rows,
            snapshots=status["counters"]["snapshots"], wrong=0)
