"""Grants on nodes: ListGrants, AddGrant, UpdateGrant, RemoveGrant.

Trap 12 lives here: a change reads all grants of a node and writes them all back, so that two at
once on one node lose one of the two, and both answer OK. `Store.window` is the time in between.
"""
import time

import cs3.rpc.v1beta1.code_pb2 as code
import cs3.storage.provider.v1beta1.provider_api_pb2 as api
import cs3.storage.provider.v1beta1.resources_pb2 as resources
import values
from errors import AlreadyExists, NotFound, OK, PermissionDenied, SimError, status, status_of

USER = resources.GRANTEE_TYPE_USER
GROUP = resources.GRANTEE_TYPE_GROUP


def key_of(grantee):
    if grantee.type == GROUP:
        return "g:" + grantee.group_id.opaque_id
    return "u:" + grantee.user_id.opaque_id


def signed(number):
    return (number + 2**63) % 2**64 - 2**63


def expired(message):
    return message.HasField("expiration") and signed(message.expiration.seconds) < time.time()


def kept_end(stamp):
    """It is kept as nanoseconds in 64 bits: what lies behind 2262 comes out as another time."""
    kept = signed(stamp.seconds * 10**9 + stamp.nanos)
    return int(abs(kept) // 10**9 * (1 if kept > 0 else -1)) % 2**64


def stored_form(grant):
    """Of grantee and creator only the bare ids are kept; no creator is an empty one."""
    stored = resources.Grant(permissions=grant.permissions)
    stored.grantee.type = grant.grantee.type
    if grant.grantee.type == GROUP:
        stored.grantee.group_id.opaque_id = grant.grantee.group_id.opaque_id
    else:
        stored.grantee.user_id.opaque_id = grant.grantee.user_id.opaque_id
    stored.creator.opaque_id = grant.creator.opaque_id
    if grant.HasField("expiration"):
        stored.expiration.seconds = kept_end(grant.expiration)
    return stored


class Grants:
    """Mixed into Provider."""

    def _grant_node(self, ref):
        place = self.store.find(ref)
        if place.node is None:
            raise place.missing()
        return place.node

    def _may(self, user, node, name, ref):
        have = self.store.permissions(user, node.space, node)
        if name not in have:
            about = values.ref_text(ref)
            raise PermissionDenied(about) if "stat" in have else NotFound(about)

    def _write_back(self, node, grants):
        """The second half of a change: what others wrote in between is gone."""
        time.sleep(self.store.window)
        with self.store.lock:
            node.grants = grants
            self.store.propagate(node)

    def add_grant(self, user, ref, grant):
        with self.store.lock:
            node = self._grant_node(ref)
            grants = dict(node.grants)
            if key_of(grant.grantee) in grants:
                raise AlreadyExists(values.joined(node.parent.id if node.parent else "",
                                                  node.name))
            self._may(user, node, "add_grant", ref)
            grants[key_of(grant.grantee)] = stored_form(grant)
        self._write_back(node, grants)

    def update_grant(self, user, ref, grant):
        with self.store.lock:
            node = self._grant_node(ref)
            grants = dict(node.grants)
            old = grants.get(key_of(grant.grantee))
            if old is None:
                raise NotFound(grant.grantee.user_id.opaque_id)
            if old.creator.opaque_id != user.uid:
                self._may(user, node, "update_grant", ref)
            grants[key_of(grant.grantee)] = stored_form(grant)
        self._write_back(node, grants)

    def remove_grant(self, user, ref, grant):
        with self.store.lock:
            node = self._grant_node(ref)
            grants = dict(node.grants)
            old = grants.pop(key_of(grant.grantee), None)
            if old is None:
                raise NotFound("grant not found")
            if old.creator.opaque_id != user.uid:
                self._may(user, node, "remove_grant", ref)
        self._write_back(node, grants)

    # ---- calls
    def ListGrants(self, req, call):
        try:
            with self.store.lock:
                node = self._grant_node(req.ref)
                have = self.store.permissions(call.user, node.space, node)
                if "list_grants" not in have and "stat" not in have:
                    raise NotFound(values.ref_text(req.ref))
                mine = call.user.uid
                grants = [g for g in node.grants.values()
                          if "list_grants" in have or mine in (
                              g.creator.opaque_id, g.grantee.user_id.opaque_id)]
                return api.ListGrantsResponse(status=OK, grants=grants)
        except SimError as e:
            return api.ListGrantsResponse(
                status=self._listing(e, "path", "grants", "error listing grants"))

    def _change(self, req, call, answer, words, change):
        if not req.grant.HasField("grantee"):
            call.abort("INTERNAL", "runtime error: invalid memory address or nil pointer "
                       "dereference")
        if req.grant.grantee.type not in (USER, GROUP):
            return answer(status=status(code.CODE_INVALID_ARGUMENT, "grantee type is invalid"))
        try:
            change(call.user, req.ref, req.grant)
            return answer(status=OK)
        except SimError as e:
            return answer(status=status_of(words, e))

    def AddGrant(self, req, call):
        return self._change(req, call, api.AddGrantResponse, "add grant", self.add_grant)

    def UpdateGrant(self, req, call):
        return self._change(req, call, api.UpdateGrantResponse, "update grant",
                            self.update_grant)

    def RemoveGrant(self, req, call):
        return self._change(req, call, api.RemoveGrantResponse, "remove grant",
                            self.remove_grant)
