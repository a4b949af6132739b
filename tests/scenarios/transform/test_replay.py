"""Dead letters of transform, sent once more: by `lockstep dlq retry`, and signed by code of our own."""

import hashlib
import hmac
import json
import time

from bed import topics
from bed.process import wait_until

KEY = "a key for tests that is long enough"


def sign(pipe, topic, key, value, run, partition):
    """The headers of a record on <p>.replay: each part by its digest, all of them signed."""
    now = str(int(time.time() * 1e6))
    parts = [pipe.prefix, topic, key, value, "", run, "", "", "", "", "", now, "1", str(partition)]
    text = b"".join(hashlib.sha256(p if isinstance(p, bytes) else p.encode()).digest()
                    for p in parts)
    return {"topic": topic, "run": run, "n": "1", "time": now,
            "mac": hmac.new(KEY.encode(), text, hashlib.sha256).hexdigest()}


def test_a_letter_goes_to_replay_when_it_can_be_carried_and_is_dead_again_when_not(new_pipe):
    pipe = new_pipe(**{"control.key": KEY})
    kafka, replay = pipe.bed.kafka.bootstrap, f"{pipe.prefix}.replay"
    pipe.small_site()
    pipe.send(pipe.row("share", "c", {"id": 2, "share_type": 99, "item_type": "file",
                                      "file_source": 44, "permissions": 1}))
    assert pipe.wait_in(6)["dead"] == {"share-type": 1}
    before = len(pipe.records("resource"))

    def again():
        return [r for r in topics.read(kafka, replay)
                if r["headers"].get("topic") == "cs3.resource"]

    assert pipe.site.lockstep("dlq", "retry", "--all")[0] == 0
    wait_until(lambda: pipe.status()["dead"] == {"share-type": 2}, 60, "the share to be dead again")
    # what an older transform could not carry and this one can
    _, key, partition, value, _ = pipe.file(44)
    signed = sign(pipe, "oc10.oc_filecache", key, value, "a-run-of-ours", partition)
    topics.send(kafka, replay, key, value, partition, signed)
    wait_until(again, 60, "the file to be sent again")
    record = again()[0]
    assert (record["key"], record["partition"]) == ("44", 5)
    assert len(record["headers"]["mac"]) == 64 and record["headers"]["run"] == "a-run-of-ours/5"
    assert len(pipe.records("resource")) == before  # nothing into the compacted topic
    letter = pipe.dead()[-1]
    assert letter["headers"]["topic"] == f"{pipe.prefix}.oc10.oc_share"
    assert pipe.status()["balance"] == 0

    # a copy gets nothing done, not even after a kill
    topics.send(kafka, replay, key, value, partition, signed)
    wait_until(lambda: pipe.status()["warning"].get("replay-refused") == 1, 60, "a refusal")
    pipe.site.kill("transform")
    topics.send(kafka, replay, key, value, partition, signed)
    pipe.site.start("transform")
    wait_until(lambda: pipe.status()["warning"].get("replay-refused") == 2, 60, "another")
    topics.send(kafka, replay, key, value, partition - 1, signed)
    wait_until(lambda: pipe.status()["warning"].get("replay-refused") == 3, 60, "a third")

    # nobody without the key gets anything done
    topics.send(kafka, replay, "45", pipe.file(45)[3],
                headers={"topic": "oc10.oc_filecache", "time": "1", "mac": "0" * 64})
    wait_until(lambda: pipe.status()["warning"].get("replay-refused") == 4, 60, "a refusal")
    assert [r["key"] for r in again()] == ["44"]

    # who gives a letter up says why, and the reason is kept behind it
    assert pipe.site.lockstep("dlq", "drop", "--all", "--reason", "no such type", "--yes")[0] == 0

    def words():
        return [json.loads(d["value"]) for d in topics.dead_letters(kafka, pipe.prefix)
                if d["headers"].get("state") == "dropped"]
    wait_until(lambda: len(words()) == 2, 60, "both to be told of")
    assert {w["reason"] for w in words()} == {"no such type"}
