"""The trash of a space: list, restore, purge.

A trashed item keeps its node id, which is its recycle key; things below it are addressed by key
and path ("<key>/a/b"). The time of deletion is always the time of the call. Restoring an item
that is not there is INTERNAL, purging it NOT_FOUND: the real server never made them alike.
"""
import values
from errors import AlreadyExists, BadRequest, NotFound, PermissionDenied, SimError


class Trash:
    def __init__(self, store):
        self.store = store

    def _space(self, sid):
        space = self.store.spaces.get(sid)
        if space is not None and space.broken:
            raise SimError("node.Xattr user.ocis.name: no data available")
        return space

    def _item(self, space, key):
        """(trashed, node, relative path)"""
        key, _, relative = key.lstrip("/").partition("/")
        trashed = space.trash.get(key) if space is not None else None
        if trashed is None:
            return None, None, relative
        node = trashed.node
        for name in [n for n in relative.split("/") if n]:
            node = node.children.get(name) if node.folder else None
            if node is None:
                return trashed, None, relative
        return trashed, node, relative

    def _need(self, user, space, node, name, about):
        have = self.store.permissions(user, space, node, trash=True)
        if name not in have:
            raise PermissionDenied(about) if "stat" in have else NotFound(about)

    def list(self, user, ref, key):
        """[(node, key, origin, time, size)]; sizes at the top are those of the bare node files."""
        with self.store.lock:
            sid = ref.resource_id.opaque_id
            if not sid:
                raise BadRequest("spaceid required")
            space = self._space(sid)
            if space is None:
                raise NotFound(key)
            self._need(user, space, space.root, "list_recycle", key)
            if not key:
                return [(t.node, t.node.id, t.origin, t.time, 4096 if t.node.folder else 0)
                        for t in space.trash.values()]
            trashed, node, relative = self._item(space, key)
            if trashed is None or node is None:
                raise SimError("no such file or directory")
            top = trashed.node.id
            if "/" not in key.lstrip("/"):
                return [(node, top, trashed.origin, trashed.time, node.weight())]
            if not node.folder:
                raise SimError("not a directory")
            return [(c, values.joined(top, relative, n),
                     values.joined(trashed.origin, relative, n), trashed.time, c.weight())
                    for n, c in node.children.items()]

    def restore(self, user, ref, key, target):
        store = self.store
        with store.lock:
            space = self._space(ref.resource_id.space_id)
            trashed, node, relative = self._item(space, key)
            if node is None:
                raise SimError("lstat trash/%s: no such file or directory" % key)
            if target is None:
                import cs3.storage.provider.v1beta1.resources_pb2 as resources
                rid = resources.ResourceId(space_id=space.id, opaque_id=space.id)
                origin = values.joined(trashed.origin, relative)
                target = resources.Reference(resource_id=rid, path="." + origin)
            place = store.find(target)
            folder = store.parent_node(place)
            self._need(user, space, node, "restore_recycle_item", key)
            if folder is not None:
                have = store.permissions(user, place.space, folder)
                if "initiate_file_upload" not in have:
                    raise PermissionDenied(key)
            if place.node is not None:
                raise AlreadyExists("origin already exists")
            if folder is None:
                raise SimError("symlink %s: no such file or directory" % place.name)
            if not folder.folder:
                raise SimError("symlink %s: not a directory" % place.name)
            if relative.strip("/"):
                del node.parent.children[node.name]
            else:
                node.trashed = None
                del space.trash[node.id]
            store.link(node, folder, place.name)
            store.propagate(node, node.weight())

    def purge(self, user, ref, key):
        store = self.store
        with store.lock:
            space = self._space(ref.resource_id.opaque_id)
            if not key:
                if space is None:
                    raise NotFound("")
                self._need(user, space, space.root, "list_recycle", key)
                for top in list(space.trash):
                    self.purge(user, ref, top)
                return
            _, node, relative = self._item(space, key)
            if node is None:
                raise NotFound(key.partition("/")[0])
            self._need(user, space, node, "purge_recycle", key)
            if relative.strip("/"):
                del node.parent.children[node.name]
            else:
                del space.trash[node.id]
            self._drop(space, node)

    def _drop(self, space, node):
        space.nodes.pop(node.id, None)
        for child in list(node.children.values()) if node.folder else ():
            self._drop(space, child)
