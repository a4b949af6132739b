"""
lockstep-transform between topics that the test writes and topics that it reads.

The test plays capture: one transactional producer, one sequence of numbers, the envelopes of
schemas/oc10. `rows` sends what is given in one transaction.
"""

import json
import time

from bed import topics
from bed.daemons import Daemons
from bed.process import wait_until
from confluent_kafka import Consumer, Producer

PARTITIONS = 8
KINDS = ("resource", "space", "person", "share", "annotation")
KEYS = {"filecache": ("fileid",), "share": ("id",), "storages": ("numeric_id",),
        "mimetypes": ("id",), "accounts": ("id",), "groups": ("gid",),
        "group_user": ("gid", "uid"), "files_trash": ("auto_id",), "users": ("uid",),
        "ldap_user_mapping": ("owncloud_name",), "ldap_group_mapping": ("owncloud_name",),
        "vcategory": ("id",), "properties": ("id",),
        "vcategory_to_object": ("objid", "categoryid", "type"), "systemtag": ("id",),
        "systemtag_object_mapping": ("objecttype", "objectid", "systemtagid"),
        "preferences": ("userid", "appid", "configkey")}


class Pipe:
    # what capture beats beside oc_filecache
    BEATING = ("share", "storages", "accounts", "groups", "group_user", "users", "ldap_user_mapping",
               "ldap_group_mapping", "preferences", "files_trash", "vcategory", "vcategory_to_object",
               "properties", "systemtag", "systemtag_object_mapping", "share_external", "trusted_servers")

    def __init__(self, bed, avro, prefix, folder, sets=None):
        self.sets, self.bed, self.prefix, self.folder = sets or {}, bed, prefix, folder
        folder.mkdir()
        self.site = self.instance("1")
        self.others = []
        self.counter = 0
        self.site.start("transform")
        self.schemas = {}
        for r in topics.read(bed.kafka.bootstrap, f"{prefix}.schemas"):
            schema = avro.Schema(r["value"].decode(), int(r["key"], 16))
            self.schemas[schema.name] = schema
        self.producer = Producer({"bootstrap.servers": bed.kafka.bootstrap,
                                  "transactional.id": f"{prefix}-capture"})
        self.producer.init_transactions(60)

    def instance(self, name):
        return Daemons(self.bed, data=self.folder, prefix=self.prefix,
                       folder=self.folder / name, sets={
                           "lockstep.partitions": PARTITIONS, "lockstep.instance": name,
                           "kafka.session.timeout.ms": 6000,
                           # what a dead instance had open must not outlive the test
                           "kafka.transaction.timeout.ms": 10000, **self.sets})

    def close(self):
        for site in [self.site, *self.others]:
            site.stop()

    # ---- the source

    def next_seq(self):
        self.counter += 1
        return self.counter

    def envelope(self, table, op, row=None, before=None, **more):
        """(table, key, partition, value) of one record."""
        name = "".join(w.capitalize() for w in table.split("_")) + "Envelope"
        schema = self.schemas[name]
        now = int(time.time() * 1e6)
        value = {"op": op, "seq_epoch": 1, "seq_counter": self.next_seq(), "part": 0,
                 "source_ts_us": now, "capture_ts_us": now, **more}
        columns = next(f for f in schema.schema["fields"] if f["name"] == "before")
        columns = [f["name"] for f in columns["type"][1]["fields"]]
        for image, given in (("before", before), ("after", row)):
            if given is not None:
                value[image] = given
                value[f"{image}_present"] = sum(
                    1 << i for i, c in enumerate(columns) if c in given)
        given = row or before
        partition = 0
        key = "!heartbeat" if op == "h" else f"!{ {'b': 'begin', 'e': 'end'}.get(op) }"
        if given is not None:
            key = "/".join(str(given[k]).replace("%", "%25").replace("/", "%2F")
                           for k in KEYS[table])
            partition = given["storage"] % PARTITIONS if table == "filecache" else 0
        return table, key, partition, schema.encode(value), value

    def send(self, *records):
        """Each: what envelope() gave, or (table, key, partition, bytes or None, value)."""
        self.producer.begin_transaction()
        for table, key, partition, data, value in records:
            headers = [] if data is not None else [
                ("seq", f"1.{value['seq_counter']}.0"), ("gtid", value.get("gtid", ""))]
            self.producer.produce(f"{self.prefix}.oc10.oc_{table}", key=key, value=data,
                                  partition=partition, headers=headers)
        self.producer.commit_transaction(60)

    def row(self, table, op, row, **more):
        if op == "d":
            return self.envelope(table, op, before=row, **more)
        return self.envelope(table, op, row=row, **more)

    def gone(self, deleted):
        """The tombstone behind a delete."""
        table, key, partition, _, value = deleted
        return table, key, partition, None, value

    def file(self, fileid, storage=5, path="files/a.txt", op="c", before=None, **more):
        columns = {"fileid": fileid, "storage": storage, "path": path, "parent": 2,
                   "name": path.rsplit("/", 1)[-1], "mimetype": 3, "size": 12,
                   "mtime": 1700000000, "encrypted": 0, "etag": f"e{self.counter}",
                   "permissions": 27, "checksum": ""}
        head = {k: more.pop(k) for k in ("moved_from", "moved_to", "part", "seq_counter", "gtid")
                if k in more}
        columns.update(more)
        if op == "d":
            return self.envelope("filecache", op, before=columns, **head)
        return self.envelope("filecache", op, row=columns, before=before, **head)

    def small_site(self):
        self.send(self.row("storages", "r", {"numeric_id": 5, "id": "home::alice"}),
                  self.row("storages", "r", {"numeric_id": 6, "id": "home::bob"}),
                  self.row("storages", "r", {"numeric_id": 7, "id": "smb::x@y//z/"}),
                  self.envelope("storages", "e", begin_epoch=1, begin_counter=1),
                  self.row("mimetypes", "r", {"id": 2, "mimetype": "httpd/unix-directory"}),
                  self.row("mimetypes", "r", {"id": 3, "mimetype": "text/plain"}))

    # ---- what came out

    def status(self):
        return self.site.status("transform")

    def wait_in(self, rows, seconds=30):
        """Until the daemon has counted that many rows, and what it committed can be read."""
        count = self.rows_in if self.others else self.counted
        wait_until(lambda: count() >= rows, seconds, f"{rows} rows", 0.1)
        wait_until(lambda: not self.unfinished(), seconds,
                   "the last commit's marks in all partitions", 0.05)
        return self.status()

    def counted(self):
        return self.status().get("counters", {}).get("in", 0)

    def counters(self):
        """The committed counters of each instance, also of those that have stopped."""
        return {r["key"]: json.loads(r["value"])
                for r in topics.read(self.bed.kafka.bootstrap, f"{self.prefix}.counters")
                if r["key"].startswith("transform/") and not r["key"].endswith("/mark")}

    def rows_in(self):
        return sum(c["in"] for c in self.counters().values())

    def check_balance(self):
        """In is out, filtered and dead for every instance, and each dead letter can be read."""
        counters = self.counters().values()
        for c in counters:
            assert c["in"] == sum(sum(c[group].values())
                                  for group in ("out", "filtered", "dead")), c
        dead = sum(sum(c["dead"].values()) for c in counters)
        assert not dead or len(self.dead()) == dead

    def unfinished(self):
        """Whether a transaction is open in what comes out."""
        return self._ends("read_committed") != self._ends("read_uncommitted")

    def _ends(self, isolation):
        consumer = Consumer({"bootstrap.servers": self.bed.kafka.bootstrap, "group.id": "ends",
                             "isolation.level": isolation})
        try:
            return [topics.ends(consumer, f"{self.prefix}.{topic}", p)[1]
                    for topic, n in [("cs3.resource", PARTITIONS), ("dlq", 1)]
                    + [(f"cs3.{kind}", 1) for kind in KINDS[1:]]
                    for p in range(n)]
        finally:
            consumer.close()

    def records(self, kind):
        """All records of a cs3 topic, in order of each partition, with their value decoded."""
        out = topics.read(self.bed.kafka.bootstrap, f"{self.prefix}.cs3.{kind}")
        for r in out:
            r["record"] = (self.schemas[kind.capitalize()].decode(r["value"])
                           if r["value"] is not None else None)
        return out

    def folded(self, kind):
        """The last record of each (partition, key)."""
        return {(r["partition"], r["key"]): r["record"] for r in self.records(kind)}

    def dead(self):
        return [r for r in topics.dead_letters(self.bed.kafka.bootstrap, self.prefix)
                if "state" not in r["headers"]]  # else a word about one
