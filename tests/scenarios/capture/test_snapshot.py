"""Snapshots that are killed; how exact they are while writers work is held in ../exact."""

from bed import wait_until


def test_a_snapshot_that_was_killed_goes_on_under_the_same_begin(new_capture):
    capture = new_capture({"capture.snapshot_chunk": 20, "capture.commit_rows": 20})
    capture.sql("INSERT INTO oc_filecache(fileid, storage, path, path_hash) "
                "SELECT seq, seq % 5, CONCAT('files/', seq), MD5(seq) FROM seq_1_to_6000")
    capture.start(snapshot=False)
    for rows in (500, 2000):
        wait_until(lambda: capture.status().get("snapshot", {}).get("rows", 0) > rows
                   or capture.status().get("snapshot", {}).get("state") == "done", 60, "rows")
        capture.site.kill("capture")
        capture.start(snapshot=False)
    capture.site.wait_snapshot(60)
    capture.drain()
    records = capture.records("filecache")
    begins = {r["seq"] for r in records if r["op"] == "b"}
    ends = {(r["begin_epoch"], r["begin_counter"], r["begin_part"]) for r in records
            if r["op"] == "e"}
    assert len(begins) == 1 and begins == ends
    keys = [int(r["key"]) for r in records if r["op"] == "r"]
    assert sorted(keys) == list(range(1, 6001))
