"""The system storage: the share managers' spaces, as files with compare and swap.

The sharing services below keep what they last read, by its etag, and write from that, like the real
ones, so that another writer (by gRPC and HTTP on the system ports) and they see each other. A
write names the etag it has read; when somebody was faster it fails, and the caller decides
whether to read again. Where a content was just written by another it is not to be read for a
moment (`landing`): the share manager that has lost a race and reads again at that moment gives up.
Messages are stored as Go's encoding/json writes them: snake case, enums
as numbers, a oneof as {"Id": {"UserId": {...}}}.
"""
import json
import threading
from collections import defaultdict

import cs3.storage.provider.v1beta1.resources_pb2 as resources
import values
from errors import Aborted, ManagerFailed, PreconditionFailed
from store import Node, Store, User
from uploads import Body, Uploads

SHARES = "jsoncs3-share-manager-metadata"
LINKS = "jsoncs3-public-share-manager-metadata"


class Conflict(Exception):
    """The file has changed since it was read."""


class Files:
    def __init__(self, system_user_id, storage_id):
        self.store = Store(storage_id)
        self.uploads = Uploads(self.store, lands=True)
        self.user = User(system_user_id, "system")
        self.known = {}  # (space, path): etag, text, as the managers have it in memory
        self.locks, self.lock = defaultdict(threading.Lock), threading.Lock()
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

    def hold(self, path):
        """A content that is written to this file of the shares lands when another is named."""
        with self.store.lock:
            self.uploads.held = self._find(SHARES, path) if path else None

    def _find(self, space, path):
        node = self.store.spaces[space].root
        for name in path.split("/"):
            node = node.children.get(name) if node is not None and node.folder else None
        return node

    def _held(self, space, path):
        """Of their own calls one at a time for each file."""
        with self.lock:
            return self.locks[space, path]

    def _sync(self, space, path):
        with self.store.lock:
            node = self._find(space, path)
            if node is None or node.blob is None:
                return
            if self.known.get((space, path), ("",))[0] == node.etag():
                return
            if node.landing:
                raise ManagerFailed("internal error: /data/spaces/%s!%s/%s" % (space, space, path))
            etag, body = node.etag(), node.blob
        self.known[space, path] = etag, body.read().decode()

    def read(self, space, path):
        """(value, etag); (None, "") when there is no such file."""
        with self._held(space, path):
            self._sync(space, path)
            etag, text = self.known.get((space, path), ("", "null"))
            return json.loads(text), etag

    def write(self, space, path, value, etag):
        """The new etag. With etag "": only as a new file."""
        text = json.dumps(value, separators=(",", ":"))
        body = Body(self.uploads.folder)
        body.write(text.encode())
        rid = resources.ResourceId(space_id=space, opaque_id=space)
        ref = resources.Reference(resource_id=rid, path="./" + path)
        with self.store.lock:
            folder = self.store.spaces[space].root
            *names, _ = path.split("/")
            for name in names:  # the server makes missing folders; other writers must do so, too
                folder = folder.children.get(name) or self._folder(folder, name)
            node = self._find(space, path)
            if (node.etag() if node else "") != etag:
                raise Conflict(path)
            session = self.uploads.initiate(self.user, ref, body.size,
                                            {"if-match": etag} if etag else {})
        try:
            if body.size:
                self.uploads.finish(session, body)
        except (Aborted, PreconditionFailed) as e:
            raise Conflict(path) from e
        with self.store.lock:
            return values.etag(session.node_id, session.mtime)

    def change(self, space, path, change, empty, tries=100):
        """Changes what is in memory, writes; reads again when somebody was faster."""
        with self._held(space, path):
            if (space, path) not in self.known:
                self._sync(space, path)
            for _ in range(tries):
                etag, text = self.known.get((space, path), ("", "null"))
                value = json.loads(text)
                value = empty() if value is None else value
                result = change(value)
                try:
                    etag = self.write(space, path, value, etag)
                except Conflict:
                    self._sync(space, path)
                    continue
                self.known[space, path] = etag, json.dumps(value)
                return result
        raise ManagerFailed("could not write %s" % path)


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
