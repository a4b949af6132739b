"""
An ownCloud 10 site: its tables and its data directory, and what its users do to files.

Every action changes the disk first and then the rows, as ownCloud does, and leaves both agreeing
with each other (consistency.py checks that). Paths on disk: <data>/<uid>/files/..., trash in
files_trashbin/files/<name>.d<time>, versions in files_versions/<path>.v<mtime>. oc_accounts.home
may name another folder than where the data lies here (`home`), as after a restore elsewhere.
"""

import hashlib
import os
import random
import shutil
import zlib
from pathlib import Path

import pymysql

from .cache import OCTETS, FileCache, type_of

WELCOME = b"Welcome to this cloud.\nPut your files here, and share them.\n"


def checksum(content):
    return (f"SHA1:{hashlib.sha1(content).hexdigest()} MD5:{hashlib.md5(content).hexdigest()} "
            f"ADLER32:{zlib.adler32(content):08x}")


class Site:
    """`connect` are arguments for pymysql.connect."""

    def __init__(self, data, seed=1, home=None, **connect):
        self.data = Path(data)
        self.home = str(home or self.data)
        self.rng = random.Random(seed)
        self.db = pymysql.connect(autocommit=True, charset="utf8mb4", **connect)
        self.cache = FileCache(self.db, self.rng)
        self.sql = self.cache.sql
        self.storages = {}  # uid -> storage of his home
        self.uploads = {}   # uid -> storage of his upload area
        self.users, self.groups = [], {}

    def close(self):
        self.db.close()

    def create_tables(self):
        text = (Path(__file__).parent / "schema.sql").read_text()
        for statement in text.split(";"):
            if statement.strip():
                self.sql(statement)

    def load(self):
        """Takes up a site that is there."""
        self.cache.load()
        numbers = {i: n for n, i in self.sql("SELECT numeric_id, id FROM oc_storages").fetchall()}
        self.users = [u for u, in self.sql("SELECT user_id FROM oc_accounts ORDER BY id")]
        for uid in self.users:
            home, uploads = storage_id(f"home::{uid}"), f"local::{self.home}/{uid}/uploads/"
            if home in numbers:
                self.storages[uid] = numbers[home]
                self.uploads[uid] = numbers[storage_id(uploads)]
        self.groups = {g: set() for g, in self.sql("SELECT gid FROM oc_groups ORDER BY gid")}
        for gid, uid in self.sql("SELECT gid, uid FROM oc_group_user").fetchall():
            self.groups[gid].add(uid)

    def now(self):
        return self.cache.now()

    # ---- people

    def create_user(self, uid, display_name=None, mail=None):
        now = self.now()
        self.sql("INSERT INTO oc_users (uid, password) VALUES (%s, %s)", uid,
                 "1|$2y$10$" + "%053x" % self.rng.getrandbits(212))
        self.sql("INSERT INTO oc_accounts (user_id, lower_user_id, display_name, backend, home,"
                 " state, creation_time) VALUES (%s, %s, %s, %s, %s, 1, %s)", uid, uid.lower(),
                 uid, "OC\\User\\Database", f"{self.home}/{uid}", now)
        if display_name:
            self.sql("UPDATE oc_accounts SET display_name = %s WHERE user_id = %s", display_name,
                     uid)
            self.sql("UPDATE oc_users SET displayname = %s WHERE uid = %s", display_name, uid)
        if mail:
            self.sql("UPDATE oc_accounts SET email = %s WHERE user_id = %s", mail, uid)
        self.users.append(uid)

    def create_group(self, gid):
        self.sql("INSERT INTO oc_groups (gid) VALUES (%s)", gid)
        self.groups[gid] = set()

    def add_member(self, gid, uid):
        self.sql("INSERT INTO oc_group_user (gid, uid) VALUES (%s, %s)", gid, uid)
        self.groups[gid].add(uid)

    def remove_member(self, gid, uid):
        """His own rows of group shares stay."""
        self.sql("DELETE FROM oc_group_user WHERE gid = %s AND uid = %s", gid, uid)
        self.groups[gid].discard(uid)

    def login(self, uid):
        """last_login; the first one makes the home with the skeleton."""
        if uid not in self.storages:
            self._first_login(uid)
        self.sql("UPDATE oc_accounts SET last_login = %s WHERE user_id = %s", self.now(), uid)

    def _first_login(self, uid):
        c = self.cache
        for name, numbers in ((f"local::{self.home}/{uid}/uploads/", self.uploads),
                              (f"home::{uid}", self.storages)):
            self.sql("INSERT INTO oc_storages (id) VALUES (%s)", storage_id(name))
            numbers[uid] = c.cursor.lastrowid
        for folder in ("files", "cache"):
            (self.data / uid / folder).mkdir(parents=True, exist_ok=True)
        storage = self.storages[uid]
        root = c.insert(storage, None, "")
        cache = c.insert(storage, root, "cache")
        c.update(cache, size=0)
        c.propagate(cache)
        c.update(root, size=0)
        files = c.insert(storage, root, "files")
        c.update(files, size=0)
        c.propagate(files)
        # the skeleton's file is seen empty first, then scanned
        self._write(uid, "files/welcome.txt", WELCOME)
        file = c.insert(storage, files, "welcome.txt", "text/plain", 0)
        self._utime(uid, file)
        c.propagate(file)
        c.propagate(file)
        c.update(root, size=-1)
        c.together(*[("UPDATE oc_filecache SET size = -1 WHERE fileid = %s", (n.id,))
                     for n in (cache, files)])
        cache.size = files.size = -1
        c.update(cache, size=0)
        c.update(file, size=len(WELCOME), checksum=checksum(WELCOME))
        c.update(files, size=len(WELCOME))
        c.update(root, size=len(WELCOME))
        self.sql("INSERT INTO oc_mounts (storage_id, root_id, user_id, mount_point)"
                 " VALUES (%s, %s, %s, %s)", storage, root.id, uid, f"/{uid}/")

    # ---- places

    def root(self, uid):
        return self.cache.roots[self.storages[uid]]

    def files(self, uid):
        return self.root(uid).children["files"]

    def owner(self, node):
        return next(u for u, s in self.storages.items() if s == node.storage)

    def disk(self, node):
        return self.data / self.owner(node) / node.path

    def _write(self, uid, path, content):
        file = self.data / uid / path
        # a new file beside it, then renamed: a reader sees the old or the new one
        part = file.with_name(f".ocTransferId{self.rng.getrandbits(31)}.part")
        part.write_bytes(content)
        part.rename(file)

    def _utime(self, uid, node):
        os.utime(self.data / uid / node.path, (node.mtime, node.mtime))

    def locks(self, *nodes):
        """oc_file_locks: half of all row changes of a site without Redis."""
        for node in nodes:
            key = "files/" + hashlib.md5(f"{node.storage}{node.path}".encode()).hexdigest()
            self.sql("INSERT INTO oc_file_locks (`key`, `lock`, ttl) VALUES (%s, 1, %s)"
                     " ON DUPLICATE KEY UPDATE `lock` = `lock` + 1, ttl = VALUES(ttl)", key,
                     self.now() + 3600)
            self.sql("UPDATE oc_file_locks SET `lock` = 0 WHERE `key` = %s", key)

    # ---- files

    def mkdir(self, parent, name):
        (self.disk(parent) / name).mkdir()
        return self._mkdir_rows(parent, name)

    def _mkdir_rows(self, parent, name):
        c = self.cache
        node = c.insert(parent.storage, parent, name)
        c.update(node, size=0)
        c.touch_parent(node)
        c.propagate(node)
        return node

    def _chain(self, storage_root, names):
        """The folder at these names, made where it is missing."""
        node = storage_root
        for name in names:
            if name not in node.children:
                (self.disk(node) / name).mkdir(exist_ok=True)
                self._mkdir_rows(node, name)
            node = node.children[name]
        return node

    def upload(self, parent, name, content, mtime=None):
        """PUT of a new file: one INSERT with everything."""
        uid = self.owner(parent)
        self._write(uid, f"{parent.path}/{name}", content)
        c = self.cache
        mtime = self.now() if mtime is None else mtime
        os.utime(self.disk(parent) / name, (mtime, mtime))
        node = c.insert(parent.storage, parent, name, type_of(name), len(content), mtime,
                        checksum(content))
        self.locks(node)
        c.touch_parent(node)
        c.propagate(node, len(content))
        return node

    def upload_in_two_steps(self, parent, name, content):
        """Web upload: the row is there empty first."""
        c, uid = self.cache, self.owner(parent)
        self._write(uid, f"{parent.path}/{name}", b"")
        node = c.insert(parent.storage, parent, name, type_of(name), 0)
        c.touch_parent(node)
        c.propagate(node)
        c.propagate(node)
        self._write(uid, node.path, content)
        mtime = self.now()
        os.utime(self.disk(node), (mtime, mtime))
        c.update(node, size=len(content), mtime=mtime, storage_mtime=mtime,
                 checksum=checksum(content), etag=c.file_etag())
        c.propagate(node, len(content))
        return node

    def upload_in_chunks(self, parent, name, content, pieces=3):
        """New chunking: chunks live in a storage of their own; the file is a new row."""
        c, uid = self.cache, self.owner(parent)
        storage = self.uploads[uid]
        root = c.roots.get(storage)
        if root is None:
            root = c.insert(storage, None, "", checksum=None)
            c.update(root, size=0)
        transfer = c.insert(storage, root, f"tx{self.rng.getrandbits(40)}", checksum=None)
        c.update(transfer, size=0)
        c.propagate(transfer)
        for i in range(pieces):
            size = len(content) // pieces
            chunk = c.insert(storage, transfer, f"{i:05}", OCTETS, size, checksum=None)
            c.propagate(chunk, size)
        existing = parent.children.get(name)
        node = (self.overwrite(existing, content) if existing
                else self.upload(parent, name, content))
        total = sum(n.size for n in transfer.below())
        c.remove(transfer)
        c.update(root, mtime=self.now(), storage_mtime=self.now())
        c.update(root, size=root.size - total, etag=c.folder_etag())
        return node

    def _version(self, node, again=True):
        """Keeps the present content as a version; one of that second is written over (`again`)."""
        c, uid = self.cache, self.owner(node)
        folder = self._chain(self.root(uid),
                             ["files_versions", *node.path.split("/")[1:-1]])
        name = f"{node.name}.v{node.mtime}"
        version = folder.children.get(name)
        if version and not again or len(name.encode()) > 250:
            return
        content = self.disk(node).read_bytes()
        (self.disk(folder) / name).write_bytes(content)
        more = len(content) - (version.size if version else 0)
        if version:
            now = self.now()
            c.update(version, size=len(content), mtime=now, storage_mtime=now, etag=c.file_etag(),
                     checksum="")
        else:
            version = c.insert(node.storage, folder, name, OCTETS, len(content))
        os.utime(self.disk(version), (version.mtime, version.mtime))
        c.touch_parent(version)
        c.propagate(version, more)
        if node.checksum:
            c.update(version, checksum=node.checksum)

    def overwrite(self, node, content, mtime=None):
        """PUT over a file: the old content becomes a version first."""
        c = self.cache
        if node.size > 0:
            self._version(node)
        mtime = self.now() if mtime is None else mtime
        self._write(self.owner(node), node.path, content)
        os.utime(self.disk(node), (mtime, mtime))
        delta = len(content) - node.size
        c.update(node, size=len(content), mtime=mtime, storage_mtime=mtime, etag=c.file_etag(),
                 checksum=checksum(content))
        self.locks(node)
        c.touch_parent(node)
        c.propagate(node, delta)
        return node

    def read(self, node):
        """A download: a file that lacks its checksum gets it."""
        if not node.folder and not node.checksum:
            self.cache.update(node, checksum=checksum(self.disk(node).read_bytes()))

    def scan_clears_checksum(self, node):
        """occ files:scan of a file that was touched on disk."""
        self.cache.update(node, checksum="")

    def _versions_of(self, node):
        """The version rows of a file, or the version folder of a folder."""
        try:
            place = self.root(self.owner(node)).children["files_versions"]
            for name in node.path.split("/")[1:-1]:
                place = place.children[name]
        except KeyError:
            return []
        if node.folder:
            return [place.children[node.name]] if node.name in place.children else []
        return [v for name, v in sorted(place.children.items())
                if name.rpartition(".v")[0] == node.name and not v.folder]

    def _shift(self, node, parent, name):
        """Disk and rows of a move, with sizes, folder times and both propagations."""
        c = self.cache
        source, size = node.parent, node.size
        self.disk(node).rename(self.disk(parent) / name)
        c.move(node, parent, name)
        if source is not parent:
            c.correct_sizes(source)
            c.correct_sizes(parent)
        now = self.now()
        for folder in dict.fromkeys((source, parent)):
            c.update(folder, mtime=max(folder.mtime, now), storage_mtime=now)
        # the place it left, then the place where it is
        c.propagate_from(source)
        c.propagate_from(parent)
        return size

    def move(self, node, parent, name):
        """Rename or move; its versions go with it. Over an existing file: that goes to the trash."""
        if name in parent.children and parent.children[name] is not node:
            self.delete(parent.children[name])
        versions = self._versions_of(node)
        self.locks(node)
        old_name = node.name
        self._shift(node, parent, name)
        if not node.folder and type_of(name) != node.mime:
            self.cache.update(node, mime=type_of(name))
        if versions:
            uid = self.owner(node)
            place = self._chain(self.root(uid),
                                ["files_versions", *node.path.split("/")[1:-1]])
            for version in versions:
                new = name + version.name[len(old_name):]
                if new not in place.children:
                    self._shift(version, place, new)
        return node

    def copy(self, node, parent, name):
        """A copy: new ids, checksums copied, the time now."""
        c = self.cache
        if node.folder:
            new = self.mkdir(parent, name)
            for child in list(node.children.values()):
                self.copy(child, new, child.name)
            return new
        content = self.disk(node).read_bytes()
        self._write(self.owner(parent), f"{parent.path}/{name}", content)
        mtime = self.now()
        os.utime(self.disk(parent) / name, (mtime, mtime))
        new = c.insert(parent.storage, parent, name, node.mime, len(content), mtime, node.checksum)
        c.touch_parent(new)
        c.propagate(new, len(content))
        return new

    # ---- trash

    def _trash_folders(self, uid):
        root = self.root(uid)
        for names in (["files"], ["versions"], ["keys"]):
            self._chain(root, ["files_trashbin", *names])
        return root.children["files_trashbin"].children

    def delete(self, node, leading_slash=False):
        """To the trash: the row moves and keeps its id; oc_files_trash comes after."""
        c, uid = self.cache, self.owner(node)
        bin_ = self._trash_folders(uid)
        when = self.now()
        while f"{node.name}.d{when}" in bin_["files"].children:
            when += 1
        name, location = node.name, "/".join(node.path.split("/")[1:-1])
        versions = self._versions_of(node)
        self._shift(node, bin_["files"], f"{name}.d{when}")
        if not node.folder:
            c.update(node, mime=OCTETS)
        location = "/" + location if leading_slash else location or "."
        self.sql("INSERT INTO oc_files_trash (id, timestamp, location, user)"
                 " VALUES (%s, %s, %s, %s)", name, str(when), location, uid)
        for version in versions:
            new = f"{version.name}.d{when}"
            if new not in bin_["versions"].children:
                self._shift(version, bin_["versions"], new)
        return node

    def trashed(self, uid):
        """What lies in the trash: (node, auto_id, name, time, location)."""
        bin_ = self.root(uid).children.get("files_trashbin")
        files = bin_.children.get("files") if bin_ else None
        rows = self.sql("SELECT auto_id, id, timestamp, location FROM oc_files_trash"
                        " WHERE user = %s ORDER BY auto_id", uid).fetchall()
        items = {}  # of two entries of one name and second the first counts
        for auto_id, name, when, location in rows:
            node = files and files.children.get(f"{name}.d{when}")
            if node:
                items.setdefault(node.id, (node, auto_id, name, when, location))
        return list(items.values())

    def restore(self, uid, item):
        """Back to its place (the home's top, when that is gone); the checksum is cleared."""
        c = self.cache
        node, _, name, when, location = item
        place = self.files(uid)
        for part in location.strip("/").split("/"):
            if part in (".", ""):
                continue
            if part not in place.children or not place.children[part].folder:
                place = self.files(uid)
                break
            place = place.children[part]
        base, dot, ext = name.rpartition(".") if not node.folder else (name, "", "")
        new, i = name, 1
        while new in place.children:
            i += 1
            new = f"{base} (restored {i}){dot}{ext}" if base else f"{name} (restored {i})"
        self._shift(node, place, new)
        if not node.folder:
            c.update(node, mime=type_of(new))
            c.update(node, checksum="")
        else:
            files = [n for n in node.children.values() if not n.folder and n.checksum]
            if files:
                c.together(*[("UPDATE oc_filecache SET checksum = '' WHERE fileid = %s", (n.id,))
                             for n in files])
                for n in files:
                    n.checksum = ""
        c.propagate(node)
        self._drop_entries(uid, name, when)
        return node

    def _drop_entries(self, uid, name, when):
        self.sql("DELETE FROM oc_files_trash WHERE user = %s AND id = %s AND timestamp = %s", uid,
                 name, str(when))

    def purge(self, uid, item):
        """One item of the trash, for good: oc_files_trash first."""
        c = self.cache
        node, _, name, when, _ = item
        self._drop_entries(uid, name, when)
        versions = self.root(uid).children["files_trashbin"].children["versions"]
        for version in [v for v in versions.children.values()
                        if v.name.endswith(f".d{when}") and v.name.startswith(name)]:
            self._erase(version)
        self._erase(node)

    def _erase(self, node):
        c, parent, size = self.cache, node.parent, node.size
        place = self.disk(node)
        shutil.rmtree(place) if node.folder else place.unlink()
        c.remove(node)
        now = self.now()
        c.update(parent, mtime=max(parent.mtime, now), storage_mtime=now)
        c.propagate_from(parent, -max(size, 0))

    def empty_trash(self, uid):
        """The rows of the cache first this time, then one DELETE, then new folders."""
        c, root = self.cache, self.root(uid)
        bin_ = root.children.get("files_trashbin")
        if not bin_:
            return False
        shutil.rmtree(self.disk(bin_))
        c.remove(bin_)
        c.propagate_from(root)
        self.sql("DELETE FROM oc_files_trash WHERE user = %s", uid)
        self._trash_folders(uid)
        return True

    # ---- the rest

    def favourite(self, uid, node):
        """Sets it, or takes it away."""
        row = self.sql("SELECT id FROM oc_vcategory WHERE uid = %s AND type = 'files'"
                       " AND category = '_$!<Favorite>!$_'", uid).fetchone()
        if not row:
            self.sql("INSERT INTO oc_vcategory (uid, type, category) VALUES (%s, 'files',"
                     " '_$!<Favorite>!$_')", uid)
            row = (self.cache.cursor.lastrowid,)
        gone = self.sql("DELETE FROM oc_vcategory_to_object WHERE categoryid = %s AND objid = %s",
                        row[0], node.id).rowcount
        if not gone:
            self.sql("INSERT INTO oc_vcategory_to_object (objid, categoryid, type)"
                     " VALUES (%s, %s, 'files')", node.id, row[0])

    def big_folder(self, uid, name, n, size=16):
        """A folder of many files as a scan finds them: all rows of it in one transaction."""
        c = self.cache
        folder = self.mkdir(self.files(uid), name)
        place = self.disk(folder)
        mimetype, mimepart = c.type_ids("text/plain")
        mtime, rows, contents = self.now(), [], []
        for i in range(n):
            content = b"%0*d" % (size, i)
            file = place / f"file {i:05}.txt"
            file.write_bytes(content)
            os.utime(file, (mtime, mtime))
            path = f"{folder.path}/{file.name}"
            contents.append((file.name, content))
            rows.append((mimepart, mimetype, mtime, size, c.file_etag(), mtime, 27,
                         checksum(content), hashlib.md5(path.encode()).hexdigest(), path,
                         folder.id, file.name, folder.storage))
        self.sql("START TRANSACTION")
        c.cursor.executemany(
            "INSERT INTO oc_filecache (mimepart, mimetype, mtime, size, etag, storage_mtime,"
            " permissions, checksum, path_hash, path, parent, name, storage)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", rows)
        self.sql("COMMIT")
        c.load()
        folder = c.nodes[folder.id]
        c.update(folder, size=n * size)
        c.propagate(folder, n * size)
        return folder


def storage_id(name):
    """Ids of more than 64 bytes are stored as their md5."""
    return name if len(name.encode()) <= 64 else hashlib.md5(name.encode()).hexdigest()
