"""
A small CS3 client of the tests' own: it looks at a target as one of its users does.

It shares no code with Lockstep, on purpose: what `lockstep verify` says and what this sees are two
opinions. Reads only, all through the gateway. Needs build/venv (grpcio, cs3apis).
"""

import grpc
from cs3.gateway.v1beta1 import gateway_api_pb2, gateway_api_pb2_grpc
from cs3.rpc.v1beta1 import code_pb2
from cs3.sharing.collaboration.v1beta1 import collaboration_api_pb2
from cs3.sharing.link.v1beta1 import link_api_pb2
from cs3.storage.provider.v1beta1 import provider_api_pb2, resources_pb2, spaces_api_pb2

from .process import BedError

SPACE_TYPE = spaces_api_pb2.ListStorageSpacesRequest.Filter.TYPE_SPACE_TYPE


class Cs3:
    def __init__(self, target):
        self.target = target
        self.channel = grpc.insecure_channel(
            target.gateway, options=[("grpc.max_receive_message_length", 64 << 20)])
        self.api = gateway_api_pb2_grpc.GatewayAPIStub(self.channel)
        self.sessions = {}
        self.names = {}  # of those whom the target calls otherwise: "userid:<id>", say

    def close(self):
        self.channel.close()

    def _ok(self, answer, what):
        if answer.status.code != code_pb2.CODE_OK:
            raise BedError(f"{what}: {code_pb2.Code.Name(answer.status.code)} "
                           f"{answer.status.message}")
        return answer

    def session(self, user):
        """(user's id, metadata with his token); BedError for one who cannot sign in."""
        if user not in self.sessions:
            answer = self._ok(self.api.Authenticate(gateway_api_pb2.AuthenticateRequest(
                type="machine", client_id=self.names.get(user, user), client_secret=self.target.machine_key)),
                f"signing in as {user}")
            self.sessions[user] = (answer.user.id.opaque_id,
                                   (("x-access-token", answer.token),))
        return self.sessions[user]

    def person(self, user):
        """(display name, address)"""
        answer = self._ok(self.api.Authenticate(gateway_api_pb2.AuthenticateRequest(
            type="machine", client_id=self.names.get(user, user), client_secret=self.target.machine_key)),
            f"signing in as {user}")
        return answer.user.display_name, answer.user.mail

    def exists(self, user):
        try:
            return bool(self.session(user))
        except BedError:
            return False

    def root(self, user):
        """The root of his personal space, as a ResourceId; None when he has none."""
        uid, metadata = self.session(user)
        answer = self._ok(self.api.ListStorageSpaces(spaces_api_pb2.ListStorageSpacesRequest(
            filters=[{"type": SPACE_TYPE, "space_type": "personal"}]), metadata=metadata),
            f"listing the spaces of {user}")
        for space in answer.storage_spaces:
            if space.owner.id.opaque_id == uid:
                return space.root
        return None

    def _list(self, user, ref):
        _, metadata = self.session(user)
        return self._ok(self.api.ListContainer(provider_api_pb2.ListContainerRequest(ref=ref),
                                               metadata=metadata), "ListContainer").infos

    def walk(self, user):
        """All below his home: path -> ResourceInfo."""
        root, out = self.root(user), {}
        todo = [("", root)] if root else []
        while todo:
            above, folder = todo.pop()
            ref = resources_pb2.Reference(resource_id=folder, path=".")
            for info in self._list(user, ref):
                name = info.name or info.path.rsplit("/", 1)[-1]
                path = f"{above}/{name}" if above else name
                out[path] = info
                if info.type == resources_pb2.RESOURCE_TYPE_CONTAINER:
                    todo.append((path, info.id))
        return out

    def versions(self, user, node):
        """Of a ResourceInfo of walk(): [(seconds, size)] of what was written over."""
        _, metadata = self.session(user)
        request = provider_api_pb2.ListFileVersionsRequest(
            ref=resources_pb2.Reference(resource_id=node.id, path="."))
        answer = self._ok(self.api.ListFileVersions(request, metadata=metadata),
                          "ListFileVersions")
        return [(v.mtime, v.size) for v in answer.versions]

    def quota(self, user):
        """Bytes that his space may hold; 0 for no limit, or no space."""
        root = self.root(user)
        if not root:
            return 0
        _, metadata = self.session(user)
        ref = resources_pb2.Reference(resource_id=root, path=".")
        return self._ok(self.api.GetQuota(gateway_api_pb2.GetQuotaRequest(ref=ref),
                                          metadata=metadata), "GetQuota").total_bytes

    def trash(self, user):
        """The items of his trash."""
        root = self.root(user)
        if not root:
            return []
        _, metadata = self.session(user)
        ref = resources_pb2.Reference(resource_id=root, path=".")
        return list(self._ok(self.api.ListRecycle(
            provider_api_pb2.ListRecycleRequest(ref=ref), metadata=metadata),
            "ListRecycle").recycle_items)

    def received(self, user):
        """What others share with him."""
        _, metadata = self.session(user)
        return list(self._ok(self.api.ListReceivedShares(
            collaboration_api_pb2.ListReceivedSharesRequest(), metadata=metadata),
            "ListReceivedShares").shares)

    def links(self, user):
        """The public links on what is his, or made by him."""
        _, metadata = self.session(user)
        return list(self._ok(self.api.ListPublicShares(
            link_api_pb2.ListPublicSharesRequest(), metadata=metadata), "ListPublicShares").share)

    def open_link(self, token, password=""):
        """The answer to somebody who has a link's token, and perhaps its password."""
        request = link_api_pb2.GetPublicShareByTokenRequest(token=token)
        request.authentication.password = password
        return self.api.GetPublicShareByToken(request)
