"""Starts the simulator; prints one JSON line with its addresses and keys when it is ready.

    python3 main.py [--gateway 9142] [--storage-users 0] [--data 0] [--storage-system 0]
                    [--system-data 0] [--sharing 0] [--graph 0] [--admin 0] [--links 0] [--async]

Port 0 is a free one. It runs until SIGTERM.
"""
import argparse
import json
import signal
import sys
import threading
import time

sys.path.insert(0, __file__.rsplit("/", 1)[0])

import cs3.gateway.v1beta1.gateway_api_pb2 as gateway_api  # noqa: E402
import cs3.sharing.collaboration.v1beta1.collaboration_api_pb2 as collaboration_api  # noqa: E402
import cs3.storage.provider.v1beta1.provider_api_pb2 as provider_api  # noqa: E402
import cs3.storage.provider.v1beta1.spaces_api_pb2 as spaces_api  # noqa: E402

import web  # noqa: E402
from admin import AdminHandler  # noqa: E402
from collaboration import Collaboration  # noqa: E402
from data import DataHandler  # noqa: E402
from faults import Desk  # noqa: E402
from front import Front  # noqa: E402
from linkpage import LinkHandler  # noqa: E402
from metadata import Files  # noqa: E402
from system import SystemGateway, SystemPeople  # noqa: E402
from gateway import Gateway  # noqa: E402
from graph import GraphHandler  # noqa: E402
from people import People  # noqa: E402
from provider import Provider  # noqa: E402
from rpc import RpcServer  # noqa: E402
from store import Store  # noqa: E402
from trash import Trash  # noqa: E402
from uploads import Uploads  # noqa: E402

PORTS = "gateway storage-users data sharing storage-system system-data graph admin links".split()


class Site:
    """Everything that belongs to one simulated installation."""

    def __init__(self, args):
        self.config = {
            "machine_key": args.machine_key, "service_id": args.service_id,
            "service_secret": args.service_secret, "system_user_id": args.system_user_id,
            "system_user_key": args.system_user_key, "storage_id": args.storage_id,
        }
        self.desk, self.front = Desk(), Front(args.host)
        self.stopping_until = self.coming_up_until = 0
        self.kept = None  # see backup.py
        self.people = People(self.config, "https://localhost:9200")
        self.store = Store(args.storage_id)
        self.uploads = Uploads(self.store, args.asynchronous)
        self.provider = Provider(self.store, self.uploads, Trash(self.store), self.people,
                                 lambda: "http://localhost:%d" % self.ports["data"])
        self.files = Files(args.system_user_id, args.system_storage_id)
        self.gateway = Gateway(self.provider, self.people, self.config, self.files,
                               self.desk)
        self.system_people = SystemPeople(self.config, self.people.idp)
        self.system = Provider(self.files.store, self.files.uploads, Trash(self.files.store),
                               self.system_people,
                               lambda: "http://localhost:%d" % self.ports["system-data"])
        self.ports, self.public = {}, []
        self._start(args)

    def mode(self):
        now = time.time()
        return "stopping" if now < self.stopping_until else \
            "coming up" if now < self.coming_up_until else "running"

    def _rpc(self, name, is_gateway, people, *services):
        server = RpcServer(name, self.desk, people, self.front, self.mode, is_gateway)
        for descriptor, service in services:
            server.add(descriptor, service)
        return server.start()

    def _start(self, args):
        api, spaces = provider_api.DESCRIPTOR, spaces_api.DESCRIPTOR
        tree = [(api.services_by_name["ProviderAPI"], self.provider),
                (spaces.services_by_name["SpacesAPI"], self.provider)]
        gateway = gateway_api.DESCRIPTOR.services_by_name["GatewayAPI"]
        system = [(gateway, SystemGateway(self.system, self.system_people, self.config)),
                  (api.services_by_name["ProviderAPI"], self.system),
                  (spaces.services_by_name["SpacesAPI"], self.system)]
        data = type("Data", (DataHandler,), {"provider": self.provider,
                                             "transfers": self.gateway.transfers})
        system_data = type("SystemData", (DataHandler,), {"provider": self.system,
                                                          "transfers": {}, "hiccup": 40})
        links = type("Link", (LinkHandler,), {"gateway": self.gateway})
        inner = {
            "gateway": self._rpc("gateway", True, self.people, (gateway, self.gateway)),
            "storage-users": self._rpc("storage-users", False, self.people, *tree),
            "data": web.serve(data, "data", self),
            "sharing": self._rpc("sharing", False, self.people, (
                collaboration_api.DESCRIPTOR.services_by_name["CollaborationAPI"],
                Collaboration(self.gateway))),
            "storage-system": self._rpc("storage-system", False, self.system_people, *system),
            "system-data": web.serve(system_data, "system-data", self),
            "links": web.serve(links, "links", self),
            "graph": web.serve(GraphHandler, "graph", self),
            "admin": web.serve(AdminHandler, "admin", self),
        }
        self.public = [n for n in inner if n != "admin"]
        for name, port in inner.items():
            self.ports[name] = self.front.add(name, getattr(args, name.replace("-", "_")), port)

    def set(self, args):
        for key, value in args.items():
            if key == "async":
                self.uploads.asynchronous = value
            elif key == "pace":
                self.uploads.pace = value
            elif key == "window":
                self.store.window = value
            elif key in ("max_quota", "room"):
                setattr(self.store, key, value)
            elif key == "landing":
                self.files.hold(value)
            elif key == "public_password":
                self.gateway.need_password = value
            elif key == "limit":
                self.gateway.limit = value
            elif key == "homes":
                self.gateway.homes_s = value
            else:
                raise ValueError("no setting " + key)
        return args

    def state(self):
        with self.store.lock:
            spaces = {s.id: {"type": s.kind, "name": s.name, "nodes": len(s.nodes),
                             "trash": len(s.trash), "broken": s.broken}
                      for s in self.store.spaces.values()}
        return {"spaces": spaces, "sessions": self.uploads.left_over(),
                "backlog": self.uploads.backlog()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in PORTS:
        parser.add_argument("--" + name, type=int, default=0, metavar="PORT")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--async", dest="asynchronous", action="store_true")
    parser.add_argument("--machine-key", default="sim-machine-key")
    parser.add_argument("--service-id", default="5e2f1c1e-0000-4000-8000-000000000001")
    parser.add_argument("--service-secret", default="sim-service-secret")
    parser.add_argument("--system-user-id", default="5e2f1c1e-0000-4000-8000-000000000002")
    parser.add_argument("--system-user-key", default="sim-system-key")
    parser.add_argument("--storage-id", default="51a7e000-0000-4000-8000-000000000003")
    parser.add_argument("--system-storage-id", default="51a7e000-0000-4000-8000-000000000004")
    args = parser.parse_args()
    sys.setswitchinterval(0.001)
    site = Site(args)
    print(json.dumps({"ready": True, "host": args.host, "ports": site.ports, **site.config,
                      "admin_user": "admin", "admin_password": "admin"}), flush=True)
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    done.wait()


if __name__ == "__main__":
    main()
