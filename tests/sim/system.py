"""Sign-in at the system storage itself: only the system user, with a key of its own."""
import secrets

import cs3.gateway.v1beta1.gateway_api_pb2 as gateway_api
import cs3.rpc.v1beta1.code_pb2 as code
from errors import OK, status
from people import People, Person


class SystemPeople(People):
    def __init__(self, config, idp):
        super().__init__({"machine_key": config["system_user_key"]}, idp)
        self.users.clear()
        self.admin = self.add(Person("system", "System", uid=config["system_user_id"]))


class SystemGateway:
    def __init__(self, provider, people, config):
        self.provider, self.people, self.config = provider, people, config

    def Authenticate(self, req, call):
        answer = gateway_api.AuthenticateResponse
        if req.type != "machine":
            return answer(status=status(code.CODE_INTERNAL, "error getting auth provider client"))
        if not secrets.compare_digest(req.client_secret, self.config["system_user_key"]):
            return answer(status=status(
                code.CODE_PERMISSION_DENIED,
                "authsvc: error in Authenticate: error: invalid credentials: "))
        token, found = self.people.sign_in(req.client_id)
        if token is None:
            return answer(status=status(
                code.CODE_NOT_FOUND,
                "authsvc: error in Authenticate: error: not found: " + found))
        return answer(status=OK, token=token, user=found)
