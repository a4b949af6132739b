"""Content: upload sessions, versions, postprocessing, downloads.

An upload is two steps. `initiate` makes a session (two files in the real server's uploads
folder, which stay for ever when no PUT follows: `left_over` counts them); `finish` turns the
received bytes into the node. Between the two anything may have happened to the tree, and what
the second step answers then is what the real server answers: 412 for a name taken meanwhile,
500 for a parent that is gone.

With asynchronous uploads the node is visible at once but "processing" until a worker has taken
its turn; `pace` files a second, 0 stops the worker.
"""
import atexit
import hashlib
import os
import re
import shutil
import tempfile
import threading
import time
import uuid
import zlib

import values
from errors import Aborted, BadRequest, ChecksumMismatch, InsufficientStorage, NotFound, \
    PermissionDenied, PreconditionFailed, SimError, TooEarly
from store import Node, Place

YEAR_10000 = 253402300800 * values.SECOND  # a time the real server cannot read back
YEAR_1 = -62135596800 * values.SECOND  # taken for "no time given"
# a piece of a file, as clients of long ago sent them: it waits for the others for ever
CHUNK = re.compile(r"-chunking-\w+-[0-9]+-[0-9]+$", re.ASCII)
SMALL = 256 * 1024  # larger blobs go to files


class Body:
    """Received bytes: in memory while small, in a file when not; hashed on the way."""

    def __init__(self, folder):
        self.folder, self.parts, self.file, self.size = folder, [], None, 0
        self.sha1, self.md5, self.adler = hashlib.sha1(), hashlib.md5(), 1

    def write(self, data):
        self.sha1.update(data)
        self.md5.update(data)
        self.adler = zlib.adler32(data, self.adler)
        self.size += len(data)
        if self.file is None and self.size > SMALL:
            fd, self.file = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(fd, "wb") as f:
                f.write(b"".join(self.parts))
            self.parts = []
        if self.file is None:
            self.parts.append(data)
        else:
            with open(self.file, "ab") as f:
                f.write(data)

    def __deepcopy__(self, memo):
        return self  # received bytes never change

    def sums(self):
        return {"sha1": self.sha1.hexdigest(), "md5": self.md5.hexdigest(),
                "adler32": "%08x" % self.adler}

    def read(self, start=0, length=None):
        length = self.size - start if length is None else length
        if self.file is None:
            return b"".join(self.parts)[start:start + length]
        with open(self.file, "rb") as f:
            f.seek(start)
            return f.read(length)


class Session:
    def __init__(self, user, place, length, meta):
        self.id = str(uuid.uuid4())
        self.user, self.place, self.length, self.meta = user, place, length, meta
        self.node_id = place.node.id if place.node else str(uuid.uuid4())
        self.exists = place.node is not None
        self.body = None
        self.chunk = False
        self.mtime = None
        self.used = False


class Uploads:
    def __init__(self, store, asynchronous=False, pace=100.0, lands=False):
        self.store, self.lands = store, lands
        self.held = None  # a node whose content does not get to its place until this is another
        self.folder = tempfile.mkdtemp(prefix="sim-blobs-")
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.sessions = {}
        self.asynchronous, self.pace = asynchronous, pace
        self.queue = []
        self.worker = threading.Thread(target=self._work, daemon=True)
        self.worker.start()

    def left_over(self):
        with self.store.lock:
            return len(self.sessions)

    # ---- first step
    def initiate(self, user, ref, length, meta):
        store = self.store
        with store.lock:
            try:
                place = store.find(ref)
            except NotFound as e:
                raise PreconditionFailed("error: not found: " + e.text)
            if place.space is None:  # an unknown space is told from a full one by nothing
                raise InsufficientStorage("disk full")
            if place.node is None and place.parent is None:
                raise SimError("decomposedfs: root has no parent")
            parent = store.parent_node(place) if place.parent else None
            if place.parent and parent is None:
                raise SimError("decomposedfs: root has no parent")
            session = Session(user, place, length, dict(meta))
            session.chunk = bool(CHUNK.search(ref.path))
            check = meta.get("checksum")
            if check is not None:
                kind, space, _ = check.partition(" ")
                if not space:
                    raise BadRequest("invalid checksum format. must be '[algorithm] [checksum]'")
                if kind not in ("sha1", "md5", "adler32"):
                    raise BadRequest("unsupported checksum algorithm: " + kind)
            if meta.get("mtime") not in (None, "null"):
                session.mtime = values.read_time(meta["mtime"])[0]
            if session.mtime in (None, YEAR_1):
                session.mtime = values.now_ns()
            old = place.node.size if place.node else 0
            self._quota(place.space, old, length)
            if place.node is not None and place.node.parent is None:
                raise SimError("Decomposedfs: error getting parent : root has no parent")
            have = store.permissions(user, place.space, place.node or parent)
            if "initiate_file_upload" not in have:
                raise PermissionDenied("")
            if place.node is not None and place.node.folder:
                raise PreconditionFailed("resource is not a file")
            if place.node is not None:
                store.unlocked(place.node)
            self.sessions[session.id] = session
        if length == 0:  # finished here; a PUT to it gives 400
            self.finish(session, Body(self.folder))
        return session

    def _quota(self, space, old, new):
        if space.quota is not None and space.root.treesize - old + new > space.quota:
            raise InsufficientStorage("quota exceeded")

    # ---- second step
    def finish(self, session, body):
        """The node's id and etag and time. Raises what the data server turns into a status."""
        store = self.store
        with store.lock:
            check = session.meta.get("checksum")
            if check:
                kind, _, wanted = check.partition(" ")
                if body.sums()[kind] != wanted:
                    self.sessions.pop(session.id, None)
                    raise ChecksumMismatch("invalid checksum")
            space = session.place.space
            if session.exists:
                node, diff = self._overwrite(session, space)
            else:
                node, diff = self._create(session, space)
            node.blob, node.size, node.sums = body, session.length, body.sums()
            node.mtime = session.mtime
            node.processing = None
            if self.asynchronous and session.length > 0:
                node.processing = session.id
                self.queue.append((session.id, node))
            else:
                self.sessions.pop(session.id, None)
            node.landing = session.id if self.lands else None
            store.propagate(node, diff)
        if self.lands:  # it has its new etag now, and whoever reads it finds nothing
            start = time.monotonic()
            while time.monotonic() < start + store.window or self.held is node:
                time.sleep(store.window)
            with store.lock:
                if node.landing == session.id:
                    node.landing = None
        return node

    def _overwrite(self, session, space):
        node = space.nodes.get(session.node_id)
        if node is None or node.trashed:
            raise SimError("no such node")
        if node.mtime >= YEAR_10000:
            raise SimError("parsing time: month out of range")
        self._quota(space, node.size, session.length)
        wanted = session.meta.get("if-match")
        if wanted and wanted != values.etag(node.id, node.mtime):
            raise Aborted("etag mismatch")
        old = node.versions.get(node.mtime)
        if old is not None and old[2] != node.sums:
            raise SimError("checksum mismatch")  # the third content with one mtime
        node.versions[node.mtime] = (node.blob, node.size, node.sums)
        return node, session.length - node.size

    def _create(self, session, space):
        parent = space.nodes.get(session.place.parent)
        if parent is None or parent.trashed or not parent.folder:
            raise SimError("could not symlink child entry")
        self._quota(space, 0, session.length)
        name = session.place.name
        if name in parent.children:
            raise Aborted("already exists: " + name)
        node = Node(space, parent, name, False)
        node.id = session.node_id
        space.nodes[node.id] = node
        self.store.link(node, parent, name)
        return node, session.length

    # ---- postprocessing
    def backlog(self):
        with self.store.lock:
            return len(self.queue)

    def _work(self):
        while True:
            pace = self.pace if self.queue else 0
            time.sleep(1.0 / pace if pace > 0 else 0.02)
            if pace <= 0 or self.pace <= 0 or not self.queue:
                continue
            with self.store.lock:
                sid, node = self.queue.pop(0)
                self.sessions.pop(sid, None)
                if node.processing == sid:
                    node.processing = None

    # ---- reading
    def download(self, user, place, key, about):
        """(body, size, etag, time, node) of a node, or of a version when the key names one."""
        store = self.store
        with store.lock:
            if place.node is None:
                raise place.missing()
            node = place.node
            have = store.need(user, place, "initiate_file_download", about)
            if ".REV." not in key:
                if node.processing:
                    raise TooEarly(node.id)
                if node.landing:
                    raise SimError("could not read blob")
                return node.blob, node.size, node.etag(), node.time(), node
            if "list_file_versions" not in have:
                raise PermissionDenied(about)
            for stamp, (blob, size, _) in node.versions.items():
                if key == node.id + ".REV." + values.rfc3339nano(stamp):
                    return blob, size, values.etag(node.id, stamp), stamp, node
            raise SimError("could not read blob id and size for revision")

    def versions(self, user, ref):
        with self.store.lock:
            node, _ = self.store.existing(user, ref, "list_file_versions")
            return node, sorted(node.versions.items(), reverse=True)

    def restore_version(self, user, ref, key):
        with self.store.lock:
            node_id, mark, _ = key.partition(".REV.")
            if not mark:
                raise NotFound(key)
            node, _ = self.store.existing(user, ref, "restore_file_version")
            for stamp, (blob, size, sums) in node.versions.items():
                if key == node.id + ".REV." + values.rfc3339nano(stamp):
                    break
            else:
                raise SimError("lstat %s: no such file or directory" % key)
            old = node.size
            node.versions[node.mtime] = (node.blob, node.size, node.sums)
            node.blob, node.size, node.sums = blob, size, sums
            node.mtime = values.now_ns()
            del node.versions[stamp]
            self.store.propagate(node, node.size - old)


def place_of(node):
    return Place(node.space, node, node.parent.id if node.parent else None, node.name)
