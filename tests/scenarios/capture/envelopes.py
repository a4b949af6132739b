"""
Reads what capture wrote: Avro by the schemas in schemas/oc10, and a table as its records say it is.

A decoder of our own in forty lines, because a test that reads with the program's own codec would
not see a mistake the two of them share.
"""

import functools
import json
from pathlib import Path

from bed import topics

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas" / "oc10"


@functools.cache
def schema(table):
    """The schema, and its named types by full name."""
    named = {}

    def walk(kind):
        if isinstance(kind, list):
            for k in kind:
                walk(k)
        elif isinstance(kind, dict):
            if "name" in kind:
                named["org.lockstep.oc10." + kind["name"]] = kind
            for f in kind.get("fields", ()):
                walk(f["type"])
    top = json.loads((SCHEMAS / f"{table}.avsc").read_text())
    walk(top)
    return top, named


class Reader:
    def __init__(self, data, named):
        self.data, self.at, self.named = data, 10, named  # C3 01 and the fingerprint

    def long(self):
        shift = value = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return (value >> 1) ^ -(value & 1)

    def string(self):
        n = self.long()
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, kind):
        if isinstance(kind, list):
            return self.value(kind[self.long()])
        if isinstance(kind, dict):
            if kind["type"] == "record":
                return {f["name"]: self.value(f["type"]) for f in kind["fields"]}
            if kind["type"] == "enum":
                return kind["symbols"][self.long()]
            return self.value(kind["type"])
        if kind == "null":
            return None
        if kind in ("int", "long"):
            return self.long()
        if kind == "string":
            return self.string()
        return self.value(self.named[kind])


def decode(table, data):
    """An envelope; `before` and `after` hold only the columns that are there."""
    top, named = schema(table)
    assert data[:2] == b"\xc3\x01"
    reader = Reader(data, named)
    e = reader.value(top)
    assert reader.at == len(data)
    for image in ("before", "after"):
        if e[image] is not None:
            e[image] = {name: v for i, (name, v) in enumerate(e[image].items())
                        if e[image + "_present"] >> i & 1}
    e["seq"] = (e["seq_epoch"], e["seq_counter"], e["part"])
    return e


def records(bootstrap, prefix, table):
    """All records of a table, in the order of their partitions; tombstones have op None."""
    out = []
    for r in topics.read(bootstrap, f"{prefix}.oc10.oc_{table}"):
        e = decode(table, r["value"]) if r["value"] is not None else {"op": None}
        out.append({**e, "key": r["key"], "partition": r["partition"], "headers": r["headers"]})
    return out


def rows(bootstrap, prefix, table):
    """Only the records about rows."""
    return [r for r in records(bootstrap, prefix, table) if r["op"] in ("c", "u", "d", "r")]


def state(bootstrap, prefix, table):
    """The table as a reader of its topic ends up with it."""
    return state_of(records(bootstrap, prefix, table))


def state_of(all_records, until=None):
    """
    What the records come to: the highest seq of each key wins, deletes included, and an end bracket
    sweeps what is older than its begin, of its storage where it names one. `until`: only records up
    to this (epoch, counter).
    """
    seen, last, sweep = {}, {}, {}
    for r in all_records:
        if r["op"] is None or (until and r["seq"][:2] > until):
            continue
        if r["op"] == "e":
            of = r["partition"] if r["storage"] is None else ("storage", r["storage"])
            sweep[of] = (r["begin_epoch"], r["begin_counter"], r["begin_part"])
        if r["op"] not in ("c", "u", "d", "r"):
            continue
        part = r["partition"]
        assert r["seq"] > seen.get(part, (0, 0, 0)), f"seq does not rise: {r}"
        seen[part] = r["seq"]
        if r["key"] not in last or last[r["key"]]["seq"] < r["seq"]:
            last[r["key"]] = r

    def stays(r):
        of = (r["partition"], ("storage", (r["after"] or {}).get("storage")))
        return r["op"] != "d" and all(r["seq"] > sweep.get(o, (0, 0, 0)) for o in of)
    return {k: r["after"] for k, r in last.items() if stays(r)}
