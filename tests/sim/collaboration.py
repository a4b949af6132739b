"""The sharing service's own port: CollaborationAPI, past the gateway.

It changes only the share manager's files: the grant on the node stays. So it does not mind a node
that is in the trash or gone, where the gateway refuses to remove a share.
"""
import cs3.rpc.v1beta1.code_pb2 as code
import cs3.sharing.collaboration.v1beta1.collaboration_api_pb2 as api
from errors import OK, status
from sharing import CRASH, created_by


class Collaboration:
    def __init__(self, gateway):
        self.gateway = gateway
        for name in ("GetShare", "ListShares", "ListReceivedShares", "GetReceivedShare",
                     "UpdateReceivedShare"):
            setattr(self, name, getattr(gateway, name))

    def CreateShare(self, req, call):
        return self.gateway.share_only(req, call)

    def RemoveShare(self, req, call):
        share, _ = self.gateway._get(req.ref, call)
        if share is None:
            return api.RemoveShareResponse(status=status(code.CODE_INTERNAL,
                                                         "error getting share"))
        if not created_by(share, call.user):
            seen = self.gateway._stat(share.resource_id, call)
            if seen.status.code != code.CODE_OK:
                call.abort("INTERNAL", CRASH)
            if not seen.info.permission_set.remove_grant:
                return api.RemoveShareResponse(status=status(
                    code.CODE_PERMISSION_DENIED,
                    "no permission to remove grants on shared resource"))
            return api.RemoveShareResponse(status=status(code.CODE_INTERNAL,
                                                         "error removing share"))
        self.gateway._drop(share)
        return api.RemoveShareResponse(status=OK)
