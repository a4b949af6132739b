"""The daemon between real topics: what comes out, what is counted, how it ends."""

import signal
import time

import pytest
from bed.process import wait_until


def seq(record):
    return record["seq_epoch"], record["seq_counter"], record["part"]


def test_rows_become_desired_states_and_every_row_is_counted(new_pipe):
    pipe = new_pipe()
    pipe.small_site()
    deleted = pipe.file(46, op="d", gtid="0-1-17")
    bad_share = {"id": 2, "share_type": 99, "item_type": "file", "file_source": 44,
                 "permissions": 1}
    share = {"id": 1, "share_type": 0, "share_with": "bob", "uid_owner": "alice",
             "item_type": "file", "item_source": "44", "file_source": 44, "permissions": 19,
             "file_target": "/a.txt", "accepted": 0, "stime": 1600000000}
    pipe.send(
        pipe.file(44), pipe.file(45, storage=7, path="x/y.txt"), deleted, pipe.gone(deleted),
        pipe.row("share", "c", share), pipe.row("share", "c", bad_share),
        pipe.row("accounts", "c", {"id": 1, "user_id": "alice", "home": "/d/alice", "state": 1}),
        pipe.row("groups", "c", {"gid": "R&D/50%"}),
        pipe.row("group_user", "c", {"gid": "R&D/50%", "uid": "alice"}),
        pipe.row("users", "c", {"uid": "alice", "password": "sha1-of-old"}),
        pipe.row("ldap_user_mapping", "c", {"owncloud_name": "alice", "ldap_dn": "uid=a",
                                            "directory_uuid": "6a5c"}),
        pipe.row("ldap_group_mapping", "c", {"owncloud_name": "alice", "ldap_dn": "cn=a",
                                             "directory_uuid": "7b6d"}),
        pipe.row("preferences", "c", {"userid": "alice", "appid": "files", "configkey": "quota",
                                      "configvalue": "5 GB"}),
        pipe.row("vcategory", "c", {"id": 7, "uid": "alice", "type": "files",
                                    "category": "_$!<Favorite>!$_"}),
        pipe.row("vcategory_to_object", "c", {"objid": 44, "categoryid": 7, "type": "files"}),
        pipe.row("properties", "c", {"id": 3, "fileid": 44, "propertyname": "{urn:x}a",
                                     "propertyvalue": "b", "propertytype": 1}),
        pipe.row("systemtag", "c", {"id": 7, "name": "Tag A", "visibility": 1, "editable": 0, "assignable": 1}),
        pipe.row("systemtag_object_mapping", "c", {"objecttype": "files", "objectid": "44", "systemtagid": 7}),
        pipe.row("systemtag_object_mapping", "c", {"objecttype": "x", "objectid": "y", "systemtagid": 7}),
        pipe.row("files_trash", "c", {"auto_id": 9, "id": "a.txt", "user": "bob",
                                      "timestamp": "1700000000", "location": "."}))
    status = pipe.wait_in(24)
    assert status["balance"] == 0
    assert status["out"] == {"space": 3, "resource": 3, "share": 1, "person": 7, "annotation": 5}
    assert status["filtered"] == {"lookup": 2, "storage-external": 1, "tag-object": 1}
    assert status["dead"] == {"share-type": 1}
    assert status["warning"] == {"password-legacy": 1}

    resources = pipe.folded("resource")
    assert resources[(5, "44")]["name"] == "a.txt"
    assert resources[(5, "44")]["mimetype"] == "text/plain"
    assert resources[(5, "46")] is None
    assert resources[(6, "t9")]["what"] == "TRASH_INFO"
    tombstone = [r for r in pipe.records("resource") if r["key"] == "46"][-1]
    assert tombstone["headers"] == {"seq": f"1.{deleted[4]['seq_counter']}.0", "gtid": "0-1-17"}
    gtids = {r["key"]: r["headers"].get("gtid") for r in pipe.records("resource")}
    assert gtids["46"] == "0-1-17" and gtids["44"] is None  # of a row without one
    assert pipe.folded("share")[(0, "1")]["grantee"] == "bob"
    people = pipe.folded("person")
    assert set(people) == {(0, "u:alice"), (0, "g:R&D%2F50%25"), (0, "m:R&D%2F50%25/alice"), (0, "d:alice"),
                           (0, "p:alice"), (0, "l:alice"), (0, "q:alice")}
    assert people[(0, "q:alice")]["quota_bytes"] == 5 << 30
    assert people[(0, "d:alice")]["gid"] == "alice" and people[(0, "l:alice")]["uid"] == "alice"
    notes = pipe.folded("annotation")
    assert set(notes) == {(0, "c:7"), (0, "t:44/7/files"), (0, "p:3"), (0, "g:7"), (0, "o:files/44/7")}
    assert (notes[(0, "g:7")]["name"], notes[(0, "g:7")]["editable"]) == ("Tag A", False)
    assert notes[(0, "c:7")]["favorite"] and notes[(0, "t:44/7/files")]["fileid"] == 44
    spaces = pipe.folded("space")
    assert spaces[(0, "5")]["owner"] == "alice"
    assert spaces[(0, "7")]["type"] == "IGNORED"


def test_what_cannot_be_read_is_a_dead_letter_with_its_bytes_and_the_stream_goes_on(new_pipe):
    pipe = new_pipe()
    pipe.small_site()
    good = pipe.file(44)
    unknown = b"\xc3\x01" + b"\x11" * 8 + b"rest"
    cut = good[3][:20]
    pipe.send(("filecache", "1", 5, unknown, None), ("filecache", "2", 5, cut, None),
              ("filecache", "3", 5, b"", None), good)
    status = pipe.wait_in(9)
    assert status["dead"] == {"malformed-avro": 2, "unknown-schema": 1}
    assert status["balance"] == 0
    dead = {d["key"]: d for d in pipe.dead()}
    assert dead["1"]["value"] == unknown and dead["2"]["value"] == cut
    headers = dead["1"]["headers"]
    assert headers["stage"] == "transform" and headers["cause"] == "unknown-schema"
    assert headers["topic"] == f"{pipe.prefix}.oc10.oc_filecache"
    assert headers["partition"] == "5" and headers["offset"] == "0"
    assert headers["attempts"] == "1" and headers["time"].endswith("Z") and headers["message"]
    assert (5, "44") in pipe.folded("resource")


def test_brackets_and_heartbeats_reach_the_partitions_they_speak_for(new_pipe):
    pipe = new_pipe()
    pipe.small_site()
    tables = pipe.BEATING
    begins = [pipe.envelope(t, "b") for t in tables]
    ends = [pipe.envelope(t, "e", begin_epoch=1, begin_counter=b[4]["seq_counter"])
            for t, b in zip(tables, begins)]
    parts = []
    for p in range(8):
        for op in "be":
            t, key, _, data, value = pipe.envelope("filecache", op)
            parts.append((t, key, p, data, value))
    pipe.send(*begins, *ends, *parts, pipe.file(44))
    pipe.wait_in(6)

    def beat():
        """Once a second, as capture does; the first ones wait for those of the lesser tables."""
        beats = []
        for p in range(8):
            t, key, _, data, value = pipe.envelope("filecache", "h")
            beats.append((t, key, p, data, value))
        pipe.send(*beats, *(pipe.envelope(t, "h") for t in tables))
        return (all((p, "!heartbeat") in pipe.folded("resource") for p in range(8))
                and all((0, "!heartbeat") in pipe.folded(kind)
                        for kind in ("share", "person", "space", "annotation")))

    wait_until(beat, 60, "the heartbeats", 1)
    resources = pipe.folded("resource")
    for p in range(8):
        for key in ("!begin", "!end", "!heartbeat", "!begin:trash", "!end:trash"):
            assert resources[(p, key)]["what"] == ("TRASH_INFO" if "trash" in key else "NODE")
    people = pipe.folded("person")
    assert {k: r["type"] for (_, k), r in people.items() if r["kind"] == "END"} == {
        "!end": "USER", "!end:groups": "GROUP", "!end:group_user": "MEMBER",
        "!end:users": "CREDENTIAL", "!end:ldap": "LDAP", "!end:preferences": "QUOTA",
        "!end:ldap-groups": "LDAP_GROUP"}
    groups = begins[tables.index("groups")][4]
    assert people[(0, "!end:groups")]["begin_counter"] == groups["seq_counter"]
    notes = pipe.folded("annotation")
    assert {k: r["type"] for (_, k), r in notes.items() if r["kind"] == "END"} == {
        "!end": "CATEGORY", "!end:tagged": "TAGGED", "!end:properties": "PROPERTY",
        "!end:systemtag": "SYSTEMTAG", "!end:systemtagged": "SYSTEMTAGGED"}
    for kind in ("share", "person", "space", "annotation"):
        assert pipe.folded(kind)[(0, "!heartbeat")]["kind"] == "HEARTBEAT"
    assert pipe.status()["counters"]["in"] == 6


def test_a_storage_in_the_same_transaction_is_never_unknown(new_pipe):
    """The file's row may be seen before the storage's: the barrier reads on before it decides."""
    pipe = new_pipe()
    pipe.small_site()
    n = 5
    for i in range(40):
        storage = 100 + i
        pipe.send(pipe.row("storages", "c", {"numeric_id": storage, "id": f"home::u{i}"}),
                  pipe.row("mimetypes", "c", {"id": 1000 + i, "mimetype": f"x/y{i}"}),
                  pipe.file(5000 + i, storage=storage, mimetype=1000 + i))
        n += 3
    pipe.send(pipe.file(9999, storage=777))
    status = pipe.wait_in(n + 1)
    assert status["filtered"] == {"lookup": 42, "storage-unknown": 1}
    resources = pipe.folded("resource")
    for i in range(40):
        assert resources[((100 + i) % 8, str(5000 + i))]["mimetype"] == f"x/y{i}"


def test_the_space_of_an_md5_storage_is_sent_again_when_its_account_comes(new_pipe):
    import hashlib
    pipe = new_pipe()
    uid = "u" * 64
    pipe.small_site()
    pipe.send(pipe.row("storages", "c", {
        "numeric_id": 50, "id": hashlib.md5(f"home::{uid}".encode()).hexdigest()}),
        pipe.file(44, storage=50))
    pipe.wait_in(7)
    space = pipe.folded("space")[(0, "50")]
    assert (space["type"], space["reason"]) == ("IGNORED", "unknown")
    assert (2, "44") in pipe.folded("resource")
    pipe.send(pipe.row("accounts", "c", {"id": 9, "user_id": uid, "home": "/d/u", "state": 1}))
    status = pipe.wait_in(8)
    assert status["balance"] == 0
    later = pipe.folded("space")[(0, "50")]
    assert (later["type"], later["owner"]) == ("PERSONAL", uid)
    assert seq(later) > seq(space)


def test_a_clean_stop_is_status_0_and_the_next_start_goes_on(new_pipe):
    pipe = new_pipe()
    pipe.small_site()
    pipe.wait_in(5)
    assert pipe.site.stop("transform") == {"transform": 0}
    pipe.send(pipe.file(44))
    pipe.site.start("transform")
    assert pipe.wait_in(6)["counters"]["in"] == 6
    assert len([r for r in pipe.records("resource") if r["key"] == "44"]) == 1


def test_a_second_process_of_the_same_instance_fences_the_first(new_pipe):
    pipe = new_pipe()
    pipe.small_site()
    pipe.wait_in(5)
    first = pipe.site.running.pop("transform")
    old_port = pipe.site.ports["transform"]
    from bed.process import free_port
    pipe.site.ports["transform"] = free_port()
    pipe.site.start("transform")

    def push():
        pipe.send(*(pipe.file(p + 1, storage=p) for p in range(8)))
        return not first.alive()

    try:
        wait_until(push, 60, "the first to be fenced", 0.5)
        assert first.status() == 8
    finally:
        first.kill()
        assert old_port != pipe.site.ports["transform"]


def test_a_second_process_ends_the_first_though_there_is_nothing_to_do(new_pipe):
    """They would take the place in the group from each other for ever."""
    pipe = new_pipe()
    pipe.small_site()
    pipe.wait_in(5)
    first = pipe.site.running.pop("transform")
    from bed.process import free_port
    pipe.site.ports["transform"] = free_port()
    pipe.site.start("transform")
    try:
        wait_until(lambda: not first.alive(), 90, "the first to be fenced")
        assert first.status() == 8
    finally:
        first.kill()
    pipe.send(pipe.file(44))
    pipe.wait_in(6)


def test_an_instance_that_slept_over_its_transaction_goes_on(new_pipe):
    pipe = new_pipe(**{"kafka.transaction.timeout.ms": 4000, "transform.commit_ms": 3000})
    pipe.small_site()
    pipe.wait_in(5)
    process, sent = pipe.site.running["transform"], [0]

    def is_open():
        pipe.send(pipe.file(44))
        sent[0] += 1
        return pipe.unfinished()

    def given_up():
        return "transaction-timeout" in [
            line.get("event") for line in pipe.site.log_lines("transform")]

    for _ in range(5):  # it may commit in the moment before it is put to sleep
        wait_until(is_open, 60, "an open transaction", 0.01)
        pipe.site.pause("transform")
        wait_until(lambda: not pipe.unfinished(), 60, "the broker to give it up", 0.1)
        pipe.site.resume("transform")
        pipe.send(pipe.file(45))
        sent[0] += 1
        pipe.wait_in(sent[0] + 5, 60)
        if given_up():
            break
    assert given_up() and process.alive()
    assert len(pipe.records("resource")) == sent[0]


def test_lag_is_the_age_of_the_last_heartbeat_and_grows_without_one(new_pipe):
    pipe = new_pipe()
    pipe.small_site()

    def beat():
        """As capture does: to every partition of oc_filecache and to the topics beside it."""
        beats = []
        for p in range(8):
            table, key, _, data, value = pipe.envelope("filecache", "h")
            beats.append((table, key, p, data, value))
        pipe.send(*beats, *(pipe.envelope(t, "h") for t in pipe.BEATING))

    def reached():
        status = pipe.status()
        return status["time_us"] - status["lag_us"]

    time.sleep(1.5)
    start = time.time() * 1e6
    wait_until(lambda: pipe.status()["time_us"] > start, 60, "a status", 0.1)
    assert reached() < start  # nobody has said that the source was read that far
    beat()
    wait_until(lambda: reached() >= start, 60, "the heartbeats", 0.1)


def test_a_heartbeat_claims_no_more_than_was_read_of_the_trash(new_pipe):
    pipe = new_pipe()
    pipe.small_site()

    def beat(table, moment, partition=0):
        _, key, _, data, value = pipe.envelope(table, "h", source_ts_us=moment)
        return table, key, partition, data, value

    def claimed():
        found = pipe.folded("resource").get((3, "!heartbeat"))
        return found and found["source_ts_us"]

    def is_claimed(moment, by):
        """Again and again: the two topics are read in no order."""
        pipe.send(beat("filecache", by, 3))
        return claimed() == moment

    start = int(time.time() * 1e6)
    pipe.send(beat("files_trash", start))
    wait_until(lambda: is_claimed(start, start + 9), 60, "a heartbeat at the trash's time", 0.5)
    pipe.send(beat("files_trash", start + 20))
    wait_until(lambda: is_claimed(start + 11, start + 11), 60, "one at its own time", 0.5)


def test_wrong_configuration_is_status_2(new_pipe):
    pipe = new_pipe()
    pipe.site.stop("transform")
    for wrong in ("source.time_zone=Nowhere/City", "transform.nonsense=1", "control.key=short"):
        process = pipe.site.spawn("transform", "--set", wrong)
        wait_until(lambda p=process: not p.alive(), 60, "the end", 0.05)
        assert process.status() == 2, wrong


@pytest.mark.parametrize("idle", (True, False))
def test_a_kafka_that_stands_still_fails_readyz_until_it_goes_on(new_pipe, kafka, idle):
    pipe = new_pipe(**{"kafka.session.timeout.ms": 45000})  # as it is where nobody sets it
    pipe.small_site()
    before = pipe.wait_in(5)["counters"]["in"]
    assert pipe.site.ready("transform")
    rows = [] if idle else [pipe.file(i) for i in range(1000, 3000)]
    if rows:
        pipe.send(*rows)
    broker = kafka.kafka.process
    broker.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: not pipe.site.ready("transform"), 60, "/readyz to fail")
        assert "no answer from Kafka" in pipe.site.get("transform", "/readyz")[1]
        assert pipe.site.get("transform", "/healthz")[0] == 200
    finally:
        broker.signal(signal.SIGCONT)
    wait_until(lambda: pipe.site.ready("transform"), 90, "/readyz to recover")
    pipe.send(pipe.file(44))
    pipe.wait_in(before + len(rows) + 1, 90)


if __name__ == "__main__":
    pytest.main([__file__])
