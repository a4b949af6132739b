"""A raw CS3, data server and Graph client: answers are shown as they are, nothing is retried."""
import hashlib

import cs3.gateway.v1beta1.gateway_api_pb2 as gateway_api
import cs3.gateway.v1beta1.gateway_api_pb2_grpc as gateway_grpc
import cs3.identity.user.v1beta1.resources_pb2 as users
import cs3.identity.group.v1beta1.resources_pb2 as groups
import cs3.sharing.collaboration.v1beta1.collaboration_api_pb2 as shares_api
import cs3.sharing.collaboration.v1beta1.collaboration_api_pb2_grpc as shares_grpc
import cs3.sharing.collaboration.v1beta1.resources_pb2 as shares
import cs3.sharing.link.v1beta1.link_api_pb2 as links_api
import cs3.sharing.link.v1beta1.resources_pb2 as links
import cs3.storage.provider.v1beta1.provider_api_pb2 as api
import cs3.storage.provider.v1beta1.provider_api_pb2_grpc as provider_grpc
import cs3.storage.provider.v1beta1.resources_pb2 as resources
import cs3.storage.provider.v1beta1.spaces_api_pb2_grpc as spaces_grpc
import cs3.types.v1beta1.types_pb2 as types
import grpc
import requests
import urllib3

urllib3.disable_warnings()

# CS3 codes
OK, INVALID, NOT_FOUND, EXISTS, DENIED = 1, 4, 6, 7, 8
PRECONDITION, UNIMPLEMENTED, INTERNAL, FULL, LOCKED, TOO_EARLY = 11, 14, 15, 19, 20, 21
UNKNOWN_ID = "00000000-1111-2222-3333-444444444444"

VIEWER = dict.fromkeys("stat list_container initiate_file_download get_path get_quota list_grants "
                       "list_file_versions list_recycle".split(), True)
EDITOR = dict(VIEWER, initiate_file_upload=True, create_container=True, delete=True, move=True,
              restore_recycle_item=True)
FILE_EDITOR = dict(VIEWER, initiate_file_upload=True)
RESHARER = dict(VIEWER, add_grant=True)


def opaque(pairs):
    out = types.Opaque()
    for key, value in pairs.items():
        if value is not None:
            out.map[key].decoder = "plain"
            out.map[key].value = str(value).encode()
    return out


def text_in(message, key):
    return message.opaque.map[key].value.decode() if key in message.opaque.map else None


class Client:
    """What needs no user, and the way to become one."""

    def __init__(self, target):
        self.target = target
        options = [("grpc.max_receive_message_length", 64 << 20)]
        gateway = grpc.insecure_channel(target.gateway, options=options)
        provider = grpc.insecure_channel(target.provider, options=options)
        self.gateway = gateway_grpc.GatewayAPIStub(gateway)
        self.provider = provider_grpc.ProviderAPIStub(provider)
        self.spaces = spaces_grpc.SpacesAPIStub(provider)
        if target.sharing:
            self.sharing = shares_grpc.CollaborationAPIStub(grpc.insecure_channel(target.sharing))
        self.http = requests.Session()

    def authenticate(self, name, secret=None, kind="machine"):
        return self.gateway.Authenticate(gateway_api.AuthenticateRequest(
            type=kind, client_id=name,
            client_secret=self.target.machine_key if secret is None else secret))

    def graph(self, method, path, body=None):
        return self.http.request(
            method, self.target.graph + "/v1.0" + path, json=body, verify=False,
            auth=(self.target.graph_user, self.target.graph_password))

    def make_user(self, name):
        answer = self.graph("POST", "/users", {
            "onPremisesSamAccountName": name, "displayName": name.title(),
            "passwordProfile": {"password": "secret"}})
        assert answer.status_code == 201, answer.text

    def create_home(self, token):
        return self.gateway.CreateHome(api.CreateHomeRequest(),
                                       metadata=(("x-access-token", token),))

    def sign_in(self, name):
        answer = self.authenticate(name)
        assert answer.status.code == OK, answer.status
        made = self.create_home(answer.token)
        assert made.status.code in (OK, EXISTS), made.status
        return Session(self, name, answer.user, answer.token)


class Session:
    """One user and his personal space."""

    def __init__(self, client, name, user, token):
        self.client, self.name, self.user = client, name, user
        self.uid, self.idp = user.id.opaque_id, user.id.idp
        self.become(token)

    def become(self, token):
        self.token, self.meta = token, (("x-access-token", token),)

    def call(self, method, request, at="provider", timeout=60):
        return getattr(getattr(self.client, at), method)(request, metadata=self.meta,
                                                         timeout=timeout)

    # ---- references
    def rid(self, node=None, space=None):
        space = space or self.uid
        return resources.ResourceId(storage_id=self.client.target.storage_id, space_id=space,
                                    opaque_id=node or space)

    def ref(self, node=None, name=None, space=None):
        return resources.Reference(resource_id=self.rid(node, space),
                                   path="" if name is None else "./" + name)

    # ---- the tree
    def stat(self, node=None, name=None, space=None, at="provider"):
        return self.call("Stat", api.StatRequest(ref=self.ref(node, name, space)), at)

    def info(self, node=None, name=None, space=None):
        answer = self.stat(node, name, space)
        assert answer.status.code == OK, answer.status
        return answer.info

    def quota(self):
        return self.call("GetQuota", api.GetQuotaRequest(ref=self.ref(None, None)))

    def mkdir(self, name, parent=None, space=None):
        return self.call("CreateContainer",
                         api.CreateContainerRequest(ref=self.ref(parent, name, space)))

    def folder(self, name, parent=None):
        assert self.mkdir(name, parent).status.code == OK
        return self.info(parent, name).id.opaque_id

    def initiate(self, name, length, parent=None, mtime=None, checksum=None, if_match="",
                 if_not_exist=False, node=None, space=None):
        request = api.InitiateFileUploadRequest(
            ref=self.ref(node, space=space) if node else self.ref(parent, name, space),
            opaque=opaque({"Upload-Length": length, "X-OC-Mtime": mtime,
                           "Upload-Checksum": checksum}))
        if if_match:
            request.if_match = if_match
        if if_not_exist:
            request.if_not_exist = True
        return self.call("InitiateFileUpload", request)

    @staticmethod
    def endpoint(answer, protocol="simple"):
        return next(p.upload_endpoint for p in answer.protocols if p.protocol == protocol)

    def put(self, answer, data, token=None):
        return self.client.http.put(self.endpoint(answer), data=data, headers={
            "x-access-token": self.token if token is None else token})

    def upload(self, name, data, **how):
        """Both steps; the data server's answer."""
        answer = self.initiate(name, len(data), **how)
        assert answer.status.code == OK, answer.status
        return self.put(answer, data) if data else None

    def file(self, name, data=b"content", parent=None, mtime=None):
        answer = self.upload(name, data, parent=parent, mtime=mtime)
        assert answer is None or answer.status_code == 200, answer
        return self.info(parent, name).id.opaque_id

    def get(self, node, headers=None):
        url = "http://%s/data/spaces/%s$%s!%s" % (
            self.client.target.data, self.client.target.storage_id, self.uid, node)
        return self.client.http.get(url, headers={"x-access-token": self.token,
                                                  **(headers or {})})

    def list(self, node=None, at="provider"):
        return self.call("ListContainer", api.ListContainerRequest(ref=self.ref(node)), at)

    def move(self, node, parent, name):
        return self.call("Move", api.MoveRequest(source=self.ref(node),
                                                 destination=self.ref(parent, name)))

    def delete(self, node, space=None):
        return self.call("Delete", api.DeleteRequest(ref=self.ref(node, space=space)))

    def set_metadata(self, node, **pairs):
        return self.call("SetArbitraryMetadata", api.SetArbitraryMetadataRequest(
            ref=self.ref(node), arbitrary_metadata=resources.ArbitraryMetadata(metadata=pairs)))

    def versions(self, node):
        return self.call("ListFileVersions", api.ListFileVersionsRequest(ref=self.ref(node)))

    # ---- trash
    def trash(self, key=""):
        return self.call("ListRecycle", api.ListRecycleRequest(ref=self.ref(), key=key))

    def restore(self, key, parent=None, name=None):
        request = api.RestoreRecycleItemRequest(ref=self.ref(), key=key)
        if name is not None:
            request.restore_ref.CopyFrom(self.ref(parent, name))
        return self.call("RestoreRecycleItem", request)

    def purge(self, key):
        return self.call("PurgeRecycle", api.PurgeRecycleRequest(ref=self.ref(), key=key))

    # ---- grants
    @staticmethod
    def grantee(who):
        """Of a Session, or of a group's id."""
        if isinstance(who, str):
            return resources.Grantee(type=2, group_id=groups.GroupId(opaque_id=who))
        return resources.Grantee(type=1, user_id=users.UserId(opaque_id=who.uid, idp=who.idp,
                                                              type=1))

    def grant(self, who, permissions):
        return resources.Grant(grantee=self.grantee(who),
                               permissions=resources.ResourcePermissions(**permissions))

    def add_grant(self, node, who, permissions):
        return self.call("AddGrant", api.AddGrantRequest(ref=self.ref(node),
                                                         grant=self.grant(who, permissions)))

    def grants(self, node):
        return self.call("ListGrants", api.ListGrantsRequest(ref=self.ref(node))).grants

    # ---- shares
    def share(self, node, who, permissions, expires=None, space=None, at="gateway"):
        """At "sharing": the share managers' files alone, without the grant."""
        info = self.stat(node, space=space).info
        if not info.id.opaque_id:
            info = resources.ResourceInfo(id=self.rid(node, space))
        grant = shares.ShareGrant(grantee=self.grantee(who))
        grant.permissions.permissions.CopyFrom(resources.ResourcePermissions(**permissions))
        if expires is not None:
            grant.expiration.seconds = expires
        return self.call("CreateShare", shares_api.CreateShareRequest(
            resource_info=info, grant=grant), at)

    def share_ref(self, sid):
        return shares.ShareReference(id=shares.ShareId(opaque_id=sid))

    def get_share(self, sid):
        return self.call("GetShare", shares_api.GetShareRequest(ref=self.share_ref(sid)),
                         "gateway")

    def remove_share(self, sid, at="gateway"):
        return self.call("RemoveShare", shares_api.RemoveShareRequest(ref=self.share_ref(sid)), at)

    def update_share(self, sid, permissions=None, expires=None, paths=None):
        request = shares_api.UpdateShareRequest(share=shares.Share(
            id=shares.ShareId(opaque_id=sid)))
        if permissions is not None:
            request.share.permissions.permissions.CopyFrom(
                resources.ResourcePermissions(**permissions))
            request.update_mask.paths.append("permissions")
        if expires is not None:
            request.update_mask.paths.append("expiration")
            if expires:
                request.share.expiration.seconds = expires
        request.update_mask.paths.extend(paths or ())
        return self.call("UpdateShare", request, "gateway")

    def my_shares(self):
        return self.call("ListShares", shares_api.ListSharesRequest(), "gateway").shares

    def received(self):
        return self.call("ListReceivedShares", shares_api.ListReceivedSharesRequest(),
                         "gateway").shares

    def update_received(self, sid, state=None, mount=None, paths=()):
        request = shares_api.UpdateReceivedShareRequest()
        request.share.share.id.opaque_id = sid
        if state is not None:
            request.share.state = state
            request.update_mask.paths.append("state")
        if mount is not None:
            request.share.mount_point.path = mount
            request.update_mask.paths.append("mount_point")
        request.update_mask.paths.extend(paths)
        return self.call("UpdateReceivedShare", request, "gateway")

    # ---- links
    def link(self, node, permissions, password="", expires=None, name=None):
        info = self.info(node)
        if name is not None:
            info.arbitrary_metadata.metadata["name"] = name
        grant = links.Grant(password=password)
        grant.permissions.permissions.CopyFrom(resources.ResourcePermissions(**permissions))
        if expires is not None:
            grant.expiration.seconds = expires
        return self.call("CreatePublicShare", links_api.CreatePublicShareRequest(
            resource_info=info, grant=grant), "gateway")

    def link_ref(self, lid):
        return links.PublicShareReference(id=links.PublicShareId(opaque_id=lid))

    def update_link(self, lid, **update):
        return self.call("UpdatePublicShare", links_api.UpdatePublicShareRequest(
            ref=self.link_ref(lid),
            update=links_api.UpdatePublicShareRequest.Update(**update)), "gateway")

    def remove_link(self, lid):
        return self.call("RemovePublicShare", links_api.RemovePublicShareRequest(
            ref=self.link_ref(lid)), "gateway")

    def my_links(self):
        return self.call("ListPublicShares", links_api.ListPublicSharesRequest(),
                         "gateway").share

    def link_by_token(self, token, password=None):
        request = links_api.GetPublicShareByTokenRequest(token=token)
        if password is not None:
            request.authentication.password = password
        return self.call("GetPublicShareByToken", request, "gateway")


def sha1(data):
    return hashlib.sha1(data).hexdigest()


def grpc_code(call):
    """The gRPC status that a call ends with, by name; "OK" when it does not fail."""
    try:
        call()
    except grpc.RpcError as e:
        return e.code().name
    return "OK"
