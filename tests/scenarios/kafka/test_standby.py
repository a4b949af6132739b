"""Two captures: one is active, the other stands by and takes over by itself."""

import signal
import threading

from bed import wait_until
from bed.daemons import Daemons
from rows import insert, wait_rows


def second_of(capture, sets):
    """Another capture for the same prefix, as on another host."""
    sets = {"lockstep.partitions": 4, "source.heartbeat_ms": 400, "lockstep.instance": 2,
            "source.server_id": 4711, **sets}
    return Daemons(capture.bed, data=capture.folder, prefix=capture.prefix,
                   folder=capture.folder / "second", sets=sets)


def events(site, name):
    return [x for x in site.log_lines("capture") if x.get("event") == name]


def stands_by(site):
    return site.status("capture").get("standby") is True


def test_the_older_one_stands_by_and_takes_over_when_the_newer_is_gone(new_capture):
    sets = {"capture.standby_ms": 8000}
    capture = new_capture(sets)
    capture.start()
    insert(capture, 1, 40)
    second = second_of(capture, sets)
    with second:
        second.start("capture")
        wait_until(lambda: stands_by(capture.site), 60, "the older one to stand by")
        assert capture.site.ready("capture")
        assert "lockstep_capture_active 0" in capture.site.get("capture", "/metrics")[1]
        assert "lockstep_capture_active 1" in second.get("capture", "/metrics")[1]
        insert(capture, 41, 80)
        wait_rows(capture, 80)
        stages = wait_until(
            lambda: (lambda text: text if "standby/1" in text and "capture/2" in text else "")(
                capture.site.lockstep("status")[1]), 60, "both in lockstep status")
        assert "capture/1" not in stages
        second.kill("capture")
        wait_until(lambda: not stands_by(capture.site) and capture.site.ready("capture"), 60,
                   "the standby to take over")
        insert(capture, 81, 120)
        wait_rows(capture, 120)
    assert "lockstep_capture_active 1" in capture.site.get("capture", "/metrics")[1]
    assert len(events(capture.site, "take-over")) == 1
    assert capture.drain()["balance"] == 0
    assert capture.stop() == 0


def test_while_the_source_is_away_for_both_nobody_takes_over(new_capture):
    sets = {"capture.standby_ms": 6000}
    capture = new_capture(sets)
    capture.start()
    second = second_of(capture, sets)
    with second:
        second.start("capture")
        wait_until(lambda: stands_by(capture.site), 60, "the older one to stand by")
        capture.bed.mariadb.stop()
        try:
            # asked twice in vain: the position stood still for long enough to wonder
            wait_until(lambda: len(events(capture.site, "standby-source")) >= 2, 60, "questions")
            assert not events(capture.site, "take-over")
        finally:
            capture.bed.mariadb.start()
        insert(capture, 1, 40)
        wait_rows(capture, 40)
        assert second.stop("capture")["capture"] == 0
    assert capture.stop() == 0


def test_a_capture_that_slept_over_its_transaction_goes_on(new_capture):
    """SIGSTOP for longer than transaction.timeout.ms while rows come."""
    capture = new_capture({"kafka.transaction.timeout.ms": 2000, "capture.commit_ms": 1500,
                           "capture.standby": "false"})
    capture.start()
    process = capture.site.running["capture"]
    last, stop = [0], threading.Event()

    def write():
        while not stop.is_set():
            insert(capture, last[0] + 1, last[0] + 20)
            last[0] += 20
            stop.wait(0.1)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = capture.status()["counters"]["in"]
        wait_until(lambda: capture.status()["counters"]["in"] > seen, 60, "rows")
        process.signal(signal.SIGSTOP)
        try:
            stop.wait(4)  # the broker looks for transactions that are too old once a second
        finally:
            process.signal(signal.SIGCONT)
        wait_until(lambda: capture.site.ready("capture"), 60, "/readyz")
    finally:
        stop.set()
        writer.join()
    wait_rows(capture, last[0])
    assert process.alive()
    assert capture.drain()["balance"] == 0
