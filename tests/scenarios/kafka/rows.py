"""What every scenario here asks in the end: each row once, in order, nothing out of balance."""

from bed import wait_until


def insert(capture, first, last, storage=None):
    """Rows first..last of oc_filecache, over four storages unless one is named."""
    capture.sql("INSERT INTO oc_filecache(fileid, storage, path, path_hash, size, etag) "
                f"SELECT seq, {'seq % 4' if storage is None else storage}, CONCAT('files/', seq), "
                f"MD5(seq), seq, 'e' FROM seq_{first}_to_{last}")


def created(capture):
    """The keys of all rows that a reader of committed records sees, in order within a partition."""
    rows = [r for r in capture.rows("filecache") if r["op"] in "cr"]
    order = {}
    for r in rows:
        assert order.get(r["partition"], (0, 0, 0)) < r["seq"], f"seq does not rise: {r}"
        order[r["partition"]] = r["seq"]
    return [int(r["key"]) for r in rows]


def wait_rows(capture, last, seconds=60):
    """Until rows 1..last are in the topic; then each is there once, and in its order."""
    def there():
        return len(created(capture)) >= last
    wait_until(there, seconds, f"{last} rows in Kafka", 0.3)
    keys = created(capture)
    assert len(keys) == last and set(keys) == set(range(1, last + 1))
    for p in range(4):
        mine = [k for k in keys if k % 4 == p]
        assert mine == sorted(mine)
