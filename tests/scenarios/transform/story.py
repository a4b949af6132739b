"""
What a site does, as rows on the oc10 topics: the same words for every pipe that plays them, so that
an undisturbed run can judge a disturbed one.

A story never ends; a player says how far it came. Rows of one entity come one after another in its
life; a storage comes in the transaction of its first file.
"""

import itertools
import random
import threading
import time

KINDS = ("resource", "space", "share", "person", "annotation")


def steps(seed):
    """(what, numbers...) without end."""
    dice = random.Random(seed)
    files, shares, trash, members, homes = {}, set(), {}, set(), [5, 6]
    for i in itertools.count(1):
        what, any_file = dice.random(), None
        if files:
            any_file = dice.choice(list(files))
        if what < 0.35 or not files:
            files[1000 + i] = dice.choice(homes)
            yield "file", 1000 + i, files[1000 + i]
        elif what < 0.55:
            yield "file", any_file, files[any_file]
        elif what < 0.65:
            to = dice.choice([h for h in homes if h != files[any_file]])
            yield "move", any_file, files[any_file], to
            files[any_file] = to
        elif what < 0.72:
            yield "delete", any_file, files.pop(any_file)
        elif what < 0.77:
            trash[i] = dice.choice(("alice", "bob"))
            yield "trash", i, trash[i]
        elif what < 0.80 and trash:
            n = dice.choice(list(trash))
            yield "untrash", n, trash.pop(n)
        elif what < 0.88:
            n = dice.choice(list(shares)) if shares and dice.random() < 0.5 else i
            shares.add(n)
            yield "share", n, any_file, dice.choice((1, 3, 15, 19))
        elif what < 0.91 and shares:
            n = dice.choice(list(shares))
            shares.discard(n)
            yield "unshare", n
        elif what < 0.95:
            who = dice.randrange(40)
            yield ("leaves" if who in members else "joins"), who
            members ^= {who}
        elif what < 0.96:
            yield "quota", dice.randrange(40), dice.choice(("5 GB", "none", "default"))
        elif what < 0.97:
            yield "favourite", i, any_file
        elif what < 0.98:
            homes.append(100 + i)
            files[1000 + i] = 100 + i
            yield "home", 100 + i, 1000 + i
        elif what < 0.99:
            yield "outside", 1000000 + i
        else:
            yield "broken", 1000000 + i


def _gone(pipe, row):
    return [row, pipe.gone(row)]


def _share(pipe, n, fileid, permissions, op="c"):
    return pipe.row("share", op, {
        "id": n, "share_type": 0, "share_with": "bob", "uid_owner": "alice",
        "uid_initiator": "alice", "item_type": "file", "item_source": str(fileid),
        "file_source": fileid, "permissions": permissions, "file_target": f"/{n}", "accepted": 0,
        "stime": 1600000000})


def records(pipe, step):
    """(records to send, rows among them) of one step."""
    what, n, *more = step
    if what == "file":
        return [pipe.file(n, storage=more[0], path=f"files/{n}.txt")], 1
    if what == "move":
        gone = pipe.file(n, storage=more[0], op="d", moved_to=more[1])
        here = pipe.file(n, storage=more[1], op="u", before={"storage": more[0]}, part=1,
                         path=f"files/{n}.txt", moved_from=more[0],
                         seq_counter=gone[4]["seq_counter"])
        return [gone, pipe.gone(gone), here], 2
    if what == "delete":
        return _gone(pipe, pipe.file(n, storage=more[0], op="d")), 1
    if what in ("trash", "untrash"):
        row = pipe.row("files_trash", "c" if what == "trash" else "d",
                       {"auto_id": n, "id": f"{n}.txt", "user": more[0], "location": ".",
                        "timestamp": "1700000000"})
        return ([row] if what == "trash" else _gone(pipe, row)), 1
    if what == "share":
        return [_share(pipe, n, *more)], 1
    if what == "unshare":
        return _gone(pipe, _share(pipe, n, 1, 1, "d")), 1
    if what in ("joins", "leaves"):
        row = pipe.row("group_user", "c" if what == "joins" else "d",
                       {"gid": "staff", "uid": f"u{n}"})
        return ([row] if what == "joins" else _gone(pipe, row)), 1
    if what == "quota":
        return [pipe.row("preferences", "u", {"userid": f"u{n}", "appid": "files",
                                              "configkey": "quota", "configvalue": more[0]})], 1
    if what == "favourite":
        return [pipe.row("vcategory_to_object", "c", {"objid": more[0], "categoryid": 1 + n % 5,
                                                      "type": "files"})], 1
    if what == "home":
        return [pipe.row("storages", "c", {"numeric_id": n, "id": f"home::u{n}"}),
                pipe.file(more[0], storage=n)], 2
    if what == "outside":
        return [pipe.file(n, storage=7, path="x/y.txt")], 1
    assert what == "broken"
    return [pipe.row("share", "c", {"id": n, "share_type": 99})], 1


class Player(threading.Thread):
    """Plays a story into a pipe while the test does something else."""

    def __init__(self, pipe, seed, at_once=10, pause=0.04):
        super().__init__(daemon=True)
        self.pipe, self.told, self.rows, self.trouble = pipe, 0, 0, None
        self.seed, self.at_once, self.pause, self.over = seed, at_once, pause, threading.Event()
        self.start()

    def run(self):
        try:
            story = steps(self.seed)
            while not self.over.is_set():
                self.rows += send(self.pipe, itertools.islice(story, self.at_once))
                self.told += self.at_once
                time.sleep(self.pause)
        except Exception as e:  # the test's thread tells it
            self.trouble = e

    def stop(self):
        """Ends the story; the number of steps and of rows that it had."""
        self.over.set()
        self.join(150)
        assert not self.is_alive(), "the story does not end"
        if self.trouble:
            raise self.trouble
        return self.told, self.rows


def send(pipe, some):
    batch, rows = [], 0
    for step in some:
        made, n = records(pipe, step)
        batch += made
        rows += n
    pipe.send(*batch)
    return rows


def play(pipe, seed, told):
    """The same story as far, as fast as it goes; the number of rows."""
    story, rows = steps(seed), 0
    for at in range(0, told, 500):
        rows += send(pipe, itertools.islice(story, min(500, told - at)))
    return rows


# ---- what came of it

def essence(record):
    """A record without the clock."""
    return {k: v for k, v in record.items() if not k.endswith("_ts_us")}


def outcome(pipe):
    """
    Of each topic: for each key in its partition the records in their order, and what remains of
    them. A tombstone behind a trash entry's deletion may go to more partitions than the deletion
    did, when its reader had not seen that one; so tombstones count where they end something.
    """
    out = {}
    for kind in KINDS:
        told, left = {}, {}
        for r in pipe.records(kind):
            place = r["partition"], r["key"]
            if r["record"] is None:
                left.pop(place, None)
            else:
                told.setdefault(place, []).append(essence(r["record"]))
                left[place] = told[place][-1]
        out[kind] = told, left
    return out


def differences(want, got):
    """Sentences; none when both are the same."""
    out = []
    for kind in KINDS:
        for which, a, b in zip(("told", "left"), want[kind], got[kind]):
            out += [f"{kind} {place} {which}: {a.get(place)} became {b.get(place)}"
                    for place in sorted(a.keys() | b.keys()) if a.get(place) != b.get(place)]
    return out
