"""User and group shares at the gateway, over the share manager's files.

A share is an entry in its space's file, in its creator's list and in its recipient's, and a
grant on the node. The files are written side by side, then the grant, and only partly undone on failure:
  - a caller whose deadline passes in between leaves the share whole in the files and the grant as it
    was: a new one without, which UpdateShare then answers with INTERNAL for good, a removed one with;
  - a file that was overtaken and cannot be read again at that moment fails the call (INTERNAL),
    and what stands in the other files stays;
  - a grant left over from earlier makes CreateShare fail with ALREADY_EXISTS, and the clean-up
    takes the grant away: once again succeeds;
  - an unknown node is a crash of the handler (gRPC INTERNAL), not NOT_FOUND;
  - RemoveShare and UpdateShare of something unknown, or in the trash, is INTERNAL;
  - an expiry in the past is accepted, the next listing removes the share, the next Stat the grant.
"""
import json
import time
import uuid

import cs3.rpc.v1beta1.code_pb2 as code
import cs3.sharing.collaboration.v1beta1.collaboration_api_pb2 as api
import cs3.sharing.collaboration.v1beta1.resources_pb2 as shares_pb2
import cs3.storage.provider.v1beta1.provider_api_pb2 as provider_api
import cs3.storage.provider.v1beta1.resources_pb2 as resources
import values
from errors import OK, ManagerFailed, SimError, status, status_of
from grants import GROUP, USER, expired
from metadata import SHARES, from_go, to_go
from store import FILE, User

CRASH = "runtime error: invalid memory address or nil pointer dereference"
GRANTING = ("add_grant", "update_grant", "remove_grant", "deny_grant")
ACCEPTED = shares_pb2.SHARE_STATE_ACCEPTED
PENDING = shares_pb2.SHARE_STATE_PENDING


def ssid_of(rid):
    return rid.storage_id + ":" + rid.space_id


def text_of(message):
    """One line, roughly as Go prints a message."""
    text = " ".join(str(message).split())
    for a, b in ((" {", ":{"), ("{ ", "{"), (" }", "}"), (': "', ':"'), (": ", ":")):
        text = text.replace(a, b)
    return text


def same_node(a, b):
    return (a.storage_id, a.space_id, a.opaque_id) == (b.storage_id, b.space_id, b.opaque_id)


def same_grantee(a, b):
    return a.type == b.type and a.user_id.opaque_id == b.user_id.opaque_id \
        and a.group_id.opaque_id == b.group_id.opaque_id


def created_by(share, user):
    return user.uid in (share.creator.opaque_id, share.owner.opaque_id)


def granted_to(share, user):
    if share.grantee.type == USER:
        return share.grantee.user_id.opaque_id == user.uid
    return share.grantee.group_id.opaque_id in user.groups


def stamp(field):
    now = values.shown_time(values.now_ns())
    field.CopyFrom(now)


def matches(share, filters, state=None):
    """All kinds of filters that are there; of one kind, any."""
    kinds = {}
    for f in filters:
        kinds.setdefault(f.type, []).append(f)
    F = shares_pb2.Filter
    tests = {
        F.TYPE_RESOURCE_ID: lambda f: same_node(f.resource_id, share.resource_id),
        F.TYPE_GRANTEE_TYPE: lambda f: f.grantee_type == share.grantee.type,
        F.TYPE_EXCLUDE_DENIALS: lambda f: bool(
            values.permission_names(share.permissions.permissions)),
        F.TYPE_SPACE_ID: lambda f: f.space_id == share.resource_id.space_id,
        F.TYPE_STATE: lambda f: f.state == state,
        F.TYPE_OWNER: lambda f: f.owner.opaque_id == share.owner.opaque_id,
        F.TYPE_CREATOR: lambda f: f.creator.opaque_id == share.creator.opaque_id,
    }
    return all(any(tests.get(k, lambda f: True)(f) for f in group) for k, group in kinds.items())


class Sharing:
    """Mixed into Gateway; needs self.provider, self.people, self.files, self.desk."""

    # ---- the manager's files
    def _space_path(self, ssid):
        return "storages/%s.json" % ssid.replace(":", "/", 1)

    def _space_shares(self, ssid):
        value, _ = self.files.read(SHARES, self._space_path(ssid))
        found = (value or {}).get("Shares") or {}
        return {k: from_go(shares_pb2.Share(), v) for k, v in found.items()}

    def _put_share(self, share):
        def change(value):
            value.setdefault("Shares", {})[share.id.opaque_id] = to_go(share)
        ssid = ssid_of(share.resource_id)
        self.files.change(SHARES, self._space_path(ssid), change, lambda: {"Shares": {}})

    def _list_change(self, path, ssid, sid, keep):
        def change(value):
            ids = value.setdefault("UserShares", {}).setdefault(ssid, {"IDs": {}})["IDs"]
            ids.pop(sid, None)
            if keep:
                ids[sid] = {}
        self.files.change(SHARES, path, change, lambda: {"UserShares": {}})

    def _states(self, uid):
        value, _ = self.files.read(SHARES, "users/%s/received.json" % uid)
        return {s: space.get("States") or {}
                for s, space in ((value or {}).get("Spaces") or {}).items()}

    def _put_state(self, uid, ssid, sid, state):
        def change(value):
            states = value.setdefault("Spaces", {}).setdefault(ssid, {"States": {}})["States"]
            states.pop(sid, None)
            if state is not None:
                states[sid] = state
        self.files.change(SHARES, "users/%s/received.json" % uid, change, lambda: {"Spaces": {}})

    def _drop(self, share):
        ssid, sid = ssid_of(share.resource_id), share.id.opaque_id
        self.files.change(SHARES, self._space_path(ssid),
                          lambda v: v.setdefault("Shares", {}).pop(sid, None),
                          lambda: {"Shares": {}})
        self._list_change("users/%s/created.json" % share.creator.opaque_id, ssid, sid, False)
        if share.grantee.type == USER:
            self._put_state(share.grantee.user_id.opaque_id, ssid, sid, None)

    def _load(self, ref):
        """By id or by key; None when there is none."""
        if ref.WhichOneof("spec") == "key":
            for share in self._space_shares(ssid_of(ref.key.resource_id)).values():
                if same_node(share.resource_id, ref.key.resource_id) \
                        and same_grantee(share.grantee, ref.key.grantee):
                    return share
            return None
        sid = ref.id.opaque_id
        if sid.count(":") < 2:
            return None
        return self._space_shares(sid.rsplit(":", 1)[0]).get(sid)

    def _stat(self, rid, call):
        ref = resources.Reference(resource_id=rid)
        return self.provider.Stat(provider_api.StatRequest(ref=ref), call)

    def _get(self, ref, call):
        """(share, text of NOT_FOUND)"""
        share = self._load(ref)
        if share is None:
            inner = ref.id if ref.WhichOneof("spec") == "id" else ref
            return None, "error: not found: " + text_of(inner)
        if expired(share):
            self._drop(share)
        if created_by(share, call.user) or granted_to(share, call.user):
            return share, None
        seen = self._stat(share.resource_id, call)
        if seen.status.code == code.CODE_OK and seen.info.permission_set.list_grants:
            return share, None
        return None, "error: not found: " + text_of(ref)

    def _grant(self, share, user):
        grant = resources.Grant(grantee=share.grantee,
                                permissions=share.permissions.permissions)
        grant.creator.opaque_id = user.uid
        if share.HasField("expiration"):
            grant.expiration.CopyFrom(share.expiration)
        return grant

    # ---- calls of the one who shares
    def CreateShare(self, req, call):
        info = req.resource_info
        if info.id.opaque_id and info.id.opaque_id == info.id.space_id \
                and info.space.space_type in ("personal", "virtual"):
            return api.CreateShareResponse(status=status(
                code.CODE_INVALID_ARGUMENT, "space type is not eligible for sharing"))
        res = self.share_only(req, call)
        if res.status.code != code.CODE_OK:
            return res
        self._go_on(call, "CreateShare")
        try:
            ref = resources.Reference(resource_id=info.id)
            self.provider.add_grant(call.user, ref, self._grant(res.share, call.user))
        except SimError as e:
            key = shares_pb2.ShareKey(resource_id=info.id, grantee=req.grant.grantee)
            self.RemoveShare(api.RemoveShareRequest(ref=shares_pb2.ShareReference(key=key)), call)
            return api.CreateShareResponse(status=status_of("add grant", e))
        return res

    def _go_on(self, call, name):
        """Between the share managers' files, which nothing cuts short, and the grant: a caller whose
        time is over is not served further, so the grant stays as it is."""
        for rule in self.desk.between("between." + name):
            if rule["effect"] == "latency":
                time.sleep(rule.get("ms", 100) / 1000)
            else:
                call.abort(rule.get("status", "DEADLINE_EXCEEDED"),
                           "gateway: error calling " + name)
        if not call.context.is_active():
            call.abort("DEADLINE_EXCEEDED", "gateway: error calling " + name)

    def share_only(self, req, call):
        """What the sharing service does itself: all but the grant."""
        info, grant, user = req.resource_info, req.grant, call.user
        wanted = values.permission_names(grant.permissions.permissions)

        def refuse(number, words):
            return api.CreateShareResponse(status=status(number, words))

        if wanted & set(GRANTING):
            return refuse(code.CODE_INVALID_ARGUMENT, "resharing not supported")
        if grant.grantee.type == USER and not grant.grantee.user_id.idp:
            grant.grantee.user_id.idp = self.people.idp
            grant.grantee.user_id.type = 1
        seen = self._stat(info.id, call)
        if seen.status.code != code.CODE_OK:
            call.abort("INTERNAL", "gateway: error calling CreateShare: rpc error: code = "
                       "Internal desc = " + CRASH)
        have = values.permission_names(seen.info.permission_set)
        if "add_grant" not in have:
            return refuse(code.CODE_PERMISSION_DENIED,
                          "no permission to add grants on shared resource")
        if not wanted <= have:
            return refuse(code.CODE_PERMISSION_DENIED,
                          "insufficient permissions to create that kind of share")
        if seen.info.type == FILE and wanted & {"create_container", "move", "delete"}:
            return refuse(code.CODE_INVALID_ARGUMENT,
                          "cannot set the requested permissions on that type of resource")
        grantee = grant.grantee
        if grantee.type == USER and grantee.user_id.idp == self.people.idp \
                and grantee.user_id.opaque_id in (user.uid, info.owner.opaque_id):
            return refuse(code.CODE_INVALID_ARGUMENT, "error creating share:error: bad request: "
                          "jsoncs3: owner/creator and grantee are the same")
        key = shares_pb2.ShareKey(resource_id=info.id, grantee=grantee)
        if self._there(key):
            return refuse(code.CODE_ALREADY_EXISTS,
                          "error creating share: error: already exists: " + text_of(key))
        try:
            share = self._store_new(info, grant, user)
        except ManagerFailed as e:
            return refuse(code.CODE_INTERNAL, "error creating share:" + e.text)
        res = api.CreateShareResponse(status=OK, share=share)
        values.opaque_put(res.opaque, "resourcename", seen.info.name)
        return res

    def _store_new(self, info, grant, user):
        share = shares_pb2.Share(resource_id=info.id, permissions=grant.permissions,
                                 grantee=grant.grantee)
        ssid = ssid_of(info.id)
        sid = share.id.opaque_id = ssid + ":" + str(uuid.uuid4())
        if grant.HasField("expiration"):
            share.expiration.CopyFrom(grant.expiration)
        if info.HasField("owner"):
            share.owner.CopyFrom(info.owner)
        share.creator.CopyFrom(self.people.user_id(user.uid))
        stamp(share.ctime)
        share.mtime.CopyFrom(share.ctime)
        steps = [lambda: self._put_share(share),
                 lambda: self._list_change("users/%s/created.json" % user.uid, ssid, sid, True)]
        if share.grantee.type == USER:
            steps.append(lambda: self._put_state(
                share.grantee.user_id.opaque_id, ssid, sid,
                {"State": PENDING, "MountPoint": None, "Hidden": False}))
        elif share.grantee.type == GROUP:
            steps.append(lambda: self._list_change(
                "groups/%s/received.json" % share.grantee.group_id.opaque_id, ssid, sid, True))
        failed = None
        for step in steps:  # side by side there: what was written by the others stays
            try:
                step()
            except ManagerFailed as e:
                failed = failed or e
        if failed:
            raise failed
        return share

    def _there(self, key):
        """Is there one? When the file cannot be read: no."""
        try:
            return self._load(shares_pb2.ShareReference(key=key)) is not None
        except ManagerFailed:
            return False

    def GetShare(self, req, call):
        share, words = self._get(req.ref, call)
        if share is None:
            return api.GetShareResponse(status=status(code.CODE_NOT_FOUND, words))
        return api.GetShareResponse(status=OK, share=share)

    def _unlocked(self, rid, call):
        """None, or the status with which changes to a share end when its node is not there."""
        seen = self._stat(rid, call)
        if seen.status.code == code.CODE_OK:
            return None
        return status(code.CODE_INTERNAL, "can not get share stat " + seen.status.message)

    def RemoveShare(self, req, call):
        share, _ = self._get(req.ref, call)
        if share is None:
            return api.RemoveShareResponse(status=status(
                code.CODE_INTERNAL, "error getting share when committing to the storage"))
        bad = self._unlocked(share.resource_id, call)
        if bad is not None:
            return api.RemoveShareResponse(status=bad)
        result = self._unshare(share, call)
        self._go_on(call, "RemoveShare")
        try:  # the grant goes whatever came of the share
            ref = resources.Reference(resource_id=share.resource_id)
            self.provider.remove_grant(call.user, ref, self._grant(share, call.user))
        except SimError as e:
            return api.RemoveShareResponse(status=status_of("remove grant", e))
        return api.RemoveShareResponse(status=result)

    def _unshare(self, share, call):
        seen = self._stat(share.resource_id, call)
        if not created_by(share, call.user):
            if not seen.info.permission_set.remove_grant:
                return status(code.CODE_PERMISSION_DENIED,
                              "no permission to remove grants on shared resource")
            return status(code.CODE_INTERNAL, "error removing share")
        self._drop(share)
        return OK

    def UpdateShare(self, req, call):
        def refuse(number, words):
            return api.UpdateShareResponse(status=status(number, words))

        wanted_share = req.share
        ref = shares_pb2.ShareReference(id=wanted_share.id)
        share, words = self._get(ref, call)
        if share is None:
            return refuse(code.CODE_INTERNAL, "can not get share stat " + words)
        bad = self._unlocked(share.resource_id, call)
        if bad is not None:
            return api.UpdateShareResponse(status=bad)
        wanted = values.permission_names(wanted_share.permissions.permissions)
        if wanted & set(GRANTING):
            return refuse(code.CODE_INVALID_ARGUMENT, "resharing not supported")
        info = self._stat(share.resource_id, call).info
        if not created_by(share, call.user) and not info.permission_set.update_grant:
            return refuse(code.CODE_PERMISSION_DENIED,
                          "no permission to remove grants on shared resource")
        if "permissions" in req.update_mask.paths:
            if not wanted <= values.permission_names(info.permission_set):
                return refuse(code.CODE_PERMISSION_DENIED,
                              "insufficient permissions to create that kind of share")
            if info.type == FILE and wanted & {"create_container", "move", "delete"}:
                return refuse(code.CODE_INVALID_ARGUMENT,
                              "cannot set the requested permissions on that type of resource")
        for path in req.update_mask.paths:
            if path == "permissions":
                share.permissions.CopyFrom(wanted_share.permissions)
            elif path == "expiration":
                share.ClearField("expiration")
                if wanted_share.HasField("expiration"):
                    share.expiration.CopyFrom(wanted_share.expiration)
            else:
                return refuse(code.CODE_INTERNAL, "error updating share")
        stamp(share.mtime)
        self._put_share(share)
        self._go_on(call, "UpdateShare")
        try:
            node = resources.Reference(resource_id=share.resource_id)
            self.provider.update_grant(call.user, node, self._grant(share, call.user))
        except SimError:
            return api.UpdateShareResponse(share=share, status=status(
                code.CODE_INTERNAL, "error committing share to storage grant"))
        res = api.UpdateShareResponse(status=OK, share=share)
        values.opaque_put(res.opaque, "resourcename", info.name)
        return res

    def ListShares(self, req, call):
        F, user, found = shares_pb2.Filter, call.user, []
        by_id = [f.resource_id for f in req.filters if f.type == F.TYPE_RESOURCE_ID]
        if by_id:
            spaces = {ssid_of(r) for r in by_id}
            shares = [s for x in spaces for s in self._space_shares(x).values()]
        else:
            value, _ = self.files.read(SHARES, "users/%s/created.json" % user.uid)
            mine = (value or {}).get("UserShares") or {}
            shares = []
            for ssid, entry in mine.items():
                there = self._space_shares(ssid)
                shares += [there[i] for i in entry.get("IDs") or () if i in there]
        for share in shares:
            if expired(share):
                self._drop(share)
                continue
            if not matches(share, req.filters):
                continue
            if by_id and not created_by(share, user) and not granted_to(share, user):
                seen = self._stat(share.resource_id, call)
                if not seen.info.permission_set.list_grants:
                    continue
            if not by_id and share.creator.opaque_id != user.uid:
                continue
            found.append(share)
        return api.ListSharesResponse(status=OK, shares=found)

    # ---- calls of the one who receives
    def _recipient(self, req, call):
        """The caller, or the user for whom a service account asks; None: not named."""
        if not call.user.service:
            return call.user
        text = values.opaque_text(req.opaque, "userid")
        uid = json.loads(text).get("opaque_id") if text else None
        if uid not in self.people.users:
            return None
        return User(uid, "", self.people.groups_of(uid))

    def _received(self, share, user):
        state = (self._states(user.uid).get(ssid_of(share.resource_id)) or {}).get(
            share.id.opaque_id) or {}
        out = shares_pb2.ReceivedShare(share=share, state=state.get("State", PENDING),
                                       hidden=state.get("Hidden", False))
        if state.get("MountPoint") is not None:
            from_go(out.mount_point, state["MountPoint"])
            out.mount_point.SetInParent()
        return out

    def _list_received(self, user, filters):
        wanted = {}
        for group in user.groups:
            value, _ = self.files.read(SHARES, "groups/%s/received.json" % group)
            for ssid, entry in ((value or {}).get("UserShares") or {}).items():
                wanted.setdefault(ssid, set()).update(entry.get("IDs") or ())
        for ssid, states in self._states(user.uid).items():
            wanted.setdefault(ssid, set()).update(states)
        out = []
        for ssid, ids in wanted.items():
            there = self._space_shares(ssid)
            for sid in ids:
                share = there.get(sid)
                if share is None:
                    continue
                if expired(share):
                    self._drop(share)
                elif granted_to(share, user):
                    received = self._received(share, user)
                    if matches(share, filters, received.state):
                        out.append(received)
        return out

    def ListReceivedShares(self, req, call):
        user = self._recipient(req, call)
        if user is None:
            return api.ListReceivedSharesResponse(status=status(
                code.CODE_INTERNAL, "error listing received shares"))
        filters = list(req.filters)
        filters.append(shares_pb2.Filter(type=shares_pb2.Filter.TYPE_EXCLUDE_DENIALS))
        return api.ListReceivedSharesResponse(status=OK,
                                              shares=self._list_received(user, filters))

    def GetReceivedShare(self, req, call):
        share = self._load(req.ref)
        if share is None or not (call.user.service or granted_to(share, call.user)):
            return api.GetReceivedShareResponse(status=status(
                code.CODE_NOT_FOUND, "error getting received share"))
        return api.GetReceivedShareResponse(status=OK, share=self._received(share, call.user))

    def UpdateReceivedShare(self, req, call):
        def refuse(number, words="error getting received share"):
            return api.UpdateReceivedShareResponse(status=status(number, words))

        paths, want = list(req.update_mask.paths), req.share
        if not want.share.id.opaque_id:
            return refuse(code.CODE_INVALID_ARGUMENT,
                          "share id empty" if want.share.HasField("id") else "share id missing")
        share = self._load(shares_pb2.ShareReference(id=want.share.id))
        user = self._recipient(req, call)
        if share is None or user is None or not granted_to(share, user):
            return refuse(code.CODE_NOT_FOUND)
        received = self._received(share, user)
        sets_mount = "mount_point" in paths and want.mount_point.path
        if "state" in paths and want.state == ACCEPTED and not sets_mount \
                and not received.mount_point.path:
            seen = self._stat(share.resource_id, call)
            if seen.status.code != code.CODE_OK:
                return api.UpdateReceivedShareResponse(status=seen.status)
            received.mount_point.path = self._free_mount(user, share, seen.info.name)
            paths = [p for p in paths if p != "mount_point"]
        for path in paths:
            if path == "state":
                received.state = want.state
            elif path == "mount_point":
                received.mount_point.CopyFrom(want.mount_point)
            elif path == "hidden":
                received.hidden = want.hidden
            else:
                return refuse(code.CODE_INTERNAL)
        mount = to_go(received.mount_point) if received.HasField("mount_point") else None
        self._put_state(user.uid, ssid_of(share.resource_id), share.id.opaque_id,
                        {"State": received.state, "MountPoint": mount,
                         "Hidden": received.hidden})
        return api.UpdateReceivedShareResponse(status=OK, share=received)

    def _free_mount(self, user, share, name):
        accepted = [r for r in self._list_received(user, ()) if r.state == ACCEPTED]
        for other in accepted:
            if same_node(other.share.resource_id, share.resource_id) and other.mount_point.path:
                return other.mount_point.path
        taken = {r.mount_point.path for r in accepted}
        mount, number = name, 0
        stem, dot, ext = name.rpartition(".")
        while mount in taken:
            number += 1
            mount = "%s (%d).%s" % (stem, number, ext) if dot and stem \
                else "%s (%d)" % (name, number)
        return mount
