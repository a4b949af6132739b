"""Somebody changes at the target what our writer had left there: each of its calls, told what to
expect, against each such change. What is refused has changed nothing."""
import time

import cs3.storage.provider.v1beta1.provider_api_pb2 as api
import pytest
from client import OK, sha1
from test_writer import site  # noqa: F401

CHANGED, MOVED, DELETED = "changed-at-target", "moved-at-target", "deleted-at-target"


def mark(*texts):
    """ap_drift_mark() of apply/plan/drift.c: FNV-1a over the texts, each with its NUL."""
    value = 14695981039346656037
    for text in texts:
        for byte in text.encode() + b"\0":
            value = ((value ^ byte) * 1099511628211) % 2**64
    return value


class File:
    """A file of ours in a folder of its own, and what we take it to be."""

    def __init__(self, site, content="ours"):
        self.site, self.see = site, site.see
        self.folder = site.folder("D")
        self.node = site.put("f", "older", parent=self.folder)["id"]
        left = site.overwrite(self.node, content)
        self.expect = {"parent_id": self.folder, "name": "f", "sha1": left["sha1"],
                       "size": left["size"], "above": self.folder}

    # ---- what somebody does
    def edited(self):
        self.see.upload(None, b"his own words", node=self.node)

    def renamed(self):
        assert self.see.move(self.node, self.folder, "his").status.code == OK

    def moved(self):
        other = self.see.folder("His")
        assert self.see.move(self.node, other, "f").status.code == OK

    def deleted(self):
        assert self.see.delete(self.node).status.code == OK

    def restored(self):
        """An older version."""
        key = self.see.versions(self.node).versions[0].key
        assert self.see.call("RestoreFileVersion", api.RestoreFileVersionRequest(
            ref=self.see.ref(self.node), key=key)).status.code == OK

    def touched(self):
        """By a client that sets the time: nothing is lost with one."""
        self.see.set_metadata(self.node, mtime="1700000000.0")

    # ---- what the source wants
    def put(self, **more):
        return self.site.probe.raw(
            "put_file", space=self.site.space, node_id=self.node, blob=self.site.blob("newer"),
            mtime=1600000009, mtime_ns=9, expect=self.expect, **more)

    def set_mtime(self):
        return self.call("set_mtime", node_id=self.node, mtime=1600000009, mtime_ns=9)

    def move(self, **more):
        return self.call("move", node_id=self.node, parent_id=self.site.root, name="g", **more)

    def trash(self, **more):
        return self.call("trash", node_id=self.node, **more)

    def call(self, name, /, **more):
        return self.site.probe.raw(name, space=self.site.space,
                                   **{"expect": self.expect, **more})

    def state(self):
        seen = self.see.stat(self.node)
        if seen.status.code != OK:
            return "in the trash" if self.item() else None
        return (seen.info.parent_id.opaque_id, seen.info.path, seen.info.checksum.sum,
                seen.info.mtime.seconds, seen.info.mtime.nanos)

    def item(self):
        return next((i for i in self.see.trash().recycle_items if i.key == self.node), None)


OUTCOME = {
    "put": {"edited": CHANGED, "restored": CHANGED, "deleted": DELETED},
    "set_mtime": {"edited": CHANGED, "restored": CHANGED, "deleted": DELETED},
    "move": {"renamed": MOVED, "moved": MOVED, "deleted": DELETED},
    "trash": {"edited": CHANGED, "restored": CHANGED, "renamed": MOVED, "moved": MOVED},
}


@pytest.mark.parametrize("change", ["edited", "renamed", "moved", "deleted", "restored", "touched"])
@pytest.mark.parametrize("call", list(OUTCOME))
def test_what_somebody_changed_is_left_as_he_left_it(site, call, change):  # noqa: F811
    file = File(site)
    getattr(file, change)()
    before = file.state()
    answer = getattr(file, call)()
    cause = OUTCOME[call].get(change)
    if cause:
        assert (answer["ok"], answer.get("kind"), answer.get("cause")) == (False, "poison", cause)
        assert file.state() == before
        assert answer.get("trashed", file.node) == file.node
        # and with the word that the source wins, it does; out of the trash it is brought first
        file.expect = None
        if change == "deleted":
            site.call("restore", top_id=file.node, parent_id=file.folder, name="f")
        answer = getattr(file, call)()
    assert answer["ok"], answer
    parent, path, content = (file.state() + (None,))[:3] if call != "trash" else (None,) * 3
    if call == "put":
        assert content == sha1(b"newer")
        assert path.endswith("/his" if change == "renamed" else "/f")
    elif call == "move":
        assert path == "/g" and parent == site.root
        if change == "edited":
            assert content == sha1(b"his own words")
    elif call == "trash":
        assert file.state() == "in the trash"


def test_an_upload_and_a_rename_cost_no_more_calls_for_it(site):  # noqa: F811
    file = File(site)
    assert file.put()["ok"]
    assert site.probe.calls == {"Stat": 2, "InitiateFileUpload": 1, "PUT": 1}
    assert file.call("move", node_id=file.node, parent_id=file.folder, name="g")["ok"]
    assert site.probe.calls == {"Stat": 2, "Move": 1}
    site.put("new", "x", expect={"above": site.root})
    assert site.probe.calls == {"Stat": 1, "InitiateFileUpload": 1, "PUT": 1}


def test_what_goes_with_a_folder_names_the_folder(site):  # noqa: F811
    outer = site.folder("Outer")
    file = File(site)
    assert site.see.move(file.folder, outer, "D").status.code == OK  # that is no matter for it
    assert file.put()["ok"]
    file.expect["sha1"], file.expect["size"] = sha1(b"newer"), 5
    assert site.see.delete(file.folder).status.code == OK
    for answer in (file.put(), file.set_mtime()):
        assert (answer["cause"], answer["trashed"]) == (DELETED, file.folder)
    into = {"parent_id": file.folder, "name": "n", "expect": {"above": file.folder}}
    for answer in (file.call("make_folder", **into),
                   file.call("put_file", blob=site.blob("x"), mtime=1, mtime_ns=1, **into)):
        assert (answer["kind"], answer["cause"]) == ("poison", DELETED)
        assert answer["trashed"] == file.folder
    assert site.see.purge(file.folder).status.code == OK  # in no trash either: made again
    assert file.put()["cause"] == "gone"
    assert file.call("make_folder", **into)["cause"] == "parent-gone"


def test_our_own_call_whose_answer_was_lost_is_not_somebody_elses(site):  # noqa: F811
    file = File(site)
    assert file.put()["ok"]
    assert file.put(doubtful=True)["ok"]  # it has what is wanted
    wanted = site.blob("later", sums=False)  # the row has no sums, and the file has changed since
    answer = file.call("put_file", node_id=file.node, blob=wanted, mtime=1600000009, mtime_ns=9,
                       doubtful=True)
    assert answer["ok"] and answer["node"]["sha1"] == sha1(b"newer")  # what had been sent
    assert file.move()["ok"] and file.move(doubtful=True)["ok"]
    file.expect.update(parent_id=site.root, name="g", sha1=sha1(b"newer"), size=5)
    first = file.trash()
    assert first["ok"] and first["deleted_at"] == file.item().deletion_time.seconds
    assert file.trash(doubtful=True)["deleted_at"] == first["deleted_at"]
    assert file.trash()["deleted_at"] == -1  # somebody else's: this call has not been made


def test_what_somebody_put_into_a_doubtful_node_stays(site):  # noqa: F811
    file = File(site)
    file.edited()
    assert file.put(doubtful=True)["cause"] == CHANGED
    assert file.state()[2] == sha1(b"his own words")


# ---- folders
def test_a_folder_is_deleted_only_with_what_we_left_in_it(site):  # noqa: F811
    file = File(site)
    inner = site.folder("inner", file.folder)
    empty = site.put("empty", "", parent=inner)
    below = (mark(file.node, file.folder, "f", sha1(b"ours"), "4")
             + mark(inner, file.folder, "inner", "", "0")
             + mark(empty["id"], inner, "empty", sha1(b""), "0")) % 2**64
    expect = {"parent_id": site.root, "name": "D", "below": str(below)}
    trash = {"node_id": file.folder, "expect": expect}
    his = site.see.file("his", b"", parent=inner)
    assert file.call("trash", **trash)["cause"] == CHANGED
    assert site.see.info(his).name == "his"
    site.see.delete(his)
    file.renamed()
    assert file.call("trash", **trash)["cause"] == CHANGED
    assert site.see.move(file.node, file.folder, "f").status.code == OK
    assert file.call("trash", **trash)["ok"]


# ---- the trash
def next_second():
    """The target keeps the time of deletion in seconds."""
    now = int(time.time())
    while int(time.time()) == now:
        time.sleep(0.02)


def trashed(site):  # noqa: F811
    file = File(site)
    file.expect = {"deleted_at": file.trash()["deleted_at"]}
    next_second()
    return file


def test_what_was_deleted_again_by_somebody_is_neither_purged_nor_restored(site):  # noqa: F811
    file = trashed(site)
    assert site.see.restore(file.node).status.code == OK
    file.edited()
    file.deleted()
    for name, more in (("purge", {}), ("restore", {"parent_id": site.root, "name": "r"})):
        answer = file.call(name, top_id=file.node, **more)
        assert (answer["kind"], answer["cause"]) == ("poison", CHANGED)
        assert file.state() == "in the trash"
    somebodys = {"deleted_at": -1}
    assert file.call("purge", top_id=file.node, expect=somebodys)["cause"] == DELETED
    assert file.call("purge", top_id=file.node, expect=None)["ok"]
    assert file.state() is None


def test_what_somebody_took_out_of_the_trash_is_not_purged(site):  # noqa: F811
    file = trashed(site)
    assert site.see.restore(file.node).status.code == OK
    before = file.state()
    assert file.call("purge", top_id=file.node)["cause"] == MOVED
    assert file.state() == before
    answer = file.call("restore", top_id=file.node, parent_id=file.folder, name="f")
    assert answer["ok"]  # there it is
    file.moved()
    answer = file.call("restore", top_id=file.node, parent_id=file.folder, name="f")
    assert answer["cause"] == MOVED
    assert file.call("restore", top_id=file.node, parent_id=file.folder, name="f",
                     expect=None)["ok"]
    assert file.state() == before


def test_what_lies_in_the_trash_as_we_left_it_is_restored_and_purged(site):  # noqa: F811
    file = trashed(site)
    assert file.call("restore", top_id=file.node, parent_id=site.root, name="r")["ok"]
    assert file.state()[1] == "/r"
    file.expect = {"parent_id": site.root, "name": "r", "sha1": sha1(b"ours"), "size": 4}
    file.expect = {"deleted_at": file.trash()["deleted_at"]}
    assert file.call("purge", top_id=file.node)["ok"]
    assert file.state() is None
