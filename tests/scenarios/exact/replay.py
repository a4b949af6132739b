"""
What "not one row missing or doubled" means, held against every record of a table.

The records of all partitions are put in the order of their seq (which must rise in each partition)
and played one by one into a table in memory:

- `c` (created): the row must not be there;
- `u` (changed): it must be there, and what `before` says must be what it holds;
- `d` (deleted): it must be there, and hold what `before` says; then it is gone;
- the two halves of a move between storages: the row leaves, and comes back with the same `before`;
- `r` (read by a snapshot): the row must be there **and be equal**, for a chunk stands at one place
  of the stream: a row that the chunk holds and the stream has not (missed), one that the stream has
  deleted (undone), or one in another version (from another moment) is each a finding;
- `e` (a snapshot's end): rows that it did not see since its `b` are swept. They are returned: a
  row of a living table in there is one that the snapshot missed.

Only in front of the first snapshot's end the table is not known: there, a row that was never seen
may be changed, deleted or read; one that was seen must fit as above.
"""


def in_order(records):
    """The records about rows and the brackets, by seq; AssertionError where one partition's do not rise."""
    last, brackets, out = {}, set(), []
    for r in records:
        if r["op"] in (None, "h"):
            continue
        part = r["partition"]
        assert r["seq"] > last.get(part, (0, 0, 0)), f"seq does not rise in partition {part}: {r}"
        last[part] = r["seq"]
        if r["op"] in ("b", "e"):
            if r["seq"] in brackets:
                continue
            brackets.add(r["seq"])
        out.append(r)
    return sorted(out, key=lambda r: r["seq"])


class Table:
    """
    A table as its records make it. `known`: False until the first snapshot has ended; `rows`: what
    it held in front of the first record.
    """

    def __init__(self, known=False, rows=None):
        self.rows, self.seqs = dict(rows or {}), {}
        self.gone = set()  # deleted by the stream, while the table is not known
        self.moving = {}
        self.known = known
        self.swept = []  # one set of keys for each end of a snapshot
        self.counts = dict.fromkeys("cudrbe", 0)

    def play(self, records):
        for r in in_order(records):
            self.counts[r["op"]] += 1
            getattr(self, "take_" + r["op"])(r, r["key"])
        assert not self.moving, f"moves without an arrival: {self.moving}"
        return self

    def _fits(self, r, row):
        """`before` holds what the row holds."""
        for name, value in r["before"].items():
            assert row[name] == value, f"{name} was {row[name]!r}, not as in {r}"

    def _put(self, r):
        self.rows[r["key"]] = r["after"]
        self.seqs[r["key"]] = r["seq"]
        self.gone.discard(r["key"])

    def take_c(self, r, key):
        assert key not in self.rows, f"created, but there: {self.rows[key]} {r}"
        self._put(r)

    def take_u(self, r, key):
        row = self.rows.get(key)
        if r["moved_from"] is not None and key in self.moving:
            row = self.moving.pop(key)
        if row is not None:
            self._fits(r, row)
        else:
            assert not self.known and key not in self.gone, f"changed, but not there: {r}"
        self._put(r)

    def take_d(self, r, key):
        row = self.rows.pop(key, None)
        if row is not None:
            self._fits(r, row)
        else:
            assert not self.known and key not in self.gone, f"deleted, but not there: {r}"
        if r["moved_to"] is not None:
            if row is not None:
                self.moving[key] = row
        else:
            self.gone.add(key)

    def take_r(self, r, key):
        row = self.rows.get(key)
        if row is not None:
            assert row == r["after"], f"read in another version than {row}: {r}"
        else:
            assert not self.known and key not in self.gone, f"read, but not there: {r}"
        self._put(r)

    def take_b(self, r, key):
        pass

    def take_e(self, r, key):
        begin = (r["begin_epoch"], r["begin_counter"], r["begin_part"])
        swept = {k for k, seq in self.seqs.items() if k in self.rows and seq < begin}
        for k in swept:
            del self.rows[k]
        self.swept.append(swept)
        self.known = True


def differences(table, source):
    """Between what the records come to and what the source holds; sentences, at most ten."""
    out = [f"missing: {k} {source[k]}" for k in sorted(source.keys() - table.rows.keys())]
    out += [f"too much: {k} {table.rows[k]}" for k in sorted(table.rows.keys() - source.keys())]
    for k in table.rows.keys() & source.keys():
        wrong = {n: (v, source[k][n]) for n, v in table.rows[k].items() if v != source[k][n]}
        if wrong:
            out.append(f"other: {k} (record, source): {wrong}")
    return out[:10]
