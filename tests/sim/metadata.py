"""The system storage: the share managers' spaces, as files with compare and swap.

The sharing services below keep nothing in memory: they read and write these files like the real
ones, so that another writer (by gRPC and HTTP on the system ports) and they see each other. A
write names the etag it has read; when somebody was faster it fails, and the caller decides
whether to read again. Messages are stored as Go's encoding/json writes them: snake case, enums
as numbers, a oneof as {"Id": {"UserId": {...}}}.
"""
import json

import cs3.storage.provider.v1beta1.resources_pb2 as resources
from errors import Aborted, PreconditionFailed, SimError
from store import Node, Store, User
from uploads import Body, Uploads

SHARES = "jsoncs3-share-manager-metadata"
LINKS = "jsoncs3-public-share-manager-metadata"


class Conflict(Exception):
    """The file has changed since it was read."""


class Files:
    def __init__(self, system_user_id, storage_id):
        self.store = Store(storage_id)
        self.uploads = Uploads(self.store)
        self.user = User(system_user_id, "system")
        self.cache = {}
        for sid in (SHARES, LINKS):
            self.store.add_space("", system_user_id, sid, sid)
        for name in ("storages", "users", "groups"):
            self._folder(self.store.spaces[SHARES].root, name)

    def _folder(self, parent, name):
        node = Node(parent.space, parent, name, True)
        parent.space.nodes[node.id] = node
        self.store.link(node, parent, name)
        self.store.propagate(node)
        return node

    def _find(self, space, path):
        node = self.store.spaces[space].root
        for name in path.split("/"):
            node = node.children.get(name) if node is not None and node.folder else None
        return node

    def read(self, space, path):
        """(value, etag); (None, "") when there is no such file."""
        with self.store.lock:
            node = self._find(space, path)
            if node is None or node.blob is None:
                return None, ""
            etag, body = node.etag(), node.blob
        key = (space, path)
        cached = self.cache.get(key)
        if cached is None or cached[0] != etag:
            cached = self.cache[key] = (etag, body.read().decode())
        return json.loads(cached[1]), etag

    def write(self, space, path, value, etag):
        """With etag "": only as a new file."""
        body = Body(self.uploads.folder)
        body.write(json.dumps(value, separators=(",", ":")).encode())
        with self.store.lock:
            folder = self.store.spaces[space].root
            *names, _ = path.split("/")
            for name in names:  # the server makes missing folders; other writers must do so, too
                folder = folder.children.get(name) or self._folder(folder, name)
            node = self._find(space, path)
            if (node.etag() if node else "") != etag:
                raise Conflict(path)
            rid = resources.ResourceId(space_id=space, opaque_id=space)
            ref = resources.Reference(resource_id=rid, path="./" + path)
            meta = {"if-match": etag} if etag else {}
            try:
                session = self.uploads.initiate(self.user, ref, body.size, meta)
                if body.size:
                    self.uploads.finish(session, body)
            except (Aborted, PreconditionFailed) as e:
                raise Conflict(path) from e

    def change(self, space, path, change, empty, tries=100):
        """Reads, changes in place, writes; reads again when somebody was faster."""
        for _ in range(tries):
            value, etag = self.read(space, path)
            value = empty() if value is None else value
            result = change(value)
            try:
                self.write(space, path, value, etag)
                return result
            except Conflict:
                continue
        raise SimError("could not write %s" % path)


# ---- messages as Go writes them
def to_go(message):
    out = {}
    for field, value in message.ListFields():
        if field.message_type is not None and not field.is_repeated:
            value = to_go(value)
        elif field.is_repeated:
            value = list(value)
        if field.containing_oneof is not None:
            name = "".join(w.capitalize() for w in field.name.split("_"))
            out[field.containing_oneof.name.capitalize()] = {name: value}
        else:
            out[field.name] = value
    return out


def from_go(message, value):
    for field in message.DESCRIPTOR.fields:
        key, found = field.name, value
        if field.containing_oneof is not None:
            found = value.get(field.containing_oneof.name.capitalize()) or {}
            key = "".join(w.capitalize() for w in field.name.split("_"))
        if found.get(key) is None:
            continue
        if field.message_type is not None:
            inner = getattr(message, field.name)
            inner.SetInParent()
            from_go(inner, found[key])
        else:
            setattr(message, field.name, found[key])
    return message
