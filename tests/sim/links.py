"""Public links at the gateway, over one file for all of them.

Every change rewrites the whole file, without a second try: when another writer was faster the
call fails. Unknown links are gRPC UNKNOWN in Update and Remove, NOT_FOUND in Get; an unknown
node, or an answer of Stat without its metadata, is a crash of the handler.
"""
import json
import secrets
import string
import threading
import time

import bcrypt
import cs3.rpc.v1beta1.code_pb2 as code
import cs3.sharing.link.v1beta1.link_api_pb2 as api
import cs3.sharing.link.v1beta1.resources_pb2 as links_pb2
import values
from errors import OK, ManagerFailed, status
from grants import expired
from google.protobuf import json_format
from metadata import LINKS, Conflict
from sharing import CRASH, created_by, same_node, stamp, text_of

FILE_NAME = "publicshares.json"
NONE_FOUND = "error: not found: no shares found by id:"
COST = 4  # of bcrypt; the real server's 11 would make tests wait
Update = api.UpdatePublicShareRequest.Update


def letters(n):
    return "".join(secrets.choice(string.ascii_letters) for _ in range(n))


class TooLong(Exception):
    pass


def hashed(password):
    if len(password.encode()) > 72:
        raise TooLong("could not hash share password: bcrypt: password length exceeds 72 bytes")
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST, b"2a")).decode()


class Links:
    """Mixed into Gateway."""

    links_lock = threading.Lock()
    need_password = False

    def _links(self):
        value, etag = self.files.read(LINKS, FILE_NAME)
        return value or {}, etag

    def _parse(self, entry):
        return json_format.Parse(entry["share"], links_pb2.PublicShare(),
                                 ignore_unknown_fields=True)

    def _entry(self, link, password):
        text = json_format.MessageToJson(link, indent=None)
        return {"share": text, "password": password}

    def _find_link(self, ref, db):
        """(link, password hash) or (None, None)"""
        token = ref.token if ref.WhichOneof("spec") == "token" else None
        for entry in db.values():
            link = self._parse(entry)
            if link.token == token if token else link.id.opaque_id == ref.id.opaque_id:
                if token is None and expired(link):
                    return None, None
                return link, entry["password"]
        return None, None

    def _change_links(self, change):
        """Reads, waits as the real one works, writes once."""
        with self.links_lock:
            db, etag = self._links()
            change(db)
            time.sleep(self.provider.store.window)
            self.files.write(LINKS, FILE_NAME, db, etag)

    def _past(self, grant, answer):
        if grant.HasField("expiration") and grant.expiration.seconds < time.time():
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(grant.expiration.seconds))
            return answer(status=status(code.CODE_INVALID_ARGUMENT,
                                        "expiration date is in the past: " + when))
        return None

    def CreatePublicShare(self, req, call):
        info, grant = req.resource_info, req.grant
        wanted = values.permission_names(grant.permissions.permissions)
        answer = api.CreatePublicShareResponse

        def refuse(words):
            return answer(status=status(code.CODE_INVALID_ARGUMENT, words))

        seen = self._stat(info.id, call)
        have = values.permission_names(seen.info.permission_set)
        if wanted:  # without any it is an internal link: everybody may
            if seen.status.code != code.CODE_OK:
                call.abort("INTERNAL", CRASH)
            if "add_grant" not in have:
                return refuse("no share permission")
            if not wanted <= have:
                return refuse("insufficient permissions to create that kind of share")
        if info.id.opaque_id == info.id.space_id and info.space.space_type == "personal":
            return refuse("cannot create link on personal space root")
        if not info.HasField("arbitrary_metadata"):
            call.abort("INTERNAL", CRASH)
        bad = self._past(grant, answer)
        if bad is not None:
            return bad
        if self.need_password and wanted and not grant.password:
            return refuse("password protection is enforced")
        link = links_pb2.PublicShare(token=letters(15), resource_id=info.id,
                                     permissions=grant.permissions)
        link.id.opaque_id = letters(15)
        if info.HasField("owner"):
            link.owner.CopyFrom(info.owner)
        link.creator.CopyFrom(self.people.user_id(call.user.uid))
        if grant.HasField("expiration"):
            link.expiration.CopyFrom(grant.expiration)
        extra = info.arbitrary_metadata.metadata
        link.display_name = extra["name"] if "name" in extra else link.token
        link.quicklink = "quicklink" in extra and extra["quicklink"] in ("true", "1")
        link.password_protected = bool(grant.password)
        stamp(link.ctime)
        link.mtime.CopyFrom(link.ctime)
        try:
            password = hashed(grant.password) if grant.password else ""
            self._change_links(lambda db: db.__setitem__(link.id.opaque_id,
                                                         self._entry(link, password)))
        except (Conflict, ManagerFailed, TooLong) as e:
            return answer(status=status(code.CODE_INTERNAL,
                                        "error persisting public share:" + str(e)))
        res = answer(status=OK, share=link)
        values.opaque_put(res.opaque, "resourcename", seen.info.name)
        return res

    def UpdatePublicShare(self, req, call):
        answer = api.UpdatePublicShareResponse
        link, password = self._find_link(req.ref, self._links()[0])
        if link is None:
            call.abort("UNKNOWN", NONE_FOUND + text_of(req.ref.id))
        seen = self._stat(link.resource_id, call)
        if seen.status.code != code.CODE_OK:
            return answer(status=seen.status)
        have = values.permission_names(seen.info.permission_set)
        grant, kind = req.update.grant, req.update.type
        wanted = values.permission_names(grant.permissions.permissions)
        internal = not (wanted if kind == Update.TYPE_PERMISSIONS
                        else values.permission_names(link.permissions.permissions))
        if not internal and not created_by(link, call.user) and "update_grant" not in have:
            return answer(status=status(code.CODE_PERMISSION_DENIED,
                                        "no permission to update public share"))
        if kind == Update.TYPE_PERMISSIONS and not wanted <= have:
            return answer(status=status(
                code.CODE_INVALID_ARGUMENT,
                "insufficient permissions to update that kind of share"))
        bad = self._past(grant, answer)
        if bad is not None:
            return bad
        try:
            password = self._apply_update(link, password, req.update)
            self._change_links(lambda db: db.__setitem__(link.id.opaque_id,
                                                         self._entry(link, password)))
        except (Conflict, TooLong, ValueError) as e:
            return answer(status=status(code.CODE_INTERNAL, str(e)))
        res = answer(status=OK, share=link)
        values.opaque_put(res.opaque, "resourcename", seen.info.name)
        return res

    def _apply_update(self, link, password, update):
        """Changes the link in place and returns its password hash."""
        grant = update.grant
        if update.type == Update.TYPE_DISPLAYNAME:
            link.display_name = update.display_name
        elif update.type == Update.TYPE_PERMISSIONS:
            link.permissions.CopyFrom(grant.permissions)
            if grant.password:
                password, link.password_protected = hashed(grant.password), True
        elif update.type == Update.TYPE_EXPIRATION:
            link.ClearField("expiration")
            if grant.HasField("expiration"):
                link.expiration.CopyFrom(grant.expiration)
        elif update.type == Update.TYPE_PASSWORD:
            link.password_protected = bool(grant.password)
            password = hashed(grant.password) if grant.password else ""
        else:
            raise ValueError("invalid update type: " + Update.Type.Name(update.type))
        stamp(link.mtime)
        return password

    def RemovePublicShare(self, req, call):
        answer = api.RemovePublicShareResponse
        link, _ = self._find_link(req.ref, self._links()[0])
        if link is None:
            call.abort("UNKNOWN", NONE_FOUND + text_of(req.ref.id))
        if not created_by(link, call.user):
            seen = self._stat(link.resource_id, call)
            if seen.status.code != code.CODE_OK:
                call.abort("INTERNAL", CRASH)
            if not seen.info.permission_set.remove_grant:
                return answer(status=status(code.CODE_PERMISSION_DENIED,
                                            "no permission to delete public share"))
        try:
            self._change_links(lambda db: db.pop(link.id.opaque_id, None))
        except Conflict as e:
            call.abort("UNKNOWN", str(e))
        return answer(status=OK)

    # ---- reading
    def GetPublicShare(self, req, call):
        link, _ = self._find_link(req.ref, self._links()[0])
        if link is None:
            return api.GetPublicShareResponse(status=status(
                code.CODE_NOT_FOUND, NONE_FOUND + text_of(req.ref.id)))
        return api.GetPublicShareResponse(status=OK, share=link)

    def ListPublicShares(self, req, call):
        F, found = api.ListPublicSharesRequest.Filter, []
        for entry in self._links()[0].values():
            link = self._parse(entry)
            if expired(link):
                continue
            ids = [f.resource_id for f in req.filters if f.type == F.TYPE_RESOURCE_ID]
            if ids and not any(same_node(i, link.resource_id) for i in ids):
                continue
            if not created_by(link, call.user):
                seen = self._stat(link.resource_id, call)
                if seen.status.code != code.CODE_OK \
                        or not seen.info.permission_set.list_grants:
                    continue
            if link.password_protected and req.sign:
                link.signature.signature = "sim"
            found.append(link)
        return api.ListPublicSharesResponse(status=OK, share=found)

    def by_token(self, token, password):
        """(link, None) or (None, code)"""
        for entry in self._links()[0].values():
            link = self._parse(entry)
            if link.token != token or expired(link):
                continue
            if link.password_protected:
                want = entry["password"].encode()
                if not password or not bcrypt.checkpw(password.encode()[:72], want):
                    return None, code.CODE_PERMISSION_DENIED
            return link, None
        return None, code.CODE_NOT_FOUND

    def GetPublicShareByToken(self, req, call):
        link, bad = self.by_token(req.token, req.authentication.password)
        if link is None:
            words = "unknown token" if bad == code.CODE_NOT_FOUND else "wrong password"
            return api.GetPublicShareByTokenResponse(status=status(bad, words))
        return api.GetPublicShareByTokenResponse(status=OK, share=link)


def shown(link):
    """For the plain HTTP page of a link."""
    return json.loads(json_format.MessageToJson(link))
