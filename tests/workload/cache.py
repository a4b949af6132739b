"""
ownCloud 10's file cache: how its classes Cache, Updater and Propagator change oc_filecache.

The tree is kept in memory as well (Node), so that an action knows what it works on; each method
writes what ownCloud writes, statement by statement and transaction by transaction, and then does
the same to the Nodes. Statements are the same kind as ownCloud's: a folder's descendants change
in one UPDATE with REPLACE(), the folder itself comes last; every other statement is a transaction
of its own. A wrong guess here would make a workload that no ownCloud ever wrote, so the order and
the values follow recorded traffic.
"""

import hashlib
import time

FOLDER = "httpd/unix-directory"
OCTETS = "application/octet-stream"
TYPES = {"txt": "text/plain", "md": "text/markdown", "pdf": "application/pdf",
         "jpg": "image/jpeg", "png": "image/png", "odt": "application/vnd.oasis.opendocument.text",
         "zip": "application/zip", "csv": "text/csv"}


class Node:
    """One row of oc_filecache."""

    __slots__ = ("id", "storage", "parent", "name", "mime", "size", "mtime", "storage_mtime",
                 "etag", "permissions", "checksum", "children")

    def __init__(self, **values):
        for key, value in values.items():
            setattr(self, key, value)
        self.children = {}

    @property
    def folder(self):
        return self.mime == FOLDER

    @property
    def path(self):
        names, node = [], self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return "/".join(reversed(names))

    def ancestors(self):
        """The node itself and all above it, the storage's root last."""
        node = self
        while node is not None:
            yield node
            node = node.parent

    def below(self):
        """All descendants, a folder before what is in it."""
        for child in list(self.children.values()):
            yield child
            yield from child.below()

    def inside(self, other):
        return any(a is other for a in self.ancestors())


def path_hash(path):
    return hashlib.md5(path.encode()).hexdigest()


class FileCache:
    def __init__(self, connection, rng):
        self.db, self.rng = connection, rng
        self.cursor = connection.cursor()
        self.mimetypes = {}
        self.roots = {}  # storage -> Node of its root
        self.nodes = {}  # fileid -> Node
        self.statements = 0

    # ---- SQL

    def sql(self, text, *values):
        self.statements += 1
        self.cursor.execute(text, values)
        return self.cursor

    def together(self, *statements):
        """Several statements in one transaction."""
        self.sql("START TRANSACTION")
        for text, values in statements:
            self.sql(text, *values)
        self.sql("COMMIT")

    def now(self):
        return int(time.time())

    def file_etag(self):
        return "%032x" % self.rng.getrandbits(128)

    def folder_etag(self):
        return "%013x" % (int(time.time() * 1e6) & (1 << 52) - 1)

    def mimetype(self, name):
        """The id of a type; a new one is INSERTed, its first part before it."""
        if name not in self.mimetypes:
            self.sql("INSERT INTO oc_mimetypes (mimetype) VALUES (%s)", name)
            self.mimetypes[name] = self.cursor.lastrowid
        return self.mimetypes[name]

    def type_ids(self, mime):
        part = self.mimetype(mime.split("/")[0])
        return self.mimetype(mime), part

    # ---- rows

    def insert(self, storage, parent, name, mime=FOLDER, size=-1, mtime=None, checksum="",
               etag=None, permissions=None):
        """An upsert: UPDATE of the path (of nothing), then INSERT, in one transaction."""
        folder = mime == FOLDER
        mtime = self.now() if mtime is None else mtime
        node = Node(id=0, storage=storage, parent=parent, name=name, mime=mime, size=size,
                    mtime=mtime, storage_mtime=mtime, checksum=checksum,
                    etag=etag or (self.folder_etag() if folder else self.file_etag()),
                    permissions=permissions or (23 if parent is None else 31 if folder else 27))
        path, (mimetype, mimepart) = node.path, self.type_ids(mime)
        self.sql("START TRANSACTION")
        self.sql("UPDATE oc_filecache SET size = %s WHERE storage = %s AND path_hash = %s",
                 size, storage, path_hash(path))
        self.sql(
            "INSERT INTO oc_filecache (mimepart, mimetype, mtime, size, etag, storage_mtime,"
            " permissions, checksum, path_hash, path, parent, name, storage)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            mimepart, mimetype, mtime, size, node.etag, mtime, node.permissions, checksum,
            path_hash(path), path, parent.id if parent else -1, name, storage)
        node.id = self.cursor.lastrowid
        self.sql("COMMIT")
        self.nodes[node.id] = node
        if parent:
            parent.children[name] = node
        else:
            self.roots[storage] = node
        return node

    def update(self, node, **values):
        """UPDATE of the columns that differ; nothing when none does."""
        values = {k: v for k, v in values.items() if getattr(node, k) != v}
        if not values:
            return
        for key, value in values.items():
            setattr(node, key, value)
        columns = dict(values)
        if "mime" in columns:
            columns["mimetype"], columns["mimepart"] = self.type_ids(columns.pop("mime"))
        names = ", ".join(f"{c} = %s" for c in columns)
        self.sql(f"UPDATE oc_filecache SET {names} WHERE fileid = %s",
                 *columns.values(), node.id)

    def propagate(self, node, delta=0):
        """What a change of a node does to everything above it."""
        self.propagate_from(node.parent, delta)

    def propagate_from(self, folder, delta=0):
        """This folder and all above: mtime, one etag for all, size."""
        now, etag = self.now(), self.folder_etag()
        above = list(folder.ancestors())
        marks = ", ".join(["%s"] * len(above))
        grow = ", size = CASE WHEN size > -1 THEN size + %s ELSE size END" if delta else ""
        self.sql(f"UPDATE oc_filecache SET mtime = GREATEST(mtime, %s), etag = %s{grow}"
                 f" WHERE storage = %s AND path_hash IN ({marks})",
                 now, etag, *([delta] if delta else []), folder.storage,
                 *[path_hash(a.path) for a in above])
        for a in above:
            a.mtime, a.etag = max(a.mtime, now), etag
            if delta and a.size > -1:
                a.size += delta

    def touch_parent(self, node):
        """The folder's own time on disk, when its second has changed."""
        now = self.now()
        self.update(node.parent, mtime=max(node.parent.mtime, now), storage_mtime=now)

    def correct_sizes(self, folder):
        """The sizes of a folder and all above, but the home's root."""
        for a in folder.ancestors():
            if a.parent is not None:
                self.update(a, size=sum(max(c.size, 0) for c in a.children.values()))

    def remove(self, node):
        """DELETE: the row first, then what was below it, folder by folder, the deepest first."""
        below = list(node.below())
        self.nodes.pop(node.id)
        if node.parent:
            del node.parent.children[node.name]
        self.sql("DELETE FROM oc_filecache WHERE fileid = %s", node.id)
        for folder in reversed([node] + [n for n in below if n.folder]):
            if folder.children:
                self.sql("DELETE FROM oc_filecache WHERE parent = %s", folder.id)
        for child in below:
            self.nodes.pop(child.id)

    def move(self, node, parent, name):
        """Another place, perhaps another storage; the file id stays."""
        old, source = node.path, node.storage
        storage = parent.storage
        del node.parent.children[node.name]
        node.parent, node.name = parent, name
        parent.children[name] = node
        new = node.path
        for n in [node, *node.below()]:
            n.storage = storage
        itself = ("UPDATE oc_filecache SET storage = %s, path = %s, path_hash = %s, name = %s,"
                  " parent = %s WHERE fileid = %s",
                  (storage, new, path_hash(new), name, parent.id, node.id))
        if not node.folder:
            self.sql(itself[0], *itself[1])
            return
        like = old.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "/%"
        self.together(
            ("UPDATE oc_filecache SET path_hash = MD5(REPLACE(path, %s, %s)),"
             " path = REPLACE(path, %s, %s), storage = %s WHERE storage = %s AND path LIKE %s",
             (old + "/", new + "/", old + "/", new + "/", storage, source, like)),
            itself)

    # ---- what there is already

    def load(self):
        """Reads the tables of a running site."""
        self.mimetypes = {m: i for i, m in self.sql("SELECT id, mimetype FROM oc_mimetypes")}
        types = {i: m for m, i in self.mimetypes.items()}
        rows = self.sql("SELECT fileid, storage, parent, name, mimetype, size, mtime,"
                        " storage_mtime, etag, permissions, checksum FROM oc_filecache").fetchall()
        for (fileid, storage, _, name, mimetype, size, mtime, storage_mtime, etag, permissions,
             checksum) in rows:
            self.nodes[fileid] = Node(
                id=fileid, storage=storage, parent=None, name=name, mime=types[mimetype],
                size=size, mtime=mtime, storage_mtime=storage_mtime, etag=etag,
                permissions=permissions, checksum=checksum)
        for fileid, storage, parent, *_ in rows:
            node = self.nodes[fileid]
            if parent == -1:
                self.roots[storage] = node
            else:
                node.parent = self.nodes[parent]
                node.parent.children[node.name] = node


def type_of(name):
    return TYPES.get(name.rsplit(".", 1)[-1].lower(), OCTETS)
