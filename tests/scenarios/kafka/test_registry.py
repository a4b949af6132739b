"""
A real schema registry: what is written carries its ids, any client of it can read that, and what it
refuses or does not answer never costs a row.
"""

import http.server
import json
import re
import ssl
import threading
import urllib.error
import urllib.request

import avro
import envelopes
import pytest
from bed import free_port, topics, wait_until
from bed.certs import Certificates
from bed.daemons import last_error
from bed.kafka import Registry
from rows import insert

KAFKA_REFUSES = 7
TYPE = "application/vnd.schemaregistry.v1+json"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    registry = Registry(tmp_path_factory.mktemp("registry"))
    registry.start()
    yield registry
    registry.stop()


def ask(url, method="GET", body=None):
    request = urllib.request.Request(url, method=method, headers={"Content-Type": TYPE},
                                     data=json.dumps(body).encode() if body else None)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


class Reader:
    """Reads values as the registry's own clients do: by the id in front, schema from the registry."""

    def __init__(self, registry):
        self.url, self.schemas = registry.url, {}

    def decode(self, data):
        assert data[0] == 0
        head = data[:5]
        if head not in self.schemas:
            number = int.from_bytes(head[1:], "big")
            schema = avro.Schema(ask(f"{self.url}/schemas/ids/{number}")["schema"], 0)
            schema.head = head
            self.schemas[head] = schema
        return self.schemas[head].decode(data)


def records(bootstrap, prefix, table, decode):
    """As envelopes.records gives them, by another decoder."""
    out = []
    for r in topics.read(bootstrap, f"{prefix}.oc10.oc_{table}"):
        e = decode(r["value"]) if r["value"] is not None else {"op": None}
        for image in ("before", "after"):
            if e.get(image) is not None:
                e[image] = {name: v for i, (name, v) in enumerate(e[image].items())
                            if e[image + "_present"] >> i & 1}
        if e["op"]:
            e["seq"] = (e["seq_epoch"], e["seq_counter"], e["part"])
        out.append({**e, "key": r["key"], "partition": r["partition"], "headers": r["headers"]})
    return out


def test_a_working_day_arrives_with_the_registry_and_without_it_in_turn(new_world, registry):
    world = new_world(sets={"registry.url": f"http://127.0.0.1:1, {registry.url}/"})
    bootstrap, reader = world.bed.kafka.bootstrap, Reader(registry)
    world.work.populate(3, actions=20)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.work.run(actions=40)
    world.drained(90)
    world.assert_equal()
    subjects = ask(f"{registry.url}/subjects")
    names = [n for n in topics.names(bootstrap)
             if n.startswith((f"{world.prefix}.oc10.", f"{world.prefix}.cs3."))]
    assert {f"{n}-value" for n in names} <= set(subjects)
    for name in names:
        for record in topics.read(bootstrap, name):
            if record["value"] is not None:
                assert reader.decode(record["value"])
    state = envelopes.state_of(records(bootstrap, world.prefix, "filecache", reader.decode))
    assert {k: (v["path"], v["size"], v["etag"]) for k, v in state.items()} == {
        row[0]: (row[1], int(row[2]), row[3]) for row in world.bed.mariadb.sql(
            "SELECT fileid, path, size, etag FROM oc_filecache", "owncloud")}
    # the framing may change at any time: readers take both
    world.daemons.stop("capture")
    world.daemons.spawn("capture", "--set", "registry.url=")
    world.daemons.wait_ready("capture")
    world.work.run(actions=20)
    world.drained(90)
    world.assert_equal()
    world.assert_balanced()
    assert world.dead_letters() == []
    firsts = {r["value"][0] for r in world.read("oc10.oc_filecache") if r["value"]}
    assert firsts == {0x00, 0xC3}


def set_rule(registry, subject, schema):
    """A subject that has this schema and lets only what can read it follow."""
    ask(f"{registry.url}/subjects/{subject}/versions", "POST", {"schema": json.dumps(schema)})
    ask(f"{registry.url}/config/{subject}", "PUT", {"compatibility": "BACKWARD"})


def test_a_schema_that_the_rule_refuses_ends_capture_with_the_registry_s_words(new_capture,
                                                                               registry):
    capture = new_capture({"registry.url": registry.url})
    set_rule(registry, f"{capture.prefix}.oc10.oc_share-value", {
        "type": "record", "name": "ShareEnvelope", "namespace": "org.lockstep.oc10",
        "fields": [{"name": "other", "type": "string"}]})
    status, text = capture.site.lockstep("check", "--kafka")
    assert status == 3 and "the registry would refuse our schema" in " ".join(text.split()), text
    status, lines = capture.run()
    assert status == KAFKA_REFUSES
    error = last_error(lines)
    assert error["cause"] == "registry-incompatible"
    assert "oc_share-value" in error["message"] and "ncompatible" in error["message"]
    assert capture.rows("filecache") == []


def test_a_schema_that_can_read_the_older_one_is_registered_beside_it(new_capture, registry):
    capture = new_capture({"registry.url": registry.url})
    subject = f"{capture.prefix}.oc10.oc_share-value"
    schema, _ = envelopes.schema("share")
    older = {**schema, "fields": [f for f in schema["fields"] if f["name"] != "moved_from"]}
    assert len(older["fields"]) == len(schema["fields"]) - 1
    set_rule(registry, subject, older)

    def checked(*args):
        status, text = capture.site.lockstep("check", "--kafka", *args)
        return status, " ".join(text.split())
    text = checked()[1]
    assert "the schema registry knows 0 of " in text and ", and would take the others" in text, text
    assert ask(f"{registry.url}/subjects/{subject}/versions") == [1]
    capture.start()
    assert ask(f"{registry.url}/subjects/{subject}/versions") == [1, 2]
    known, every = map(int, re.search(r"the schema registry knows (\d+) of (\d+) schemas", checked()[1]).groups())
    assert 0 < known < every  # transform's are still to come
    status, text = checked("--set", f"registry.url=http://127.0.0.1:{free_port()}")
    assert status == 3 and "cannot be asked" in text and "check [registry] url and ca" in text, text


class Door(http.server.BaseHTTPRequestHandler):
    """Hands requests through to a registry."""

    target = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = urllib.request.Request(self.target + self.path, method="POST", data=body,
                                         headers={"Content-Type": TYPE})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as e:
            status, text = e.code, e.read()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def test_a_registry_that_is_away_keeps_capture_waiting_and_costs_no_row(new_capture, registry):
    port = free_port()
    capture = new_capture({"registry.url": f"http://127.0.0.1:{port}"})
    insert(capture, 1, 5, storage=1)
    capture.site.spawn("capture")
    wait_until(lambda: "registry" in capture.site.get("capture", "/readyz")[1], 60, "/readyz")
    assert capture.site.get("capture", "/readyz")[0] == 503
    assert capture.rows("filecache") == []
    Door.target = registry.url
    door = http.server.ThreadingHTTPServer(("127.0.0.1", port), Door)
    thread = threading.Thread(target=door.serve_forever)
    thread.start()
    try:
        capture.site.wait_ready("capture", 60)
    finally:
        door.shutdown()
        door.server_close()
        thread.join()
    capture.site.wait_snapshot(60)
    # away again: what was asked once is known
    insert(capture, 6, 6, storage=1)
    capture.sql("UPDATE oc_filecache SET storage = 2 WHERE fileid = 6;"
                "DELETE FROM oc_filecache WHERE fileid = 5")
    status = capture.drain()
    assert status["balance"] == 0
    decode = Reader(registry).decode
    read = records(capture.bootstrap, capture.prefix, "filecache", decode)
    gone, come = [r for r in read if r["key"] == "6" and r["op"] in ("d", "u")]
    assert (gone["moved_to"], come["moved_from"]) == (2, 1)
    assert gone["seq"][:2] == come["seq"][:2]
    tombstones = [r for r in read if r["op"] is None]
    assert [(t["key"], t["headers"]["seq"]) for t in tombstones] == [
        (d["key"], ".".join(map(str, d["seq"]))) for d in read if d["op"] == "d"]
    assert {r["partition"] for r in read if r["op"] == "h"} == {0, 1, 2, 3}
    assert sorted(map(int, envelopes.state_of(read))) == [1, 2, 3, 4, 6]


def test_a_registry_behind_tls_must_have_a_certificate_of_the_right_authority(new_capture, registry,
                                                                             tmp_path):
    certificates = Certificates(tmp_path / "certificates")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.server, certificates.server.with_suffix(".key"))
    Door.target = registry.url
    door = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    door.socket = tls.wrap_socket(door.socket, server_side=True)
    thread = threading.Thread(target=door.serve_forever)
    thread.start()
    try:
        port = door.server_address[1]
        capture = new_capture({"registry.url": f"https://127.0.0.1:{port}",
                               "registry.ca": certificates.other_ca})
        capture.site.spawn("capture")
        wait_until(lambda: "certificate" in capture.site.get("capture", "/readyz")[1], 60, "/readyz")
        capture.stop()
        capture.start("--set", f"registry.ca={certificates.ca}", snapshot=False)
        insert(capture, 1, 5, storage=1)
        capture.drain()
        assert capture.stop() == 0
        # a name that is not in it
        capture.site.spawn("capture", "--set", f"registry.ca={certificates.ca}",
                           "--set", f"registry.url=https://localhost:{port}")
        wait_until(lambda: "localhost" in capture.site.get("capture", "/readyz")[1], 60, "/readyz")
        assert capture.stop() == 0
    finally:
        door.shutdown()
        door.server_close()
        thread.join()
    assert len(ask(f"{registry.url}/subjects/{capture.prefix}.oc10.oc_share-value/versions")) == 1
    read = records(capture.bootstrap, capture.prefix, "filecache", Reader(registry).decode)
    assert sorted(map(int, envelopes.state_of(read))) == [1, 2, 3, 4, 5]
