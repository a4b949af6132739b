"""
Brokers that stop, die, run out of disk or hand their partitions on, while rows come: capture waits,
says so, and a reader of committed records sees each row once and in order.
"""

import signal
import subprocess
import threading
import time
import types
from contextlib import contextmanager

import pytest
from bed import wait_until
from bed.daemons import BIN
from bed.kafka import Cluster
from bed.process import Process
from confluent_kafka.admin import AdminClient
from rows import insert, wait_rows


class Writer:
    """Inserts twenty rows at a time until it is stopped; `last` is the highest number."""

    def __init__(self, capture, first=1):
        self.capture, self.last, self.ended = capture, first - 1, threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        while not self.ended.is_set():
            insert(self.capture, self.last + 1, self.last + 20)
            self.last += 20
            self.ended.wait(0.1)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def wait_more(self, seconds=60):
        """Until forty rows more have come through capture."""
        seen = self.capture.status()["counters"]["published"]
        wait_until(lambda: self.capture.status().get("counters", {}).get("published", 0)
                   >= seen + 40, seconds, "more rows")


@contextmanager
def watch(capture, *words):
    """`lockstep WORDS --watch` beside: gives a function that counts a text in what it has said."""
    folder = capture.site.folder
    watch = Process("watch", [BIN / "lockstep", words[0], "--config", capture.site.config, *words[1:],
                              "--watch"], folder / ("watch-" + "-".join(words)))
    try:
        yield lambda mark: watch.alive() and watch.log.read_text().count(mark)
    finally:
        watch.kill()


def seen_whole(capture, last):
    wait_rows(capture, last, 120)
    assert capture.drain(60)["balance"] == 0
    assert capture.site.running["capture"].alive()


def test_a_broker_that_is_stopped_and_started_again_costs_no_row(new_capture):
    capture = new_capture()
    capture.start()
    broker = capture.bed.kafka
    with Writer(capture) as writer:
        writer.wait_more()
        with watch(capture, "status") as status, watch(capture, "snapshot", "status") as snapshot:
            watches = ((status, "capture/1"), (snapshot, "snapshot: "))
            for looks, mark in watches:
                wait_until(lambda: looks(mark), 60, f"{mark} to be seen")
            broker.process.signal(signal.SIGTERM)
            try:
                wait_until(lambda: not broker.process.alive(), 60, "the broker's end")
                wait_until(lambda: not capture.site.ready("capture"), 60, "/readyz to fail")
                assert capture.site.get("capture", "/healthz")[0] == 200
                for looks, _ in watches:
                    wait_until(lambda: looks('"kind":"retry"'), 60, "who watches to be told")
                seen = [looks(mark) for looks, mark in watches]
            finally:
                broker.stop()
                broker.start()
            wait_until(lambda: capture.site.ready("capture"), 120, "/readyz to recover")
            for (looks, mark), before in zip(watches, seen):
                wait_until(lambda: looks(mark) > before, 60, f"{mark} to be seen again")
        writer.wait_more()
    seen_whole(capture, writer.last)


def take_server_id(capture, folder):
    """
    While Kafka is down a stranger has the source end capture's dump for his own; then both are gone
    and Kafka is back. Whether capture met the dump's end first.
    """
    source, broker, us = capture.database, capture.bed.kafka, capture.site.running["capture"]

    def dumps():
        return {row[0] for row in source.sql("SELECT ID FROM information_schema.PROCESSLIST"
                                             " WHERE COMMAND = 'Binlog Dump'")}
    ours, told = dumps(), capture.status()["time_us"]
    wait_until(lambda: capture.status()["time_us"] != told, 30, "a status")
    time.sleep(0.4)  # its heartbeats are committed
    us.signal(signal.SIGSTOP)
    stranger = Process("stranger", [
        "mariadb-binlog", "--no-defaults", "--read-from-remote-server", "-h127.0.0.1",
        f"-P{source.port}", "-ulockstep", "-plockstep", "--stop-never",
        "--stop-never-slave-server-id=77", source.place()[0]], folder / "stranger.log")
    try:
        wait_until(lambda: dumps() and not ours & dumps(), 30, "the stranger's dump")
        broker.process.kill()
        us.signal(signal.SIGCONT)
        wait_until(lambda: not us.alive() or not capture.site.ready("capture"), 60, "/readyz to fail")
    finally:
        us.signal(signal.SIGCONT)
        stranger.kill()
        broker.stop()
        broker.start()
    wait_until(lambda: not us.alive() or capture.site.ready("capture"), 120, "/readyz to recover")
    assert us.alive(), f"ended with {us.status()}"
    return "server-id-taken" in [x.get("event") for x in capture.site.log_lines("capture")]


def test_who_took_the_server_id_while_kafka_is_away_is_asked_when_it_is_back(new_capture, tmp_path):
    """It may have been the capture that takes over; here it is nobody's business."""
    capture = new_capture({"source.server_id": 77, "kafka.transaction.timeout.ms": 2000,
                           "lockstep.status_ms": 1000})
    capture.start()
    # a commit that was under way meets Kafka's end first
    assert any(take_server_id(capture, tmp_path) for _ in range(5))
    insert(capture, 1, 20)
    seen_whole(capture, 20)


def test_a_broker_without_room_freezes_the_position_until_it_has_some(new_capture):
    """No file of the broker may grow beyond three megabytes: what a full disk is to it."""
    capture = new_capture()
    capture.start()
    insert(capture, 1, 40)
    capture.drain()
    broker = capture.bed.kafka
    subprocess.run(["prlimit", "--pid", str(broker.process.pid), "--fsize=3000000:unlimited"],
                   check=True)
    shares = 0
    try:
        while broker.process.alive() and shares < 60:
            capture.sql("INSERT INTO oc_share(uid_owner, attributes) VALUES"
                        "('a', REPEAT('x', 400000)), ('b', REPEAT('y', 400000))")
            shares += 2
        wait_until(lambda: not broker.process.alive(), 60, "the broker to give up")
        insert(capture, 41, 80)
        wait_until(lambda: not capture.site.ready("capture"), 60, "/readyz to fail")
    finally:
        broker.stop()
        broker.start()
    wait_until(lambda: capture.site.ready("capture"), 120, "/readyz to recover")
    seen_whole(capture, 80)
    assert [int(r["key"]) for r in capture.rows("share")] == list(range(1, shares + 1))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    cluster.start()
    yield cluster
    cluster.stop()


def leader(client, topic):
    return client.list_topics(topic, timeout=30).topics[topic].partitions[0].leader


@pytest.fixture
def on_cluster(bed, cluster):
    return types.SimpleNamespace(mariadb=bed.mariadb, kafka=cluster, target=None,
                                 folder=bed.folder)


def test_a_leader_that_dies_is_followed_by_another(on_cluster, cluster, tmp_path):
    from harness import Capture
    capture = Capture(on_cluster, tmp_path, {"lockstep.replication": 3})
    client = AdminClient({"bootstrap.servers": cluster.bootstrap, "log_level": 0})
    try:
        capture.site.start("capture", seconds=120)
        wait_until(lambda: " topics are kept and copied as they must be" in
                   capture.site.lockstep("check", "--kafka")[1], 60, "all copies in sync")
        capture.site.wait_snapshot(120)  # a row of before its end comes twice: streamed, and read
        with Writer(capture) as writer:
            for topic in ("oc10.oc_filecache", "position"):
                topic = f"{capture.prefix}.{topic}"
                writer.wait_more(120)
                led = wait_until(lambda: max(0, leader(client, topic)), 60, "a leader")
                node = cluster.nodes[led]
                node.process.kill()
                wait_until(lambda: leader(client, topic) not in (-1, led), 120, "another leader")
                writer.wait_more(180)
                node.start()
        seen_whole(capture, writer.last)
    finally:
        capture.close()
