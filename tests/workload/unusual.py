"""
What happens at an ownCloud 10 less often than its daily work: what recipients do to files that are
not theirs, trash folders opened and emptied piece by piece, names that collide within a second,
administrators' commands, users who go and come back. Each method writes the rows that ownCloud's
code writes, in its order; disk first, as everywhere here.
"""

import os
import shutil

from .cache import FOLDER, OCTETS, path_hash, type_of
from .shares import GROUP, MEMBER, USER
from .site import WELCOME, storage_id
from .workload import Workload


class Unusual:
    def __init__(self, site, shares):
        self.site, self.shares, self.sql = site, shares, site.sql
        self.left_behind = {}  # row of what is a file by now -> rows of what was in it as a folder

    # ---- trash

    def _copy_below(self, node, parent, name, mime=None):
        """A copy with its times, without checksums: new ids, row by row, a folder before its files."""
        site, c = self.site, self.site.cache
        if node.folder:
            new = site.mkdir(parent, name)
            c.update(new, mtime=node.mtime, storage_mtime=node.mtime)
            c.propagate(new)
            for child in list(node.children.values()):
                self._copy_below(child, new, child.name)
            return new
        content = site.disk(node).read_bytes()
        (site.disk(parent) / name).write_bytes(content)
        new = c.insert(parent.storage, parent, name, mime or type_of(name), len(content))
        c.touch_parent(new)
        c.propagate(new, len(content))
        os.utime(site.disk(new), (node.mtime, node.mtime))
        c.update(new, mtime=node.mtime, storage_mtime=node.mtime, etag=c.file_etag())
        c.propagate(new)
        return new

    def _entry(self, uid, name, when, location):
        self.sql("INSERT INTO oc_files_trash (id, timestamp, location, user)"
                 " VALUES (%s, %s, %s, %s)", name, str(when), location, uid)

    def _free_second(self, name, *bins):
        when = self.site.now()
        while any(f"{name}.d{when}" in b["files"].children for b in bins):
            when += 1
        return when

    def delete_by_recipient(self, node, recipient, mount):
        """
        Somebody deletes in the folder `mount` that he received: into the owner's trash, and a copy
        into his own. Of the versions the owner's trash has copies, the recipient's the originals.
        """
        site = self.site
        owner, name = site.owner(node), node.name
        his, theirs = site._trash_folders(recipient), site._trash_folders(owner)
        when = self._free_second(name, his, theirs)
        location = "/" + "/".join(node.path.split("/")[1:-1])
        versions = site._versions_of(node)
        site._shift(node, theirs["files"], f"{name}.d{when}")
        if not node.folder:
            site.cache.update(node, mime=OCTETS)
        self._entry(owner, name, when, location)
        for version in versions:
            new = f"{version.name}.d{when}"
            self._copy_below(version, theirs["versions"], new, OCTETS)
            site._shift(version, his["versions"], new)
        copy = self._copy_below(node, his["files"], f"{name}.d{when}", OCTETS)
        self._entry(recipient, name, when, mount)
        return copy

    def move_out_of_share(self, node, parent, name):
        """A recipient moves something of the owner's into his home; the owner's trash has a copy."""
        site = self.site
        owner, old = site.owner(node), node.name
        bin_ = site._trash_folders(owner)
        when = self._free_second(old, bin_)
        self._copy_below(node, bin_["files"], f"{old}.d{when}", OCTETS)
        for version in site._versions_of(node):
            self._copy_below(version, bin_["versions"], f"{version.name}.d{when}", OCTETS)
        self._entry(owner, old, when, "/".join(node.path.split("/")[1:-1]) or ".")
        return site.move(node, parent, name)

    def delete_in_one_second(self, first, second):
        """Two of one name: the second takes the first one's place in the trash, both have entries."""
        site, c = self.site, self.site.cache
        uid, name = site.owner(first), first.name
        bin_ = site._trash_folders(uid)["files"]
        when = self._free_second(name, site._trash_folders(uid))
        for node in (first, second):
            location = "/".join(node.path.split("/")[1:-1]) or "."
            versions = site._versions_of(node)
            self._shift_over(node, bin_, f"{name}.d{when}")
            if not node.folder:
                c.update(node, mime=OCTETS)
            self._entry(uid, name, when, location)
            for version in versions:
                self._shift_over(version, site._trash_folders(uid)["versions"],
                                 f"{version.name}.d{when}")

    def _shift_over(self, node, parent, name):
        """What has that place is gone for good first."""
        there = parent.children.get(name)
        if there:
            place = self.site.disk(there)
            shutil.rmtree(place) if there.folder else place.unlink()
            self.site.cache.remove(there)
        self.site._shift(node, parent, name)

    def restore(self, uid, item, place):
        """Out of his trash into `place`, which may be somebody else's folder."""
        node, _, name, when, _ = item
        new, i = name, 1
        while new in place.children:
            base, dot, ext = name.rpartition(".") if not node.folder else (name, "", "")
            new = f"{base} (restored{'' if i == 1 else f' {i}'}){dot}{ext}"
            i += 1
        self._out_of_trash(node, place, new)
        self.site._drop_entries(uid, name, when)
        return node

    def restore_inside(self, node, place):
        """One thing out of a trashed folder; the folder's entry stays."""
        return self._out_of_trash(node, place, node.name)

    def _versions_in_trash(self, node):
        """Of something in the trash: [(row, what follows the file's name when it is back)]."""
        names = node.path.split("/")[2:]
        place = self.site.root(self.site.owner(node)).children["files_trashbin"].children["versions"]
        for name in names[:-1]:
            place = place.children.get(name)
            if not place:
                return []
        if node.folder:
            return [(place.children[node.name], "")] if node.name in place.children else []
        name, when = (names[-1].rpartition(".d")[::2] if len(names) == 1 else (names[-1], ""))
        found = []
        for version in place.children.values():
            base, _, time = version.name.rpartition(".v")
            time, _, deleted = time.partition(".d")
            if base == name and deleted == when and not version.folder:
                found.append((version, f".v{time}"))
        return found

    def _out_of_trash(self, node, place, name):
        site, c = self.site, self.site.cache
        versions = self._versions_in_trash(node)
        site._shift(node, place, name)
        files = [node]
        if node.folder:
            files = [n for n in node.children.values() if not n.folder and n.checksum]
            c.together(*[("UPDATE oc_filecache SET checksum = '' WHERE fileid = %s", (n.id,))
                         for n in files])
        else:
            c.update(node, mime=type_of(name))
            c.update(node, checksum="")
        for n in files:
            if not n.folder:
                n.checksum = ""
        c.propagate(node)
        if versions:
            chain = ["files_versions", *node.path.split("/")[1:-1]]
            target = site._chain(site.root(site.owner(node)), chain)
        for version, ending in versions:
            if name + ending not in target.children:
                site._shift(version, target, name + ending)
        return node

    def purge(self, uid, item):
        """One name and second, and all entries of it."""
        node, _, name, when, _ = item
        self.site._drop_entries(uid, name, when)
        self.purge_inside(node)

    def purge_inside(self, node):
        """One thing in a trashed folder, for good; its versions first."""
        for version, _ in self._versions_in_trash(node):
            self.site._erase(version)
        self.site._erase(node)

    def delete_for_good(self, node):
        """Where the trash is passed by: row by row, the folder's before what is in it."""
        versions = self.site._versions_of(node)
        self.site._erase(node)
        for version in versions:
            self.site._erase(version)

    # ---- content

    def restore_version(self, version, node):
        """What is there becomes a version; the row has the old size, then no checksum."""
        site, c = self.site, self.site.cache
        content = site.disk(version).read_bytes()
        site._version(node, again=False)
        c.update(node, size=len(content))
        site._write(site.owner(node), node.path, content)
        now = site.now()
        os.utime(site.disk(node), (now, now))
        c.update(node, mtime=now, storage_mtime=now, etag=c.file_etag(), checksum="")
        c.correct_sizes(node.parent)
        c.propagate(node)

    def copy_with_versions(self, node, parent, name):
        """COPY: the file first, then each of its versions; all of them are of now."""
        site = self.site
        new = site.copy(node, parent, name)
        for version in site._versions_of(node):
            place = site._chain(site.root(site.owner(new)),
                                ["files_versions", *new.path.split("/")[1:-1]])
            copy = name + version.name[len(node.name):]
            if copy not in place.children:
                self._copy_below(version, place, copy, OCTETS)
        return new

    def expire_version(self, version):
        """Too many of them, or too old."""
        self.site._erase(version)

    def scan(self, uid, new=(), changed=(), vanished=()):
        """occ files:scan after changes on disk: new [(folder, name, content)], changed [(node, content)]."""
        site, c = self.site, self.site.cache
        touched = []
        for folder, name, content in new:
            if content is None:
                (site.disk(folder) / name).mkdir()
                node = c.insert(folder.storage, folder, name)
            else:
                (site.disk(folder) / name).write_bytes(content)
                mtime = int(os.stat(site.disk(folder) / name).st_mtime)
                node = c.insert(folder.storage, folder, name, type_of(name), len(content), mtime)
            touched.append(folder)
        for node, content in changed:
            site.disk(node).write_bytes(content)
            mtime = int(os.stat(site.disk(node)).st_mtime)
            c.update(node, size=len(content), mtime=mtime, storage_mtime=mtime,
                     etag=c.file_etag(), checksum="")
            touched.append(node.parent)
        for node in vanished:
            place = site.disk(node)
            shutil.rmtree(place) if node.folder else place.unlink()
            touched.append(node.parent)
            c.remove(node)
        for folder in touched:
            c.update(folder, size=-1, storage_mtime=site.now())
            for n in folder.below():
                if n.folder and n.size < 0:
                    c.update(n, size=sum(max(x.size, 0) for x in n.children.values()))
            c.correct_sizes(folder)
        above = {a.id: a for f in touched for a in f.ancestors()}
        now, etag = site.now(), c.folder_etag()
        c.together(*[("UPDATE oc_filecache SET mtime = GREATEST(mtime, %s), etag = %s"
                      " WHERE storage = %s AND path_hash = %s",
                      (now, etag, a.storage, path_hash(a.path))) for a in above.values()])
        for a in above.values():
            a.mtime, a.etag = max(a.mtime, now), etag

    def scan_in_place(self, node, content=None):
        """
        occ files:scan where a folder is by now where a file was, or a file with this content where a
        folder was. The row stays. A file leaves the rows that were below it, until a folder comes back.
        """
        site, c = self.site, self.site.cache
        place = site.disk(node)
        if node.folder:
            shutil.rmtree(place)
            place.write_bytes(content)
            self.left_behind[node.id] = dict(node.children)
            node.children.clear()
        else:
            place.unlink()
            place.mkdir()
        mtime = int(place.stat().st_mtime)
        c.update(node, mime=FOLDER if content is None else type_of(node.name),
                 size=-1 if content is None else len(content), mtime=mtime, storage_mtime=mtime,
                 etag=c.file_etag(), permissions=31 if content is None else 27, checksum="")
        for child in self.left_behind.pop(node.id, {}).values() if node.folder else ():
            node.children[child.name] = child
            c.remove(child)
        if node.folder:
            c.update(node, size=0)
        c.correct_sizes(node.parent)
        c.propagate(node)

    def touch(self, node, mtime):
        """PROPPATCH of a file's time: its checksum is not known any more."""
        c = self.site.cache
        os.utime(self.site.disk(node), (mtime, mtime))
        c.update(node, mtime=mtime, storage_mtime=mtime, etag=c.file_etag(), checksum="")
        c.propagate(node)

    def repair_mimetypes(self, ending, mime):
        """occ maintenance:mimetype:update-db --repair-filecache: one UPDATE for all of them."""
        c = self.site.cache
        number, folder = c.mimetype(mime), c.mimetype(FOLDER)
        rows = self.sql("UPDATE oc_filecache SET mimetype = %s WHERE mimetype <> %s"
                        " AND mimetype <> %s AND LOWER(name) LIKE %s", number, number, folder,
                        "%." + ending).rowcount
        for node in c.nodes.values():
            if not node.folder and node.name.lower().endswith("." + ending):
                node.mime = mime
        return rows

    # ---- people

    def enable(self, uid, on):
        self.sql("UPDATE oc_accounts SET state = %s WHERE user_id = %s", 1 if on else 2, uid)

    def change_person(self, uid, mail=None, name=None, quota=None):
        """Each is an UPDATE of its own; a quota is in oc_preferences first."""
        if mail is not None:
            self.sql("UPDATE oc_accounts SET email = %s WHERE user_id = %s", mail, uid)
        if name is not None:
            self.sql("UPDATE oc_accounts SET display_name = %s WHERE user_id = %s", name, uid)
            self.sql("UPDATE oc_users SET displayname = %s WHERE uid = %s", name, uid)
        if quota is not None:
            self.sql("DELETE FROM oc_preferences WHERE userid = %s AND appid = 'files' AND"
                     " configkey = 'quota'", uid)
            self.sql("INSERT INTO oc_preferences (userid, appid, configkey, configvalue)"
                     " VALUES (%s, 'files', 'quota', %s)", uid, quota)
            self.sql("UPDATE oc_accounts SET quota = %s WHERE user_id = %s", quota, uid)

    def delete_user(self, uid):
        """In its order: trash, groups, preferences, storage, rows, account; then his shares."""
        site, c = self.site, self.site.cache
        storage = site.storages.pop(uid)
        self.sql("DELETE FROM oc_files_trash WHERE user = %s", uid)
        for gid in sorted(g for g, members in site.groups.items() if uid in members):
            site.remove_member(gid, uid)
        self.sql("DELETE FROM oc_preferences WHERE userid = %s", uid)
        self.sql("DELETE FROM oc_mounts WHERE user_id = %s", uid)
        shutil.rmtree(site.data / uid)
        self.sql("DELETE FROM oc_storages WHERE numeric_id = %s", storage)
        self.sql("DELETE FROM oc_filecache WHERE storage = %s", storage)
        for node in [n for n in c.nodes.values() if n.storage == storage]:
            del c.nodes[node.id]
        del c.roots[storage]
        self.sql("DELETE FROM oc_accounts WHERE user_id = %s", uid)
        self.sql("DELETE FROM oc_users WHERE uid = %s", uid)
        self.sql("DELETE FROM oc_share WHERE share_type = %s AND (uid_owner = %s OR share_with = %s)",
                 USER, uid, uid)
        self.sql("DELETE FROM oc_share WHERE share_type IN (1, 2) AND uid_owner = %s", uid)
        self.sql("DELETE FROM oc_share WHERE share_type = 2 AND share_with = %s", uid)
        self.sql("DELETE FROM oc_share WHERE share_type = 3 AND (uid_owner = %s OR"
                 " uid_initiator = %s)", uid, uid)
        site.users.remove(uid)
        site.uploads.pop(uid)  # its storage and rows stay for ever

    def create_again(self, uid):
        """The same name, another account, another home."""
        site = self.site
        self.sql("INSERT INTO oc_users (uid, password) VALUES (%s, '1|$2y$10$again')", uid)
        self.sql("INSERT INTO oc_accounts (user_id, lower_user_id, display_name, backend, home,"
                 " state, creation_time) VALUES (%s, %s, %s, %s, %s, 1, %s)", uid, uid.lower(), uid,
                 "OC\\User\\Database", f"{site.home}/{uid}", site.now())
        site.users.append(uid)
        number, = self.sql("SELECT numeric_id FROM oc_storages WHERE id = %s",
                           storage_id(f"local::{site.home}/{uid}/uploads/")).fetchone()
        self.sql("INSERT INTO oc_storages (id) VALUES (%s)", storage_id(f"home::{uid}"))
        site.storages[uid], site.uploads[uid] = site.cache.cursor.lastrowid, number
        (site.data / uid / "files").mkdir(parents=True)
        root = site.cache.insert(site.storages[uid], None, "")
        files = site.cache.insert(site.storages[uid], root, "files")
        site.cache.update(files, size=0)
        site.upload(files, "welcome.txt", WELCOME)

    def scan_home_anew(self, uid, chunk=3):
        """occ files:remove-storage, then his next login and a scan: all rows are new ones."""
        site, c = self.site, self.site.cache
        old = site.storages[uid]
        self.sql("DELETE FROM oc_storages WHERE numeric_id = %s", old)
        while self.sql("DELETE FROM oc_filecache WHERE storage = %s ORDER BY fileid LIMIT %s", old,
                       chunk).rowcount:
            pass
        for node in [n for n in c.nodes.values() if n.storage == old]:
            del c.nodes[node.id]
        del c.roots[old]
        self.sql("INSERT INTO oc_storages (id) VALUES (%s)", storage_id(f"home::{uid}"))
        storage = site.storages[uid] = c.cursor.lastrowid
        self._scan_below(site.data / uid, c.insert(storage, None, ""))

    def _scan_below(self, place, folder):
        c = self.site.cache
        for file in sorted(place.iterdir()):
            mtime = int(file.stat().st_mtime)
            if file.is_dir():
                self._scan_below(file, c.insert(folder.storage, folder, file.name, mtime=mtime))
            else:
                mime = type_of(file.name) if folder.path.startswith("files/") else OCTETS
                c.insert(folder.storage, folder, file.name, mime, file.stat().st_size, mtime)
        c.update(folder, size=sum(max(n.size, 0) for n in folder.children.values()))

    def delete_group(self, gid):
        """The group, its members, then the members' rows of its shares, then those themselves."""
        self.sql("DELETE FROM oc_groups WHERE gid = %s", gid)
        self.sql("DELETE FROM oc_group_user WHERE gid = %s", gid)
        self.site.groups.pop(gid)
        ids = [row[0] for row in self.shares.rows("share_type = %s AND share_with = %s", GROUP, gid)]
        for number in ids:
            self.sql("DELETE FROM oc_share WHERE share_type = %s AND parent = %s", MEMBER, number)
        self.sql("DELETE FROM oc_share WHERE share_type = %s AND share_with = %s", GROUP, gid)

    def _handed_over(self, giver, receiver):
        """The name of what he gives; two may come within a second."""
        name = f"transferred from {giver} on {self.site.now()}"
        while name in self.site.files(receiver).children:
            name += " again"
        return name

    def transfer_folder(self, node, receiver):
        """occ files:transfer-ownership --path: a folder's move, then a row of each share in it."""
        site = self.site
        giver = site.owner(node)
        place = site.mkdir(site.files(receiver), self._handed_over(giver, receiver))
        rows = self._shares_in(node, giver)
        site.move(node, place, node.name)
        self._hand_over(rows, giver, receiver, node.name)
        return place

    def transfer_home(self, giver, receiver):
        """Without --path: the row of `files` itself goes, and the giver gets a new one. Versions stay."""
        site, c = self.site, self.site.cache
        old, root = site.files(giver), site.root(giver)
        name = self._handed_over(giver, receiver)
        rows = self._shares_in(old, giver)
        site._shift(old, site.files(receiver), name)
        (site.data / giver / "files").mkdir()
        new = c.insert(root.storage, root, "files")
        c.update(new, size=0)
        c.propagate(new)
        self._hand_over(rows, giver, receiver, name)
        return old

    def _shares_in(self, node, giver):
        inside = [node.id] + [n.id for n in node.below()]
        return [r for i in inside for r in self.shares.rows("file_source = %s AND uid_owner = %s", i,
                                                            giver)]

    def _hand_over(self, rows, giver, receiver, folder):
        """Who created them stays where that was not the giver."""
        for number, kind, with_, *_ in rows:
            if kind == USER and with_ == receiver:
                self.sql("DELETE FROM oc_share WHERE id = %s", number)
            elif kind != MEMBER:
                target, by = self.sql("SELECT file_target, uid_initiator FROM oc_share WHERE id = %s",
                                      number).fetchone()
                by = receiver if by == giver else by
                self.sql("UPDATE oc_share SET uid_owner = %s, uid_initiator = %s, file_target = %s"
                         " WHERE id = %s", receiver, by, f"/{folder}/{target.rsplit('/', 1)[-1]}",
                         number)
                if kind == GROUP:
                    self.sql("UPDATE oc_share SET uid_owner = %s, uid_initiator = %s WHERE parent ="
                             " %s AND share_type = %s", receiver, by, number, MEMBER)


class UnusualWorkload(Workload):
    """A working day with the unusual in it, by chance."""

    def __init__(self, site, seed=1):
        super().__init__(site, seed)
        self.unusual = Unusual(site, self.shares)
        self.disabled = None

    def finish(self):
        """Everybody can be looked at."""
        if self.disabled:
            self.disable()

    def _shared(self):
        """(a folder that was shared with a user, who, what lies in it)."""
        found = [(c.nodes[r[5]], r[2]) for c in [self.site.cache]
                 for r in self.shares.rows("share_type = 0 AND item_type = 'folder'")
                 if r[5] in c.nodes and r[2] in self.site.storages]
        found = [(top, who) for top, who in found
                 if top.children and top.path.startswith("files/") and self.site.owner(top) != who]
        if not found:
            return None
        top, who = self.rng.choice(found)
        return top, who, self.rng.choice(list(top.below()))

    def recipient_deletes(self):
        found = self._shared()
        if not found or len(found[2].name.encode()) > 230:
            return False
        top, who, node = found
        self.unusual.delete_by_recipient(node, who, top.name)

    def recipient_takes(self):
        found = self._shared()
        if not found:
            return False
        _, who, node = found
        place = self.place(who)
        self.unusual.move_out_of_share(node, place, self.name(place, None if node.folder else "txt"))

    def restore_elsewhere(self):
        """Into a folder that may be another one's."""
        found = self._trash_item()
        if not found:
            return False
        self.unusual.restore(*found, self.place(self.uid()))

    def _inside_trash(self):
        found = self._trash_item()
        below = list(found[1][0].below()) if found else []
        return (found[0], self.rng.choice(below)) if below else None

    def restore_inside(self):
        found = self._inside_trash()
        place = found and self.place(found[0])
        if not found or found[1].name in place.children:
            return False
        self.unusual.restore_inside(found[1], place)

    def purge_inside(self):
        found = self._inside_trash()
        if not found:
            return False
        self.unusual.purge_inside(found[1])

    def delete_in_one_second(self):
        uid = self.uid()
        first = self.pick(uid)
        place = self.place(uid, avoid=first) if first else None
        if not first or place is first.parent or first.name in place.children:
            return False
        if self.rng.random() < 0.5:
            second = self.site.mkdir(place, first.name)
        else:
            second = self.site.upload(place, first.name, self.content())
        self.unusual.delete_in_one_second(first, second)

    def delete_for_good(self):
        node = self.pick(self.uid())
        if not node:
            return False
        self.unusual.delete_for_good(node)

    def restore_version(self):
        uid = self.uid()
        for _ in range(20):
            node = self.pick(uid, folders=False)
            versions = self.site._versions_of(node) if node else []
            if versions:
                self.unusual.restore_version(self.rng.choice(versions), node)
                return None
        return False

    def copy_with_versions(self):
        uid = self.uid()
        node = self.pick(uid, folders=False)
        if not node or not self.site._versions_of(node):
            return False
        place = self.place(uid)
        self.unusual.copy_with_versions(node, place, self.name(place, "txt"))

    def expire_version(self):
        node = self.pick(self.uid(), folders=False)
        versions = self.site._versions_of(node) if node else []
        if not versions:
            return False
        self.unusual.expire_version(versions[0])

    def disable(self):
        """Somebody, or enable who is disabled."""
        uid = self.disabled or self.uid()
        self.unusual.enable(uid, bool(self.disabled))
        self.disabled = None if self.disabled else uid

    def scan(self):
        uid = self.uid()
        place, node = self.place(uid), self.pick(uid, folders=False)
        if not node:
            return False
        other = self.pick(uid, folders=False)
        self.unusual.scan(uid, [(place, self.name(place, "txt"), self.content()),
                                (place, self.name(place), None)], [(node, self.content())],
                          [other] if other is not node else [])

    def repair_mimetypes(self):
        self.unusual.repair_mimetypes("md", self.rng.choice(("text/plain", "text/markdown")))

    def regroup(self):
        """A group is deleted, and made again."""
        gid = self.rng.choice(sorted(self.site.groups))
        self.unusual.delete_group(gid)
        self.site.create_group(gid)

    def transfer_folder(self):
        giver, taker = self.uid(), self.uid()
        node = self.pick(giver, files=False)
        if not node or giver == taker:
            return False
        self.unusual.transfer_folder(node, taker)

    def transfer_home(self):
        giver, taker = self.uid(), self.uid()
        if giver == taker:
            return False
        self.unusual.transfer_home(giver, taker)

    def touch(self):
        node = self.pick(self.uid(), folders=False)
        if not node:
            return False
        self.unusual.touch(node, self.site.now() - self.rng.randrange(10 ** 8))

    def change_person(self):
        uid = self.uid()
        self.unusual.change_person(uid, f"{uid}{self.rng.randrange(9)}@example.org",
                                   quota=self.rng.choice(("none", "default", "10 GB")))

    def overwrite_within_a_second(self):
        node = self.pick(self.uid(), folders=False)
        if not node:
            return False
        for _ in range(3):
            self.site.overwrite(node, self.content())

    def replace_user(self):
        uid = self.uid()
        if uid == self.disabled:
            return False
        self.unusual.delete_user(uid)
        self.unusual.create_again(uid)

    WEIGHTS = {
        **Workload.WEIGHTS, "recipient_deletes": 8, "recipient_takes": 4, "restore_elsewhere": 4,
        "restore_inside": 4, "purge_inside": 3, "delete_in_one_second": 4, "delete_for_good": 3,
        "restore_version": 4, "scan": 4, "repair_mimetypes": 1, "regroup": 1, "transfer_folder": 2,
        "replace_user": 0.7, "copy_with_versions": 3, "expire_version": 2, "disable": 1.5,
        "transfer_home": 0.7, "touch": 3, "change_person": 1, "overwrite_within_a_second": 4}
