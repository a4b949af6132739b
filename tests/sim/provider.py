"""The storage provider: ProviderAPI and SpacesAPI over one store.

Used twice, for the users' storage and for the system storage. Which permission a call needs,
and with which words it fails, follows the real provider call by call; the tree's own rules are
in store.py, uploads.py and trash.py.
"""
import mimetypes
import os
import random
import time

import cs3.rpc.v1beta1.code_pb2 as code
import cs3.storage.provider.v1beta1.provider_api_pb2 as api
import cs3.storage.provider.v1beta1.resources_pb2 as resources
import cs3.storage.provider.v1beta1.spaces_api_pb2 as spaces_api
import values
from errors import Aborted, BadRequest, ChecksumMismatch, InsufficientStorage, Locked, NotFound, OK, \
    AlreadyExists, PermissionDenied, PreconditionFailed, SimError, TooEarly, status, status_of
from grants import Grants, expired
from store import FAVORITE, FILE, FOLDER

TRUE = ("1", "t", "T", "true", "TRUE", "True")
UPLOAD_LIFE = 86400
INITIATE = {
    NotFound: (code.CODE_NOT_FOUND, "path not found when initiating upload"),
    PermissionDenied: (code.CODE_PERMISSION_DENIED, "permission denied"),
    InsufficientStorage: (code.CODE_INSUFFICIENT_STORAGE, "insufficient storage"),
    PreconditionFailed: (code.CODE_FAILED_PRECONDITION, "failed precondition"),
    Locked: (code.CODE_LOCKED, "locked"),
}
LISTING = {
    NotFound: (code.CODE_NOT_FOUND, "%s not found when listing %s"),
    PermissionDenied: (code.CODE_PERMISSION_DENIED, "permission denied"),
}


class Provider(Grants):
    def __init__(self, store, uploads, trash, people, endpoint):
        self.store, self.uploads, self.trash = store, uploads, trash
        self.people, self.endpoint = people, endpoint

    # ---- shapes
    def node_id(self, node):
        return resources.ResourceId(storage_id=self.store.storage_id, space_id=node.space.id,
                                    opaque_id=node.id)

    def owner(self, space):
        if space.owner:
            return self.people.user_id(space.owner)
        return None

    def info(self, node, user, have, relative, with_space=False):
        path = "."
        if node.parent is not None:
            path = node.name if relative else self.store.path(node)
        kind = "httpd/unix-directory"
        if not node.folder:
            kind = mimetypes.guess_type(node.name)[0] or "application/octet-stream"
        info = resources.ResourceInfo(
            type=FOLDER if node.folder else FILE, id=self.node_id(node), path=path,
            etag=node.etag(), mime_type=kind, mtime=values.shown_time(node.time()),
            size=node.weight(), permission_set=values.permission_message(have),
            owner=self.owner(node.space), name=node.name)
        info.parent_id.storage_id = self.store.storage_id
        info.parent_id.space_id = node.space.id
        if node.parent is not None:
            info.parent_id.opaque_id = node.parent.id
        info.arbitrary_metadata.metadata[FAVORITE] = node.favorites.get(user.uid, "")
        for key, value in node.metadata.items():
            info.arbitrary_metadata.metadata[key] = value
        if node.sums:
            info.checksum.type = resources.RESOURCE_CHECKSUM_TYPE_SHA1
            info.checksum.sum = node.sums["sha1"]
            values.opaque_put(info.opaque, "md5", node.sums["md5"])
            values.opaque_put(info.opaque, "adler32", node.sums["adler32"])
        if node.processing:
            values.opaque_put(info.opaque, "status", "processing")
        if node.grants:
            kinds = sorted({"1" if k[0] == "u" else "2" for k in node.grants})
            values.opaque_put(info.opaque, "share-types", ",".join(kinds))
        if node.folder and node.space.quota is not None:
            values.opaque_put(info.opaque, "quota", str(node.space.quota))
        if with_space:  # on that way, grants that have expired are removed
            for key in [k for k, g in node.grants.items() if expired(g)]:
                node.grants = {k: g for k, g in node.grants.items() if k != key}
            info.space.CopyFrom(self.space_message(node.space, user))
        return info

    def space_message(self, space, user):
        root = self.node_id(space.root)
        text = values.id_text(self.store.storage_id, space.id, space.id)
        message = resources.StorageSpace(root=root, name=space.name, space_type=space.kind,
                                         mtime=values.shown_time(space.root.time()))
        message.id.opaque_id = text
        if space.owner:
            message.owner.id.CopyFrom(self.people.user_id(space.owner))
        if space.quota is not None:
            message.quota.quota_max_bytes = space.quota
        return message

    # ---- reading
    def Stat(self, req, call):
        if not req.HasField("ref"):
            call.abort("INTERNAL", "runtime error: invalid memory address or nil pointer "
                       "dereference")
        try:
            with self.store.lock:
                place = self.store.find(req.ref)
                if place.node is None:
                    raise place.missing()
                have = self.store.permissions(call.user, place.space, place.node)
                if "stat" not in have:
                    raise NotFound(values.ref_text(req.ref))
                info = self.info(place.node, call.user, have, values.is_relative(req.ref),
                                 not req.field_mask.paths or "space" in req.field_mask.paths
                                 or "*" in req.field_mask.paths)
            return api.StatResponse(status=OK, info=info)
        except SimError as e:
            return api.StatResponse(status=status_of("stat", e))

    def _children(self, req, call):
        with self.store.lock:
            node, have = self.store.existing(call.user, req.ref, "list_container")
            if not node.folder:
                raise SimError("readdirent %s: not a directory" % node.id)
            relative = values.is_relative(req.ref)
            out = []
            for child in list(node.children.values()):
                more = self.store.granted(call.user, child)
                if more is None:
                    continue  # denied
                out.append(self.info(child, call.user, have | more, relative))
            return out

    def ListContainer(self, req, call):
        try:
            return api.ListContainerResponse(status=OK, infos=self._children(req, call))
        except SimError as e:
            return api.ListContainerResponse(status=status_of("list container", e))

    def ListContainerStream(self, req, call):
        try:
            for info in self._children(req, call):
                yield api.ListContainerStreamResponse(status=OK, info=info)
        except SimError as e:
            yield api.ListContainerStreamResponse(
                status=self._listing(e, "path", "container", "error listing container: "))

    def _listing(self, e, what, where, words):
        number, text = LISTING.get(type(e), (code.CODE_INTERNAL, words))
        return status(number, text % (what, where) if "%s" in text else text)

    def GetPath(self, req, call):
        try:
            with self.store.lock:
                place = self.store.find_id(req.resource_id)
                if place.node is None:
                    raise place.missing()
                rid = req.resource_id
                self.store.need(call.user, place, "get_path",
                                values.id_text(rid.storage_id, rid.space_id, rid.opaque_id))
                return api.GetPathResponse(status=OK, path=self.store.path(place.node))
        except SimError as e:
            return api.GetPathResponse(status=status_of("get path", e))

    def GetQuota(self, req, call):
        try:
            with self.store.lock:
                node, _ = self.store.existing(call.user, req.ref, "get_quota")
                used, quota = node.treesize, node.space.quota
                res = api.GetQuotaResponse(status=OK, used_bytes=used, total_bytes=quota or 0)
                left = (1 << 64) - 1 if quota is None else max(0, quota - used)
                values.opaque_put(res.opaque, "remaining", str(left))
                return res
        except SimError as e:
            return api.GetQuotaResponse(
                status=self._listing(e, "path", "quota", "error getting quota"))

    # ---- the tree
    def CreateContainer(self, req, call):
        try:
            self.store.create_folder(call.user, req.ref)
            return api.CreateContainerResponse(status=OK)
        except SimError as e:
            return api.CreateContainerResponse(status=status_of("create container", e))

    def TouchFile(self, req, call):
        try:
            self.store.touch(call.user, req.ref, values.opaque_text(req.opaque, "X-OC-Mtime"))
            return api.TouchFileResponse(status=OK)
        except SimError as e:
            return api.TouchFileResponse(status=status_of("touch file", e))

    def Move(self, req, call):
        try:
            if self.store.move(call.user, req.source, req.destination) == "circle":
                call.hang()
            return api.MoveResponse(status=OK)
        except SimError as e:
            return api.MoveResponse(status=status_of("move", e))

    def Delete(self, req, call):
        if req.ref.path == "/":
            return api.DeleteResponse(status=status(code.CODE_INTERNAL, "can't delete mount path"))
        try:
            node = self.store.delete(call.user, req.ref)
            res = api.DeleteResponse(status=OK)
            values.opaque_put(res.opaque, "opaque_id", node.id)
            return res
        except TooEarly as e:
            res = api.DeleteResponse(status=status(code.CODE_TOO_EARLY, e.text))
            values.opaque_put(res.opaque, "status", "processing")
            return res
        except NotFound as e:
            return api.DeleteResponse(status=status_of("can't stat resource to delete", e))
        except SimError as e:
            return api.DeleteResponse(status=status_of("delete", e))

    def SetArbitraryMetadata(self, req, call):
        try:
            self.store.set_metadata(call.user, req.ref, req.arbitrary_metadata.metadata)
            return api.SetArbitraryMetadataResponse(status=OK)
        except SimError as e:
            return api.SetArbitraryMetadataResponse(status=status_of("set arbitrary metadata", e))

    def UnsetArbitraryMetadata(self, req, call):
        try:
            self.store.unset_metadata(call.user, req.ref, req.arbitrary_metadata_keys)
            return api.UnsetArbitraryMetadataResponse(status=OK)
        except SimError as e:
            return api.UnsetArbitraryMetadataResponse(
                status=status_of("unset arbitrary metadata", e))

    # ---- content
    def InitiateFileUpload(self, req, call):
        def answer(number, words):
            return api.InitiateFileUploadResponse(status=status(number, words))

        if req.ref.path == "/":
            return answer(code.CODE_INTERNAL, "can't upload to mount path")
        before = self.Stat(api.StatRequest(ref=req.ref), call)
        if before.status.code == code.CODE_OK and req.if_not_exist:
            return answer(code.CODE_ALREADY_EXISTS, "already exists")
        if before.status.code not in (code.CODE_OK, code.CODE_NOT_FOUND):
            return api.InitiateFileUploadResponse(status=before.status)
        meta = {}
        if req.if_match:
            if req.if_match != before.info.etag:
                return answer(code.CODE_FAILED_PRECONDITION, "etag mismatch")
            meta["if-match"] = req.if_match
        length = 0
        if "Upload-Length" in req.opaque.map:
            text = values.opaque_text(req.opaque, "Upload-Length")
            if not text.lstrip("+-").isdigit():
                return answer(code.CODE_INTERNAL, "error parsing upload length")
            length = int(text)
        for key, name in (("Upload-Checksum", "checksum"), ("X-OC-Mtime", "mtime")):
            text = values.opaque_text(req.opaque, key)
            if text is not None:
                meta[name] = text
        try:
            session = self.uploads.initiate(call.user, req.ref, length, meta)
        except (BadRequest, ChecksumMismatch) as e:
            return answer(code.CODE_INVALID_ARGUMENT, "error: bad request: " + e.text)
        except SimError as e:
            number, words = INITIATE.get(type(e), (code.CODE_INTERNAL,
                                                   "error getting upload id: " + e.text))
            return answer(number, words)
        res = api.InitiateFileUploadResponse(status=OK)
        for protocol in random.sample(("simple", "tus"), 2):  # in no order
            p = res.protocols.add(protocol=protocol, expose=False)
            p.upload_endpoint = "%s/data/%s/%s" % (self.endpoint(), protocol, session.id)
            p.expiration.seconds = int(time.time()) + UPLOAD_LIFE
        if before.status.code == code.CODE_NOT_FOUND:
            values.opaque_put(res.opaque, "created", "true")
        return res

    def InitiateFileDownload(self, req, call):
        res = api.InitiateFileDownloadResponse(status=OK)
        p = res.protocols.add(protocol="simple")
        p.download_endpoint = self.endpoint() + "/data/simple" + req.ref.path
        if values.is_relative(req.ref):
            rid = req.ref.resource_id
            text = values.id_text(rid.storage_id or self.store.storage_id, rid.space_id,
                                  rid.opaque_id)
            p.protocol = "spaces"
            p.download_endpoint = self.endpoint() + os.path.normpath(
                "/data/spaces/" + text + "/" + req.ref.path)
        return res

    def ListFileVersions(self, req, call):
        try:
            node, versions = self.uploads.versions(call.user, req.ref)
        except SimError as e:
            return api.ListFileVersionsResponse(status=status_of("list file versions", e))
        res = api.ListFileVersionsResponse(status=OK)
        for stamp, (_, size, _) in versions:
            res.versions.add(key=node.id + ".REV." + values.rfc3339nano(stamp), size=size,
                             mtime=values.shown_time(stamp).seconds,
                             etag=values.etag(node.id, stamp))
        return res

    def RestoreFileVersion(self, req, call):
        try:
            self.uploads.restore_version(call.user, req.ref, req.key)
            return api.RestoreFileVersionResponse(status=OK)
        except SimError as e:
            return api.RestoreFileVersionResponse(status=status_of("restore file version", e))

    # ---- locks
    def SetLock(self, req, call):
        try:
            with self.store.lock:
                node, _ = self.store.existing(call.user, req.ref, "initiate_file_upload")
                if node.held is not None:
                    raise PreconditionFailed("already locked")
                node.held = req.lock
            return api.SetLockResponse(status=OK)
        except SimError as e:
            return api.SetLockResponse(status=status_of("set lock", e))

    def GetLock(self, req, call):
        try:
            with self.store.lock:
                node, _ = self.store.existing(call.user, req.ref, "initiate_file_download")
                if node.held is None:
                    raise NotFound("no lock found")
                return api.GetLockResponse(status=OK, lock=node.held)
        except SimError as e:
            return api.GetLockResponse(status=status_of("get lock", e))

    def Unlock(self, req, call):
        try:
            with self.store.lock:
                node, _ = self.store.existing(call.user, req.ref, "initiate_file_upload")
                if node.held is None or node.held.lock_id != req.lock.lock_id:
                    raise Aborted("lock not found or of another")
                node.held = None
            return api.UnlockResponse(status=OK)
        except SimError as e:
            return api.UnlockResponse(status=status_of("unlock", e))

    # ---- trash
    def ListRecycle(self, req, call):
        try:
            found = self.trash.list(call.user, req.ref, req.key)
        except SimError as e:
            return api.ListRecycleResponse(
                status=self._listing(e, "resource", "recycle", "error listing recycle"))
        res = api.ListRecycleResponse(status=OK)
        for node, key, origin, stamp, size in found:
            item = res.recycle_items.add(type=FOLDER if node.folder else FILE, key=key,
                                         size=size)
            item.ref.path = origin
            item.deletion_time.seconds = stamp // values.SECOND
        return res

    def ListRecycleStream(self, req, call):
        whole = self.ListRecycle(req, call)
        if whole.status.code != code.CODE_OK:
            yield api.ListRecycleStreamResponse(status=whole.status)
        for item in whole.recycle_items:
            yield api.ListRecycleStreamResponse(status=OK, recycle_item=item)

    def RestoreRecycleItem(self, req, call):
        try:
            target = req.restore_ref if req.HasField("restore_ref") else None
            self.trash.restore(call.user, req.ref, req.key, target)
            return api.RestoreRecycleItemResponse(status=OK)
        except SimError as e:
            return api.RestoreRecycleItemResponse(status=status_of("restore recycle item", e))

    def PurgeRecycle(self, req, call):
        words = "error purging recycle item" if req.key else "error emptying recycle"
        try:
            self.trash.purge(call.user, req.ref, req.key)
            return api.PurgeRecycleResponse(status=OK)
        except SimError as e:
            return api.PurgeRecycleResponse(status=status_of(words, e))

    # ---- spaces
    def CreateHome(self, req, call):
        call.abort("UNKNOWN", "error: not supported: use CreateStorageSpace with type personal")

    def create_space(self, user, kind, name, owner, quota=None, sid=None):
        """Trap: a personal space is the caller's own, whoever was named as its owner."""
        if kind == "personal":
            owner = sid = user.uid
        space = self.store.add_space(kind, owner if kind == "personal" else None, name, sid)
        space.quota = quota
        return space

    def CreateStorageSpace(self, req, call):
        try:
            sid = values.opaque_text(req.opaque, "spaceid")
            quota = req.quota.quota_max_bytes if req.HasField("quota") else None
            space = self.create_space(call.user, req.type, req.name, req.owner.id.opaque_id,
                                      quota, sid)
            return spaces_api.CreateStorageSpaceResponse(
                status=OK, storage_space=self.space_message(space, call.user))
        except AlreadyExists:
            return spaces_api.CreateStorageSpaceResponse(
                status=status(code.CODE_ALREADY_EXISTS, "already exists"))

    def ListStorageSpaces(self, req, call):
        user = call.user
        kind = wanted = who = None
        for f in req.filters:
            which = f.WhichOneof("term")
            if which == "space_type" and not f.space_type.startswith("+"):
                kind = f.space_type
            elif which == "id":
                wanted = f.id.opaque_id
            elif which == "user":
                who = f.user.opaque_id
            elif which == "owner":
                who = f.owner.opaque_id
        privileged = user.service or getattr(user, "admin", False)
        if who and who != user.uid and not privileged:
            return spaces_api.ListStorageSpacesResponse(
                status=status(code.CODE_PERMISSION_DENIED, "permission denied"))
        free = user.service or (getattr(user, "admin", False)
                                and values.opaque_text(req.opaque, "unrestricted") in TRUE)
        res = spaces_api.ListStorageSpacesResponse(status=OK)
        with self.store.lock:
            for space in self.store.spaces.values():
                text = values.id_text(self.store.storage_id, space.id, space.id)
                if wanted is not None and wanted.split("!")[0] not in (
                        space.id, text.split("!")[0]):
                    continue
                if kind is not None and kind != space.kind:
                    continue
                if who and space.owner != who:
                    continue
                if not free and "stat" not in self.store.permissions(user, space, space.root):
                    continue
                res.storage_spaces.append(self.space_message(space, user))
        return res
