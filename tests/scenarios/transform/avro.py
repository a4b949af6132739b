"""
Avro single-object encoding of Lockstep's records, written from the schemas alone: what the daemons
send and read is checked by a codec that shares nothing with theirs.
"""

import json
import struct


def _zigzag(n):
    n = (n << 1) ^ (n >> 63)
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


class Schema:
    def __init__(self, text, fingerprint):
        self.schema = json.loads(text)
        self.names = {}
        self.head = b"\xc3\x01" + struct.pack("<Q", fingerprint)
        self.name = self.schema["name"]
        self._learn(self.schema)

    def _learn(self, s):
        if isinstance(s, list):
            for branch in s:
                self._learn(branch)
        elif isinstance(s, dict):
            if "name" in s and s["type"] in ("record", "enum"):
                space = self.schema.get("namespace", "")
                self.names[s["name"]] = self.names[f"{space}.{s['name']}"] = s
            for field in s.get("fields", []):
                self._learn(field["type"])

    def encode(self, value):
        return self.head + self._put(self.schema, value)

    def _put(self, s, v):
        if isinstance(s, str) and s in self.names:
            s = self.names[s]
        if isinstance(s, list):
            if v is None:
                return _zigzag(s.index("null"))
            i = next(i for i, b in enumerate(s) if b != "null")
            return _zigzag(i) + self._put(s[i], v)
        kind = s["type"] if isinstance(s, dict) else s
        if kind == "record":
            return b"".join(self._put(f["type"], v.get(f["name"], f.get("default")))
                            for f in s["fields"])
        if kind == "enum":
            return _zigzag(s["symbols"].index(v))
        if kind in ("int", "long"):
            return _zigzag(v)
        if kind == "boolean":
            return b"\1" if v else b"\0"
        if kind == "string":
            return _zigzag(len(v.encode())) + v.encode()
        raise ValueError(kind)

    def decode(self, data):
        assert data[:len(self.head)] == self.head, "another schema"
        self.data, self.at = data, len(self.head)
        value = self._take(self.schema)
        assert self.at == len(data), "bytes left over"
        return value

    def _long(self):
        n = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return (n >> 1) ^ -(n & 1)

    def _take(self, s):
        if isinstance(s, str) and s in self.names:
            s = self.names[s]
        if isinstance(s, list):
            branch = s[self._long()]
            return None if branch == "null" else self._take(branch)
        kind = s["type"] if isinstance(s, dict) else s
        if kind == "record":
            return {f["name"]: self._take(f["type"]) for f in s["fields"]}
        if kind == "enum":
            return s["symbols"][self._long()]
        if kind in ("int", "long"):
            return self._long()
        if kind == "boolean":
            self.at += 1
            return self.data[self.at - 1] == 1
        if kind == "string":
            n = self._long()
            self.at += n
            return self.data[self.at - n:self.at].decode()
        raise ValueError(kind)
