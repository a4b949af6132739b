"""The gateway: sign-in, people, homes; everything of the tree is passed to the provider.

Friendly on the surface only. Without a token, with a bad one, when its own deadline runs out or
while the server stops it answers gRPC OK with NOT_FOUND, because it did not find the provider:
never to be taken for the truth about a file. A listing that is larger than its message limit
fails. Shares are in sharing.py, links in links.py.
"""
import secrets
import time

import cs3.gateway.v1beta1.gateway_api_pb2 as gateway_api
import cs3.identity.group.v1beta1.group_api_pb2 as group_api
import cs3.identity.user.v1beta1.user_api_pb2 as user_api
import cs3.rpc.v1beta1.code_pb2 as code
import cs3.storage.provider.v1beta1.provider_api_pb2 as api
import cs3.storage.provider.v1beta1.resources_pb2 as resources
from errors import AlreadyExists, OK, status
from links import Links
from sharing import Sharing

PASSED = ("Stat ListContainer CreateContainer TouchFile Move Delete GetPath GetQuota "
          "SetArbitraryMetadata UnsetArbitraryMetadata ListFileVersions RestoreFileVersion "
          "ListRecycle RestoreRecycleItem PurgeRecycle CreateStorageSpace "
          "ListStorageSpaces").split()


SHARES_ID = "a0ca6a90-a365-4782-871e-d44447bbc668"
VIRTUAL = resources.StorageSpace(
    id=resources.StorageSpaceId(opaque_id="%s$%s!%s" % (SHARES_ID, SHARES_ID, SHARES_ID)),
    root=resources.ResourceId(storage_id=SHARES_ID, space_id=SHARES_ID, opaque_id=SHARES_ID),
    name="Shares", space_type="virtual")


class Gateway(Sharing, Links):
    def __init__(self, provider, people, config, files, desk, limit=10 << 20):
        self.files, self.desk = files, desk
        self.provider, self.people, self.config, self.limit = provider, people, config, limit
        self.transfers = {}  # token -> endpoint behind the data gateway
        self.homes, self.homes_s = {}, 300  # user -> (until, what CreateHome answered), and for how long
        for name in PASSED:
            setattr(self, name, self._passed(name))

    def _passed(self, name):
        inner = getattr(self.provider, name)

        def passed(req, call):
            res = inner(req, call)
            if name == "ListStorageSpaces" and not any(
                    f.WhichOneof("term") == "space_type" for f in req.filters):
                res.storage_spaces.append(VIRTUAL)
            if name == "ListContainer" and res.ByteSize() > self.limit:
                call.abort("RESOURCE_EXHAUSTED", "grpc: received message larger than max "
                           "(%d vs. %d)" % (res.ByteSize(), self.limit))
            return res
        return passed

    # ---- sign-in
    def Authenticate(self, req, call):
        answer = gateway_api.AuthenticateResponse
        if req.type == "machine":
            if not secrets.compare_digest(req.client_secret, self.config["machine_key"]):
                return answer(status=status(
                    code.CODE_PERMISSION_DENIED,
                    "authsvc: error in Authenticate: error: invalid credentials: "))
            token, found = self.people.sign_in(req.client_id)
            if token is None:
                return answer(status=status(
                    code.CODE_NOT_FOUND,
                    "authsvc: error in Authenticate: error: not found: " + found))
            return answer(status=OK, token=token, user=found)
        if req.type == "serviceaccounts":
            if (req.client_id, req.client_secret) != (self.config["service_id"],
                                                      self.config["service_secret"]):
                return answer(status=status(
                    code.CODE_INTERNAL, "error authenticating credentials to auth provider for "
                    "type: serviceaccounts"))
            res = answer(status=OK, token=self.people.token(req.client_id, [], service=True,
                                                            admin=True))
            res.user.id.idp, res.user.id.opaque_id, res.user.id.type = "none", req.client_id, 8
            return res
        return answer(status=status(code.CODE_INTERNAL, "error getting auth provider client"))

    def WhoAmI(self, req, call):
        user = self.people.user_of(req.token)
        if user is None:
            return gateway_api.WhoAmIResponse(status=status(
                code.CODE_UNAUTHENTICATED, "error dismantling token"))
        person = self.people.users[user.uid]
        return gateway_api.WhoAmIResponse(
            status=OK, user=self.people.message(person, list(user.groups)))

    # ---- people
    def _one(self, person, words):
        if person is None:
            return user_api.GetUserResponse(status=status(code.CODE_NOT_FOUND, words))
        return user_api.GetUserResponse(
            status=OK, user=self.people.message(person, self.people.groups_of(person.id)))

    def GetUser(self, req, call):
        person = self.people.users.get(req.user_id.opaque_id)
        return self._one(person, "error getting user: error: not found: "
                         + req.user_id.opaque_id)

    def GetUserByClaim(self, req, call):
        with self.people.lock:
            found = None
            if req.claim == "username":
                found = self.people.by_name(req.value)
            elif req.claim == "mail":
                found = next((u for u in self.people.users.values()
                              if u.mail.lower() == req.value.lower()), None)
            elif req.claim in ("userid", "uid"):
                found = self.people.users.get(req.value)
        one = self._one(found, "error getting user by claim: error: not found: " + req.value)
        return user_api.GetUserByClaimResponse(status=one.status,
                                               user=one.user if found else None)

    def FindUsers(self, req, call):
        low = (getattr(req, "filter", "") or getattr(req, "query", "")).lower()
        with self.people.lock:
            found = [u for u in self.people.users.values()
                     if low in u.name.lower() or low in u.display.lower()
                     or low in u.mail.lower()]
        return user_api.FindUsersResponse(
            status=OK, users=[self.people.message(u, []) for u in found])

    def GetUserGroups(self, req, call):
        return user_api.GetUserGroupsResponse(
            status=OK, groups=self.people.groups_of(req.user_id.opaque_id))

    def GetGroup(self, req, call):
        group = self.people.groups.get(req.group_id.opaque_id)
        if group is None:
            return group_api.GetGroupResponse(status=status(
                code.CODE_NOT_FOUND, "error getting group: error: not found: "
                + req.group_id.opaque_id))
        return group_api.GetGroupResponse(status=OK, group=self.people.group_message(group))

    # ---- homes
    def CreateHome(self, req, call):
        user = call.user
        person = self.people.users.get(user.uid)
        if person is not None and not person.role:
            return api.CreateHomeResponse(status=status(code.CODE_PERMISSION_DENIED,
                                                        "permission denied"))
        if user.service:
            return api.CreateHomeResponse(status=OK)
        until, answer = self.homes.get(user.uid, (0, None))
        if time.monotonic() >= until:
            answer = self._create_home(user, person)
            self.homes[user.uid] = (time.monotonic() + self.homes_s, answer)
        return api.CreateHomeResponse(status=answer)

    def _create_home(self, user, person):
        try:
            self.provider.create_space(user, "personal", person.display if person else "", user.uid)
            return OK
        except AlreadyExists:
            return status(code.CODE_ALREADY_EXISTS, "already exists")

    # ---- content goes through the data gateway, with a token of its own
    def _transfer(self, endpoint):
        token = "transfer-" + secrets.token_hex(16)
        self.transfers[token] = endpoint
        return token, self.provider.endpoint() + "/data-gateway"

    def InitiateFileUpload(self, req, call):
        res = self.provider.InitiateFileUpload(req, call)
        out = gateway_api.InitiateFileUploadResponse(status=res.status, opaque=res.opaque)
        for p in res.protocols:
            token, endpoint = self._transfer(p.upload_endpoint)
            out.protocols.add(protocol=p.protocol, upload_endpoint=endpoint, token=token)
        return out

    def InitiateFileDownload(self, req, call):
        res = self.provider.InitiateFileDownload(req, call)
        out = gateway_api.InitiateFileDownloadResponse(status=res.status)
        for p in res.protocols:
            token, endpoint = self._transfer(p.download_endpoint)
            out.protocols.add(protocol=p.protocol, download_endpoint=endpoint, token=token)
        return out
