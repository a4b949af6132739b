"""Counters, and troubles made to order.

Every call of every server passes `Desk`: it is counted under "<server>.<method>", and the rules
are asked what shall befall it. A rule (JSON, by POST /faults on the admin port):

    {"call": "storage-users.Move",   which calls; * and ? as in file names
     "nth": 3 | "probability": 0.1,  the third that matches, or each with this chance ...
     "seed": 1, "times": 5,          ... drawn with this seed; the rule ends after 5 hits
     "effect": ..., ...}

effects: latency (ms) | grpc (status: its name, message) | code (CS3 code, message) | http (http,
and retry_after in seconds) | drop-before, drop-after (the connection is cut, with and without the
call's effect) | die (bytes: the data connection is cut after so many bytes of the body). With
"after": true, grpc and code let the call have its effect first.

"between.CreateShare", "between.UpdateShare" and "between.RemoveShare" are the moment when the share
managers' files are written and the grant is not: latency holds the gateway there, grpc ends its call.
"between.PostUser": a user is made and has no role yet; latency holds Graph there, http ends its call,
drop-before cuts the connection.

The last calls that write, and all that a rule struck, are kept as lines of text: GET /calls.
"""
import collections
import fnmatch
import functools
import itertools
import random
import threading
import time

import grpc

EFFECTS = ("latency", "grpc", "code", "http", "drop-before", "drop-after", "die")

# what changes something at the target; starting an upload does, too (left-over sessions)
WRITING = (
    "*.CreateContainer *.TouchFile *.InitiateFileUpload *.Move *.Delete *.RestoreRecycleItem "
    "*.PurgeRecycle *.RestoreFileVersion *.SetArbitraryMetadata *.UnsetArbitraryMetadata "
    "*.AddGrant *.UpdateGrant *.RemoveGrant *.DenyGrant *.CreateHome *.CreateStorageSpace "
    "*.UpdateStorageSpace *.DeleteStorageSpace *.CreateShare *.UpdateShare *.RemoveShare "
    "*.UpdateReceivedShare *.CreatePublicShare *.UpdatePublicShare *.RemovePublicShare "
    "data.PUT data.PATCH data.POST system-data.PUT graph.POST* graph.PATCH* graph.DELETE*"
).split()


@functools.lru_cache(4096)
def is_writing(name):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in WRITING)


class Rule:
    ids = itertools.count(1)

    def __init__(self, spec):
        if spec.get("effect") not in EFFECTS:
            raise ValueError("effect must be one of " + ", ".join(EFFECTS))
        if spec["effect"] == "grpc" and \
                spec.get("status", "UNAVAILABLE") not in grpc.StatusCode.__members__:
            raise ValueError("status must be the name of one, such as UNAVAILABLE")
        self.id, self.spec = next(self.ids), spec
        self.call = spec.get("call", "*")
        self.nth, self.chance = spec.get("nth"), spec.get("probability", 1.0)
        self.left = spec.get("times", 1 if self.nth else None)
        self.random = random.Random(spec.get("seed", 1))
        self.seen = self.hits = 0

    def strikes(self, name):
        if not fnmatch.fnmatchcase(name, self.call) or self.left == 0:
            return False
        self.seen += 1
        if self.nth is not None and self.seen < self.nth:
            return False
        if self.nth is None and self.random.random() >= self.chance:
            return False
        self.hits += 1
        if self.left is not None:
            self.left -= 1
        return True

    def shown(self):
        return dict(self.spec, id=self.id, seen=self.seen, hits=self.hits)


class Desk:
    def __init__(self):
        self.lock = threading.Lock()
        self.calls, self.rules = {}, []
        self.log = collections.deque(maxlen=20000)

    def note(self, name):
        """Counts a call and returns the faults that befall it."""
        with self.lock:
            self.calls[name] = self.calls.get(name, 0) + 1
            if not self.rules:
                return ()
            return [r.spec for r in self.rules if r.strikes(name)]

    def between(self, name):
        """The rules for a moment inside a call: only those that name it so."""
        with self.lock:
            return [r.spec for r in self.rules
                    if r.call.startswith("between.") and r.strikes(name)]

    def tell(self, name, what, struck, outcome):
        """Into the log, when it writes or something befell it."""
        if struck or is_writing(name):
            self.log.append(" ".join([time.strftime("%H:%M:%S"), name, what, *(
                "[%s]" % rule["effect"] for rule in struck), "->", outcome]))

    def counters(self):
        with self.lock:
            calls = dict(sorted(self.calls.items()))
        writing = {n: c for n, c in calls.items() if is_writing(n)}
        return {"calls": calls, "writing_calls": writing, "writing": sum(writing.values())}

    def reset(self):
        with self.lock:
            self.calls.clear()

    def add(self, specs):
        rules = [Rule(s) for s in specs]
        with self.lock:
            self.rules += rules
        return [r.id for r in rules]

    def clear(self):
        with self.lock:
            self.rules = []

    def shown(self):
        with self.lock:
            return [r.shown() for r in self.rules]
