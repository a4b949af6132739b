"""The tree of one storage: spaces, nodes, permissions, trash.

Everything is in memory behind one lock. A node is found by space and id; ids are made here,
whatever the caller would like. What can go wrong is what goes wrong in the real store, which
keeps a node as a file and a name as a link in its parent's folder:
  - a name is a link: over 255 bytes it cannot even be looked up, that is INTERNAL, not a refusal;
  - a deleted folder keeps its children under their ids, and they cannot be reached any more;
  - deleting the root of a space half succeeds and breaks the space for good;
  - moving a folder below itself makes a circle, and the server hangs in it;
  - checks and changes are not one step: `window` is the time in between (seconds), in which
    concurrent TouchFile and AddGrant calls on one node undo each other.
Uploads and versions are in uploads.py.
"""
import threading
import time
import uuid

import cs3.storage.provider.v1beta1.resources_pb2 as resources
import values
from errors import AlreadyExists, BadRequest, Locked, NotFound, NotSupported, PermissionDenied, \
    PreconditionFailed, SimError, TooEarly
from grants import expired

FILE = resources.RESOURCE_TYPE_FILE
FOLDER = resources.RESOURCE_TYPE_CONTAINER
FAVORITE = "http://owncloud.org/ns/favorite"


class User:
    """Who calls: a person with groups, or a service account."""

    def __init__(self, uid, name="", groups=(), service=False):
        self.uid, self.name, self.groups, self.service = uid, name, frozenset(groups), service


class Node:
    __slots__ = ("id", "space", "parent", "name", "folder", "mtime", "tmtime", "tmp_etag", "blob",
                 "size", "sums", "versions", "processing", "grants", "metadata", "favorites",
                 "children", "treesize", "trashed", "held", "landing")

    def __init__(self, space, parent, name, folder):
        self.id = str(uuid.uuid4())
        self.space, self.parent, self.name, self.folder = space, parent, name, folder
        self.mtime = values.now_ns()
        self.tmtime = None  # set by propagation; wins over mtime
        self.tmp_etag = ""
        self.blob, self.size, self.sums = None, 0, None
        self.versions = {}  # mtime -> (blob, size, sums)
        self.processing = None  # id of the upload session that is not ready yet
        self.grants = {}  # "u:<id>" or "g:<id>" -> Grant message
        self.metadata, self.favorites = {}, {}
        self.children = {} if folder else None
        self.treesize = 0
        self.trashed = None
        self.held = None  # Lock message
        self.landing = None  # id of the upload session whose content is not at its place yet

    def time(self):
        return self.mtime if self.tmtime is None else self.tmtime

    def etag(self):
        if self.tmp_etag:
            return '"%s"' % self.tmp_etag.encode().hex()
        return values.etag(self.id, self.time())

    def weight(self):
        return self.treesize if self.folder else self.size


class Place:
    """What a reference leads to: a node, or a free name in a folder that may not be there."""

    def __init__(self, space, node=None, parent=None, name=""):
        self.space, self.node, self.parent, self.name = space, node, parent, name

    def missing(self):
        return NotFound(values.joined(self.parent or "", self.name))


class Space:
    def __init__(self, sid, kind, owner, name):
        self.id, self.kind, self.owner, self.name = sid, kind, owner, name
        self.quota = None
        self.broken = False
        self.nodes = {}
        self.trash = {}  # node id -> Trashed
        self.root = Node(self, None, name, True)
        self.root.id = sid
        self.nodes[sid] = self.root
        self.alias = ""


class Trashed:
    def __init__(self, node, origin):
        self.node, self.origin, self.time = node, origin, values.now_ns()


class Store:
    def __init__(self, storage_id, window=0.001):
        self.storage_id = storage_id
        self.lock = threading.RLock()
        self.window = window
        self.max_quota = 0  # of any space, in bytes; 0: no limit
        self.room = None    # what the driver says that the storage has left; None: nothing
        self.spaces = {}

    def add_space(self, kind, owner, name, sid=None):
        with self.lock:
            sid = sid or str(uuid.uuid4())
            if sid in self.spaces:
                raise AlreadyExists("")
            space = self.spaces[sid] = Space(sid, kind, owner, name)
            return space

    # ---- finding
    def find_id(self, rid):
        space = self.spaces.get(rid.space_id)
        if space is None:
            if not rid.space_id:
                raise SimError("node.Xattr spaces/nodes user.ocis.name: no data available")
            return Place(None)
        if space.broken:
            raise SimError("node.Xattr spaces/%s user.ocis.name: no data available" % space.id)
        if rid.opaque_id in ("", space.id):
            return Place(space, space.root)
        wanted = rid.opaque_id.split(".REV.")[0]
        node = space.nodes.get(wanted)
        if node is None or node.trashed:
            return Place(space)
        return Place(space, node, node.parent.id, node.name)

    def find(self, ref):
        if not ref.HasField("resource_id"):
            raise SimError('invalid reference path:"%s". resource_id must be set' % ref.path)
        place = self.find_id(ref.resource_id)
        path = values.clean(ref.path)
        if path in (".", "/"):
            return place
        segments = path.strip("/").split("/")
        for i, name in enumerate(segments):
            place = self.child(place, name, ref.resource_id.opaque_id)
            if place.node is None and i < len(segments) - 1:
                raise NotFound(name)
        return place

    def child(self, place, name, opaque_id):
        if len(name.encode()) > 255:
            raise SimError("decomposedfs: Wrap: readlink error: readlink %s: file name too long"
                           % name)
        if name == ".." or "\0" in name:
            raise SimError("decomposedfs: Wrap: readlink error: readlink %s: invalid argument"
                           % name.replace("\0", ""))
        folder = place.node
        if folder is None:
            return Place(place.space, None, opaque_id or None, name)
        if not folder.folder or name not in folder.children:
            return Place(place.space, None, folder.id, name)
        return Place(place.space, folder.children[name], folder.id, name)

    def parent_node(self, place):
        """The folder of a place, None when it is not there (deleted meanwhile)."""
        if place.parent is None:
            raise SimError("decomposedfs: root has no parent")
        node = place.space.nodes.get(place.parent)
        return None if node is None or node.trashed else node

    def path(self, node):
        names = []
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return "/" + "/".join(reversed(names))

    # ---- permissions
    def permissions(self, user, space, node, trash=False):
        if user.service:
            return values.SERVICE
        if user.uid == space.owner and not self.hidden(node, trash):
            return values.OWNER
        names = set()
        while node is not None:
            if node.trashed and not trash:
                raise NotFound(node.id)
            granted = self.granted(user, node)
            if granted is None:
                return values.NOBODY
            names |= granted
            node = node.parent
        return frozenset(names)

    def hidden(self, node, trash):
        """Below a deleted folder nobody reaches a node, its owner neither."""
        if trash or node is None:
            return False
        below = node
        while below is not None:
            if below.trashed:
                raise NotFound(node.id)
            below = below.parent
        return False

    def granted(self, user, node):
        """What the node's own grants give; None: denied."""
        names = set()
        keys = ["u:" + user.uid] + ["g:" + g for g in user.groups]
        for key in keys:
            grant = node.grants.get(key)
            if grant is None:
                continue
            if expired(grant):
                continue
            some = values.permission_names(grant.permissions)
            if not some:
                return None
            names |= some
        return names

    def need(self, user, place, name, about, node=None):
        """The permission, or the error: who cannot even see a thing is told it is not there."""
        node = node or place.node or self.parent_node(place)
        have = self.permissions(user, place.space, node)
        if name in have:
            return have
        raise PermissionDenied(about) if "stat" in have else NotFound(about)

    def existing(self, user, ref, permission):
        place = self.find(ref)
        if place.node is None:
            raise place.missing()
        return place.node, self.need(user, place, permission, values.ref_text(ref))

    def unlocked(self, node):
        if node.held is not None:
            raise Locked(node.held.lock_id)

    # ---- changing
    def propagate(self, node, diff=0):
        stamp = values.now_ns()
        seen = 0
        node = node.parent
        while node is not None:
            if node.tmtime is None or node.time() < stamp:
                node.tmtime = stamp
            node.tmp_etag = ""
            node.treesize = max(0, node.treesize + diff)
            node = node.parent
            seen += 1
            if seen > 10000:
                raise SimError("error propagating")

    def link(self, node, parent, name):
        node.parent, node.name = parent, name
        parent.children[name] = node

    def create_folder(self, user, ref):
        name = values.base(ref.path)
        if name in ("", ".", "/"):
            raise BadRequest("Invalid path: " + ref.path)
        above = resources.Reference(resource_id=ref.resource_id, path=values.parent_of(ref.path))
        with self.lock:
            try:
                parent = self.find(above)
            except NotFound as e:
                raise PreconditionFailed("error: not found: " + e.text)
            if parent.node is None:
                raise PreconditionFailed(above.path)
            self.need(user, parent, "create_container", values.ref_text(ref))
            place = self.child(parent, name, ref.resource_id.opaque_id)
            if place.node is not None:
                raise AlreadyExists(ref.path)
            if not parent.node.folder:
                raise SimError("symlink %s: not a directory" % name)
            node = Node(parent.space, parent.node, name, True)
            parent.space.nodes[node.id] = node
            self.link(node, parent.node, name)
            self.propagate(node)
            return node

    def touch(self, user, ref, mtime):
        above = resources.Reference(resource_id=ref.resource_id, path=values.parent_of(ref.path))
        with self.lock:
            try:
                parent = self.find(above)
                if parent.node is None:
                    raise NotFound(above.path)
                place = self.find(ref)
            except NotFound as e:
                if e.text == above.path:
                    raise
                raise SimError("internal error: error: not found: " + e.text)
            self.need(user, place, "initiate_file_upload", values.ref_text(ref),
                      place.node or parent.node)
            if place.node is not None:
                raise AlreadyExists(place.node.id)
            node = Node(parent.space, parent.node, place.name, False)
        time.sleep(self.window)  # not exclusive: the link of another call is replaced
        with self.lock:
            if mtime:
                node.mtime, good = values.read_time(mtime)
                if not good:
                    raise SimError("Decomposedfs: could not set mtime: strconv.ParseInt: parsing "
                                   '"%s": invalid syntax' % mtime)
            parent.space.nodes[node.id] = node
            self.link(node, parent.node, node.name)
            self.propagate(node)

    def move(self, user, source, target):
        with self.lock:
            node, _ = self.existing(user, source, "move")
            place = self.find(target)
            self.unlocked(node)
            if place.node is not None:
                raise AlreadyExists(values.joined(place.parent or "", place.node.name))
            if place.space is None:
                raise NotFound(values.ref_text(target))
            folder = self.parent_node(place)
            if folder is None:
                raise NotFound("")
            about = "create_container" if node.folder else "initiate_file_upload"
            self.need(user, place, about, values.ref_text(target), folder)
            if place.space is not node.space:
                raise NotSupported("cannot move across spaces")
            if not folder.folder:
                raise SimError("Decomposedfs: could not move child: rename: not a directory")
            above = folder
            while above is not None:
                if above is node:
                    return "circle"
                above = above.parent
            old = node.parent
            del old.children[node.name]
            if old is folder:
                self.link(node, folder, place.name)
                self.propagate(node)
                return None
            self.propagate(node, -node.weight())
            self.link(node, folder, place.name)
            self.propagate(node, node.weight())
        return None

    def delete(self, user, ref):
        with self.lock:
            place = self.find(ref)
            if place.node is None:
                raise place.missing()
            self.need(user, place, "stat", values.ref_text(ref))
            if place.node.processing:
                raise TooEarly("file is processing")
            node, _ = self.existing(user, ref, "delete")
            self.unlocked(node)
            if node.parent is None:
                node.space.broken = True
                raise SimError("remove nodes/%s: no such file or directory" % node.name)
            node.trashed = Trashed(node, self.path(node))
            node.space.trash[node.id] = node.trashed
            del node.parent.children[node.name]
            self.propagate(node, -node.weight())
            return node

    def set_metadata(self, user, ref, pairs):
        with self.lock:
            try:
                self.find(ref)
            except SimError as e:
                raise SimError("Decomposedfs: error resolving ref: " + e.text)
            node, _ = self.existing(user, ref, "initiate_file_upload")
            self.unlocked(node)
            pairs = dict(pairs)
            failed = []
            if "mtime" in pairs:
                text = pairs.pop("mtime")
                stamp, good = values.read_time(text)
                if good:
                    node.mtime = stamp
                else:
                    failed.append('could not set mtime: strconv.ParseInt: parsing "%s": invalid '
                                  "syntax" % text)
            if "etag" in pairs:  # shown as hex of the quoted value, and it stays on a file
                value = '"%s"' % pairs.pop("etag").strip('"')
                if value != values.etag(node.id, node.time()):
                    node.tmp_etag = value
            if FAVORITE in pairs:
                node.favorites[user.uid] = pairs.pop(FAVORITE)
            node.metadata.update(pairs)
            if failed:
                raise SimError(failed[0])
            self.propagate(node)

    def unset_metadata(self, user, ref, keys):
        with self.lock:
            node, _ = self.existing(user, ref, "initiate_file_upload")
            for key in keys:
                if key == FAVORITE:
                    node.favorites.pop(user.uid, None)
                else:
                    node.metadata.pop(key, None)
            self.propagate(node)
