"""gRPC servers over plain objects.

A service is an object with a method `Name(request, call)` for each RPC it has; what it lacks is
UNIMPLEMENTED. Around each call: token, counters, faults, and the gateway's habit to answer
NOT_FOUND when it should say that it failed.
"""
import time
from concurrent import futures

import cs3.rpc.v1beta1.code_pb2 as code
import grpc
from google.protobuf import message_factory

from errors import ManagerFailed, status

OPEN = ("Authenticate", "WhoAmI", "GetPublicShareByToken")
HOP = 0.002  # seconds that the gateway needs for its own way to the provider


def about(req):
    """What a call is about, in a line: ids, names, keys; no secrets."""
    out = []
    for field, value in req.ListFields():
        if hasattr(value, "resource_id") and hasattr(value, "path"):
            out.append("%s=%s/%s" % (field.name, value.resource_id.opaque_id, value.path))
        elif field.name == "key":
            out.append("key=%s" % value)
    return " ".join(out)


def outcome(result):
    """The status of an answer; None: there was none."""
    if result is None:
        return "no answer"
    name = code.Code.Name(result.status.code) if hasattr(result, "status") else "an answer"
    return name + (" " + result.status.message[:80] if name not in ("CODE_OK", "an answer") else "")


class Call:
    """What a method may know and do about the call it serves."""

    def __init__(self, user, context):
        self.user, self.context = user, context

    def abort(self, name, words):
        self.context.abort(grpc.StatusCode[name], words)

    def hang(self):
        """Never answers: as a server that runs in a circle."""
        left = self.context.time_remaining()
        time.sleep(min(left + 1 if left is not None else 30, 30))


class Handler(grpc.GenericRpcHandler):
    def __init__(self, server, descriptor, service):
        self.server, self.methods = server, {}
        for method in descriptor.methods:
            inner = getattr(service, method.name, None)
            if inner is None:
                continue
            request = message_factory.GetMessageClass(method.input_type)
            answer = message_factory.GetMessageClass(method.output_type)
            path = "/%s/%s" % (descriptor.full_name, method.name)
            make = grpc.unary_unary_rpc_method_handler
            run = self._unary(method.name, inner, answer)
            if method.server_streaming:
                make, run = grpc.unary_stream_rpc_method_handler, self._stream(method.name, inner)
            self.methods[path] = make(run, request.FromString, answer.SerializeToString)

    def service_name(self):
        return None

    def service(self, details):
        return self.methods.get(details.method)

    def _user(self, name, context):
        """(caller, status word and text that refuse him)"""
        token = next((v for k, v in context.invocation_metadata() if k == "x-access-token"), "")
        user = self.server.people.user_of(token)
        if user is not None or name in OPEN:
            return user, None
        if not token:
            return None, ("UNAUTHENTICATED", "auth: core access token not found")
        return None, ("PERMISSION_DENIED", "auth: core access token is invalid")

    def _unary(self, name, inner, answer):
        server, is_gateway = self.server, self.server.is_gateway
        counted = server.name + "." + name

        def not_found(words):
            return answer(status=status(code.CODE_NOT_FOUND, words))

        def run(req, context):
            struck, result = server.desk.note(counted), None
            try:
                result = serve(req, context, struck)
            finally:
                server.desk.tell(counted, about(req), struck, outcome(result))
            return result

        def serve(req, context, struck):
            after = []
            for fault in struck:
                done = self._fault(fault, context, answer, after)
                if done is not None:
                    return done
            if server.mode() == "stopping":
                if is_gateway:
                    return self._stopping(name, answer)
                context.abort(grpc.StatusCode.UNAVAILABLE, "server is stopping")
            server.lists_left = 1
            if server.mode() == "coming up" and name not in OPEN and server.is_users():
                return answer(status=status(code.CODE_PERMISSION_DENIED, "permission denied"))
            left = context.time_remaining()
            if is_gateway and left is not None and left < HOP and name not in OPEN:
                return not_found("gateway could not find space for ref=")
            user, refused = self._user(name, context)
            if refused and is_gateway and name in server.through_registry:
                return not_found("gateway could not find space for ref=")
            if refused:
                context.abort(grpc.StatusCode[refused[0]], refused[1])
            try:
                result = inner(req, Call(user, context))
            except ManagerFailed as e:
                return answer(status=status(code.CODE_INTERNAL, e.text))
            for do in after:
                result = do() or result
            return result
        return run

    def _stopping(self, name, answer):
        """What a gateway says while the services behind it go away, as measured."""
        if name in self.server.through_registry:
            return answer(status=status(code.CODE_NOT_FOUND,
                                        "gateway could not find space for ref="))
        if name == "ListStorageSpaces":
            return answer(status=status(code.CODE_OK))
        if name == "ListShares" and self.server.lists_left > 0:
            self.server.lists_left -= 1  # once, and it is a lie
            return answer(status=status(code.CODE_OK))
        words = {"Authenticate": "error getting auth provider client",
                 "ListReceivedShares": "error getting share provider client"}
        public = "" if "Public" in name else "error getting user share provider client"
        return answer(status=status(code.CODE_INTERNAL, words.get(name, public)))

    def _stream(self, name, inner):
        def run(req, context):
            self.server.desk.note(self.server.name + "." + name)
            user, refused = self._user(name, context)
            if refused:
                context.abort(grpc.StatusCode[refused[0]], refused[1])
            yield from inner(req, Call(user, context))
        return run

    def _fault(self, fault, context, answer, after):
        """The answer when the fault is one; None: the call goes on."""
        effect = fault["effect"]
        if effect == "latency":
            wait, left = fault.get("ms", 100) / 1000, context.time_remaining()
            if self.server.is_gateway and left is not None and left < wait:
                time.sleep(left * 0.1)  # its answer is to be there in time, however busy the machine is
                return answer(status=status(code.CODE_NOT_FOUND,
                                            "gateway could not find space for ref="))
            time.sleep(wait)
        elif effect in ("grpc", "code"):
            def refuse():
                words = fault.get("message", "made to fail")
                if effect == "grpc":
                    context.abort(grpc.StatusCode[fault.get("status", "UNAVAILABLE")], words)
                return answer(status=status(fault.get("code", code.CODE_INTERNAL), words))
            if not fault.get("after"):
                return refuse()
            after.append(refuse)
        elif effect in ("drop-before", "drop-after"):
            def cut():
                self.server.front.cut(self.server.port, int(context.peer().rsplit(":", 1)[1]))
            if effect == "drop-after":
                after.append(cut)
            else:
                cut()
                context.abort(grpc.StatusCode.UNAVAILABLE, "cut")
        return None


class RpcServer:
    def __init__(self, name, desk, people, front, mode, is_gateway=False, threads=48):
        self.name, self.desk, self.people, self.front = name, desk, people, front
        self.mode, self.is_gateway = mode, is_gateway
        self.lists_left = 1
        # refused tokens show as NOT_FOUND where the gateway first looks for a provider
        self.through_registry = set(
            "Stat ListContainer CreateContainer TouchFile Move Delete GetPath InitiateFileUpload "
            "InitiateFileDownload SetArbitraryMetadata UnsetArbitraryMetadata ListFileVersions "
            "RestoreFileVersion ListRecycle RestoreRecycleItem PurgeRecycle".split()
            if is_gateway else ())
        options = [("grpc.max_receive_message_length", 64 << 20),
                   ("grpc.max_send_message_length", 64 << 20), ("grpc.so_reuseport", 0)]
        self.server = grpc.server(futures.ThreadPoolExecutor(threads), options=options)

    def is_users(self):
        """Asks the service of permissions; the share managers' own storage does not."""
        return self.name != "storage-system"

    def add(self, descriptor, service):
        self.server.add_generic_rpc_handlers((Handler(self, descriptor, service),))

    def start(self):
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()
        return self.port
