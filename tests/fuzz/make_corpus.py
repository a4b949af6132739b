"""
Makes the corpora from what the unit tests have recorded of real servers.

    python3 tests/fuzz/make_corpus.py

Writes tests/fuzz/corpus/<target>/<name>, files of a fixed name for each source; what stands there
under another name (inputs that once broke a promise: found-*) stays. Large events are left out, and
of two that differ in times and places alone only the first is taken.
"""

import hashlib
import json
import struct
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CORPUS = HERE / "corpus"
DATA = ROOT / "tests/unit/capture/data"
HEADER, CHECKSUM = 19, 4
LARGEST = 4000

QUERY, ROTATE, FORMAT, TABLE_MAP, PAYLOAD = 2, 4, 15, 19, 40
STEERING = {4, 15, 16, 27, 33, 34, 35, 38, 41, 162, 163}
ROWS = set(range(23, 26)) | {30, 31, 32, 39}
PACKED = set(range(165, 172)) | {PAYLOAD}
LS_TABLES = ["filecache", "share", "storages", "mimetypes", "share_external", "trusted_servers",
             "accounts", "users", "groups", "group_user", "ldap_user_mapping",
             "ldap_group_mapping", "files_trash", "properties",
             "vcategory", "vcategory_to_object", "systemtag", "systemtag_object_mapping", "preferences"]
CS3 = ["resource", "space", "person", "share", "annotation"]
seen = set()


def put(target, name, content, same=None):
    """One input, unless one like it (`same`: what is compared) is there already."""
    digest = (target, hashlib.sha256(same or content).digest())
    if len(content) > LARGEST or digest in seen:
        return
    seen.add(digest)
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


def events(raw):
    at = 0
    while at < len(raw):
        size = struct.unpack_from("<I", raw, at + 9)[0]
        yield raw[at:at + size]
        at += size


def plain_payload(event):
    """A payload with its events as they are, so that the fuzzer sees through it."""
    at, fields = HEADER, {}
    while event[at]:
        n = event[at + 1]
        fields[event[at]] = event[at + 2:at + 2 + n]
        at += 2 + n
    packed = event[at + 1:-CHECKSUM]
    content = subprocess.run(["zstd", "-dcq"], input=packed, stdout=subprocess.PIPE,
                             check=True).stdout
    size = struct.pack("<BH", 252, len(content))
    body = b"\x01" + bytes([len(size)]) + size + b"\x02\x03\xfc\xff\x00\x00"
    return event[:HEADER] + body + content + b"\0\0\0\0"


def from_recording(path):
    stem, raw = path.stem, path.read_bytes()
    mysql = "mysql" in stem
    how = bytes([(0 if "unsummed" in stem else 1) | (2 if mysql else 0)])
    put("stream", stem, how + raw)
    last_map = None
    for i, event in enumerate(events(raw)):
        kind = event[4]
        name, body = f"{stem}-{i:02}", event[HEADER:-CHECKSUM]
        if kind in STEERING:
            put("event", name, how + event, bytes([kind, mysql, len(body)]))
        elif kind == TABLE_MAP:
            last_map = event
            put("table_map", name, how + event, body[6:])
        elif kind == QUERY:
            put("query", name, how[:1] + event, body[13:])
        if kind in ROWS and last_map:
            put("rows", name, how + last_map + event, last_map[25:-4] + bytes([kind]) + body[8:])
        if kind in PACKED:
            put("payload", name, how + event, body)
        if kind in PACKED - {165, PAYLOAD} and last_map:
            put("rows", name, how + last_map + event)
        if kind == 165:
            put("query", name, how + event)
        if kind == PAYLOAD:
            put("payload", name + "-plain", how + plain_payload(event))


def main():
    for path in sorted(DATA.glob("*.events")):
        from_recording(path)
    for i, text in enumerate((HERE / "seeds" / "statements.txt").read_bytes().splitlines()):
        put("query", f"text-{i:02}", b"\x02" + text)
    for i, text in enumerate((HERE / "seeds" / "gtids.txt").read_bytes().splitlines()):
        put("gtid", f"text-{i:02}", text)
    for i, text in enumerate((HERE / "seeds" / "positions.txt").read_bytes().splitlines()):
        put("position", f"text-{i:02}", text)
        json.loads(text)
    for i, text in enumerate((HERE / "seeds" / "controls.txt").read_bytes().splitlines()):
        put("control", f"text-{i:02}", bytes([int(text[:1])]) + text[2:])
    for path in sorted(DATA.glob("*.columns")):
        put("schema_parse", path.stem, path.read_bytes())
    put("schema_parse", "none", b"{}")
    for path in sorted((ROOT / "schemas/golden").glob("*.bin")):
        kind, name = path.stem.split("-")[:2]
        which = LS_TABLES.index(name) if kind == "oc10" else len(LS_TABLES) + CS3.index(name)
        put("envelope", path.stem, bytes([which]) + path.read_bytes())
    total = sum(p.stat().st_size for p in CORPUS.rglob("*") if p.is_file())
    for folder in sorted(CORPUS.iterdir()):
        print(f"{folder.name:<12}{len(list(folder.iterdir())):>5} files")
    print(f"{total} bytes in all")


if __name__ == "__main__":
    main()
