"""
Commands to a capture under test: signed as docs/operations.md says, by code of our own, so that a
mistake that signing and checking share would show.
"""

import hashlib
import hmac
import json
import time
import uuid

from bed import topics, wait_until

KEY = "a key for tests that is long enough"
SETS = {"control.key": KEY}


def sign(capture, value, key=KEY):
    text = capture.prefix.encode() + b" " + value
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()


def value(command, args=None, id=None, age=0.0):
    return json.dumps({
        "id": id or uuid.uuid4().hex, "stage": "capture", "command": command, "args": args or {},
        "issued_us": int((time.time() - age) * 1e6)}).encode()


def send(capture, body, signature=None):
    """Puts the bytes on the control topic; `signature` "" leaves the header out."""
    header = sign(capture, body) if signature is None else signature
    topics.send(capture.bootstrap, f"{capture.prefix}.control", "capture", body,
                headers={"signature": header} if header else None)
    return json.loads(body)["id"]


def answer(capture, id, seconds=30):
    found = {}

    def done():
        for a in capture.status()["control"]["answers"]:
            if a["id"] == id:
                found.update(a)
        return found
    wait_until(done, seconds, f"an answer to {id}")
    return found


def ask(capture, command, args=None):
    """Sends a command and returns its answer."""
    return answer(capture, send(capture, value(command, args)))


def counts(capture):
    return capture.status()["control"]["counts"]


def wait_state(capture, state, seconds=60):
    wait_until(lambda: capture.status().get("snapshot", {}).get("state") == state, seconds,
               f"the snapshot to be {state}")
