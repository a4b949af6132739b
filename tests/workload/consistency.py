"""
Do the tables, the disk and the workload's own memory agree with each other?

A workload that contradicts itself would make Lockstep look wrong, or right by accident; so this is
checked after random runs. Returns sentences, one for each contradiction.
"""

import hashlib
import os

from .cache import FOLDER


def problems(site):
    return list(_rows(site)) + [p for uid in site.storages for p in _home(site, uid)]


def _rows(site):
    """Rows against each other and against the memory."""
    found = site.sql("SELECT fileid, storage, path, path_hash, parent, name, size, mtime, etag,"
                     " checksum FROM oc_filecache").fetchall()
    nodes = site.cache.nodes
    if len(found) != len(nodes):
        yield f"{len(found)} rows, {len(nodes)} nodes in memory"
    by_id = {row[0]: row for row in found}
    for fileid, storage, path, path_hash, parent, name, size, mtime, etag, checksum in found:
        if hashlib.md5(path.encode()).hexdigest() != path_hash:
            yield f"row {fileid}: path_hash is not the path's"
        if parent != -1:
            above = by_id.get(parent)
            if not above:
                yield f"row {fileid}: parent {parent} is missing"
                continue
            if path != (above[2] + "/" if above[2] else "") + name:
                yield f"row {fileid}: path {path!r} is not its parent's path and its name"
            if storage != above[1]:
                yield f"row {fileid}: storage {storage}, its parent's is {above[1]}"
        node = nodes.get(fileid)
        if not node:
            yield f"row {fileid}: not in memory"
            continue
        for key, value in (("storage", storage), ("path", path), ("size", size),
                           ("mtime", mtime), ("etag", etag), ("checksum", checksum)):
            if getattr(node, key) != value:
                yield f"row {fileid}: {key} is {value!r}, in memory {getattr(node, key)!r}"


def _home(site, uid):
    """The rows of one home against the disk, both ways."""
    root = site.root(uid)
    place = site.data / uid
    known = set()
    for node in root.below():
        known.add(node.path)
        file = place / node.path
        if node.folder:
            if not file.is_dir() and node.name not in ("cache",):
                yield f"{uid}: folder {node.path!r} is not on disk"
            continue
        if not file.is_file():
            yield f"{uid}: file {node.path!r} is not on disk"
            continue
        content = file.read_bytes()
        if len(content) != node.size:
            yield f"{uid}: {node.path!r} has {len(content)} bytes, its row says {node.size}"
        if node.checksum and hashlib.sha1(content).hexdigest() not in node.checksum:
            yield f"{uid}: {node.path!r} has another checksum than its row"
        if node.path.startswith("files/") and int(os.stat(file).st_mtime) != node.mtime:
            yield f"{uid}: {node.path!r} has another mtime than its row"
    for folder, folders, files in os.walk(place):
        for name in folders + files:
            path = os.path.relpath(os.path.join(folder, name), place)
            if path not in known:
                yield f"{uid}: {path!r} is on disk, but has no row"
    trash = root.children.get("files_trashbin")
    items = trash.children["files"].children if trash else {}
    named = {f"{name}.d{when}" for name, when in site.sql(
        "SELECT id, timestamp FROM oc_files_trash WHERE user = %s", uid).fetchall()}
    if set(items) != named:
        yield f"{uid}: trash rows and oc_files_trash differ: {set(items) ^ named}"
    for node in root.children["files"].below():
        if node.mime == FOLDER:
            total = sum(max(c.size, 0) for c in node.children.values())
            if node.size != total:
                yield f"{uid}: folder {node.path!r} has size {node.size}, its children {total}"
