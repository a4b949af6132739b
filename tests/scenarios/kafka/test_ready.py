"""/readyz tells when the source or Kafka stands still, though nothing was closed and nobody says so."""

import re
import signal

from bed import wait_until
from rows import insert, wait_rows


def lag(capture):
    text = capture.site.get("capture", "/metrics")[1]
    found = re.search(r"^lockstep_capture_lag_seconds (\S+)", text, re.M)
    return float(found[1]) if found else -1.0


def test_a_source_that_stands_still_fails_readyz_until_it_goes_on(new_capture):
    capture = new_capture({"source.heartbeat_ms": 1000})
    capture.start()
    insert(capture, 1, 40)
    capture.drain()
    database = capture.bed.mariadb.process
    database.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: not capture.site.ready("capture"), 60, "/readyz to fail")
    finally:
        database.signal(signal.SIGCONT)
    wait_until(lambda: capture.site.ready("capture"), 60, "/readyz to recover")
    insert(capture, 41, 80)
    wait_rows(capture, 80)
    assert capture.drain()["balance"] == 0


def test_a_kafka_that_stands_still_fails_readyz_until_it_goes_on(new_capture):
    capture = new_capture()
    capture.start()
    insert(capture, 1, 40)
    capture.drain()
    broker = capture.bed.kafka.process
    broker.signal(signal.SIGSTOP)
    try:
        insert(capture, 41, 80)
        wait_until(lambda: not capture.site.ready("capture"), 60, "/readyz to fail")
        assert capture.site.get("capture", "/healthz")[0] == 200
        wait_until(lambda: lag(capture) > 5, 60, "the lag to rise all the while")
    finally:
        broker.signal(signal.SIGCONT)
    wait_until(lambda: capture.site.ready("capture"), 90, "/readyz to recover")
    insert(capture, 81, 120)
    wait_rows(capture, 120)
    assert capture.drain()["balance"] == 0
