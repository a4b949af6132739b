"""
What Lockstep writes to: the oCIS simulator of tests/sim, or a real oCIS.

Both have the same attributes: gateway, provider (host:port of CS3 gRPC), graph (URL), graph_user,
graph_password, machine_key, service (id and secret of its service account), system and system_user
(storage-system, its user's id and key), kind ("simulator" or
"oCIS"). A real oCIS is the binary that
$LOCKSTEP_OCIS names, or `ocis` on the PATH; its folder is initialised by itself and every port it
knows is moved to a free one. The simulator prints its ports as one line of JSON when it is ready.
"""

import base64
import json
import os
import re
import select
import shutil
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path

from . import fetch
from .process import BedError, Process, free_port, run


def real_ocis():
    """Path of the oCIS binary, or None."""
    named = os.environ.get("LOCKSTEP_OCIS")
    if named and not Path(named).is_file():
        raise BedError(f"LOCKSTEP_OCIS={named} is not a file")
    return named or shutil.which("ocis")


class Target:
    kind = ""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = None
        self.gateway = self.provider = self.sharing = self.data = self.graph = None
        self.graph_user, self.graph_password, self.machine_key = "admin", "admin", None
        self.storage_id = self.service = self.system = self.system_user = None

    def describe(self):
        return {k: getattr(self, k) for k in (
            "kind", "gateway", "provider", "sharing", "data", "graph", "graph_user", "graph_password",
            "machine_key", "storage_id", "service", "system", "system_user")}

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None


class Simulator(Target):
    kind = "simulator"
    main = fetch.ROOT / "tests" / "sim" / "main.py"

    def __init__(self, folder, args=()):
        super().__init__(folder)
        self.args = list(args)
        self.ready = self.admin = None  # the line it printed, as data; URL of its admin port

    def start(self):
        python = fetch.venv_python()
        r, w = os.pipe()
        try:
            self.process = Process("oCIS simulator", [python, self.main, *self.args],
                                   self.folder / "server.log", stdout=w)
        finally:
            os.close(w)
        with os.fdopen(r, "rb") as out:
            self.ready = json.loads(self._first_line(out, 150))
        at = {name: f"127.0.0.1:{port}" for name, port in self.ready["ports"].items()}
        self.gateway, self.provider, self.data = at["gateway"], at["storage-users"], at["data"]
        self.sharing, self.system = at["sharing"], at["storage-system"]
        self.system_user = self.ready["system_user_id"], self.ready["system_user_key"]
        self.graph, self.admin = f"http://{at['graph']}/graph", f"http://{at['admin']}"
        self.machine_key, self.storage_id = self.ready["machine_key"], self.ready["storage_id"]
        self.service = self.ready["service_id"], self.ready["service_secret"]
        self.graph_user = self.ready["admin_user"]
        self.graph_password = self.ready["admin_password"]

    def ask(self, path, method="GET", body=None):
        """The admin port of the simulator: JSON in, JSON out."""
        request = urllib.request.Request(
            self.admin + path, method=method,
            data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def counts(self):
        """Writing calls so far: name -> number."""
        return self.ask("/counters")["writing_calls"]

    def writes_since(self, before):
        """Writing calls that were made after counts() gave `before`; the method's name alone."""
        out = {}
        for name, n in self.counts().items():
            if n > before.get(name, 0):
                short = name.rsplit(".", 1)[-1]
                out[short] = out.get(short, 0) + n - before.get(name, 0)
        return out

    def _first_line(self, out, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([out], [], [], 0.1)[0]:
                line = out.readline()
                if line.strip():
                    return line
                if not line:
                    self.process.wait(5)
                    self.process.fail("ended before it was ready")
        self.process.fail(f"was not ready after {seconds} s")


class Ocis(Target):
    kind = "oCIS"

    def __init__(self, folder):
        super().__init__(folder)
        self.binary = real_ocis()
        if not self.binary:
            raise BedError("no oCIS here: no program `ocis` on the PATH, and LOCKSTEP_OCIS is unset")

    # variable: what it names; every address gets a free port
    ADDRESSES = """
        PROXY_HTTP_ADDR PROXY_DEBUG_ADDR OCIS_GATEWAY_GRPC_ADDR GATEWAY_DEBUG_ADDR USERS_GRPC_ADDR
        USERS_DEBUG_ADDR GROUPS_GRPC_ADDR GROUPS_DEBUG_ADDR AUTH_BASIC_GRPC_ADDR
        AUTH_BASIC_DEBUG_ADDR AUTH_MACHINE_GRPC_ADDR AUTH_MACHINE_DEBUG_ADDR AUTH_SERVICE_GRPC_ADDR
        AUTH_SERVICE_DEBUG_ADDR AUTH_APP_GRPC_ADDR AUTH_APP_HTTP_ADDR AUTH_APP_DEBUG_ADDR
        SHARING_GRPC_ADDR SHARING_DEBUG_ADDR STORAGE_USERS_GRPC_ADDR STORAGE_USERS_HTTP_ADDR
        STORAGE_USERS_DEBUG_ADDR STORAGE_SYSTEM_GRPC_ADDR STORAGE_SYSTEM_HTTP_ADDR
        STORAGE_SYSTEM_DEBUG_ADDR STORAGE_SHARES_GRPC_ADDR STORAGE_SHARES_DEBUG_ADDR
        STORAGE_PUBLICLINK_GRPC_ADDR STORAGE_PUBLICLINK_DEBUG_ADDR SETTINGS_GRPC_ADDR
        SETTINGS_HTTP_ADDR SETTINGS_DEBUG_ADDR GRAPH_HTTP_ADDR GRAPH_DEBUG_ADDR FRONTEND_HTTP_ADDR
        FRONTEND_DEBUG_ADDR OCDAV_HTTP_ADDR OCDAV_DEBUG_ADDR OCS_HTTP_ADDR OCS_DEBUG_ADDR
        EVENTHISTORY_GRPC_ADDR EVENTHISTORY_DEBUG_ADDR USERLOG_HTTP_ADDR USERLOG_DEBUG_ADDR
        POSTPROCESSING_DEBUG_ADDR IDM_LDAPS_ADDR IDM_DEBUG_ADDR NATS_DEBUG_ADDR""".split()
    SERVICES = ("nats,gateway,idm,users,groups,auth-basic,auth-machine,auth-service,auth-app,"
                "settings,storage-system,storage-users,storage-shares,storage-publiclink,sharing,"
                "graph,frontend,ocdav,ocs,postprocessing,eventhistory,userlog,proxy")
    SETTINGS = {
        "OCIS_INSECURE": "true", "OCIS_LOG_LEVEL": "warn", "GRAPH_USERNAME_MATCH": "none",
        "PROXY_ENABLE_BASIC_AUTH": "true", "OCIS_PASSWORD_POLICY_DISABLED": "true",
        "OCIS_ASYNC_UPLOADS": "false", "IDM_CREATE_DEMO_USERS": "false",
        "OCIS_SHARING_PUBLIC_SHARE_MUST_HAVE_PASSWORD": "false",
        "OCIS_SHARING_PUBLIC_WRITEABLE_SHARE_MUST_HAVE_PASSWORD": "false",
        "FRONTEND_AUTO_ACCEPT_SHARES": "false"}

    def _environment(self):
        used = set()

        def port():
            while True:
                p = free_port()
                if p not in used:
                    used.add(p)
                    return p

        at = {name: port() for name in self.ADDRESSES}
        nats = port()
        env = dict(os.environ, **self.SETTINGS, OCIS_RUN_SERVICES=self.SERVICES)
        env.update({name: f"127.0.0.1:{p}" for name, p in at.items()})
        env.update({name: f"127.0.0.1:{nats}" for name in (
            "MICRO_REGISTRY_ADDRESS", "OCIS_EVENTS_ENDPOINT", "OCIS_CACHE_STORE_NODES",
            "OCIS_PERSISTENT_STORE_NODES")})
        for name in ("config", "data", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        env.update(
            NATS_NATS_HOST="127.0.0.1", NATS_NATS_PORT=str(nats), OCIS_RUNTIME_PORT=str(port()),
            OCIS_URL=f"https://localhost:{at['PROXY_HTTP_ADDR']}",
            OCIS_LDAP_URI=f"ldaps://localhost:{at['IDM_LDAPS_ADDR']}",
            STORAGE_USERS_DATA_SERVER_URL=f"http://localhost:{at['STORAGE_USERS_HTTP_ADDR']}/data",
            STORAGE_SYSTEM_DATA_SERVER_URL=f"http://localhost:{at['STORAGE_SYSTEM_HTTP_ADDR']}/data",
            OCIS_BASE_DATA_PATH=str(self.folder / "data"),
            OCIS_CONFIG_DIR=str(self.folder / "config"), TMPDIR=str(self.folder / "tmp"),
            IDM_ADMIN_PASSWORD=self.graph_password)
        self.gateway = env["OCIS_GATEWAY_GRPC_ADDR"]
        self.provider = env["STORAGE_USERS_GRPC_ADDR"]
        self.sharing = env["SHARING_GRPC_ADDR"]
        self.system = env["STORAGE_SYSTEM_GRPC_ADDR"]
        self.graph = f"https://127.0.0.1:{at['PROXY_HTTP_ADDR']}/graph"
        return env

    def start(self):
        env = self._environment()
        if not (self.folder / "config" / "ocis.yaml").is_file():
            run([self.binary, "init", "--insecure", "yes", "--admin-password",
                 self.graph_password], "ocis init", env=env)
        text = (self.folder / "config" / "ocis.yaml").read_text()
        self.machine_key = _yaml(text, "machine_auth_api_key")
        self.storage_id = _yaml(text, r" +storage_users_mount_id")
        self.service = (_yaml(text, r" +service_account_id"),
                        _yaml(text, r" +service_account_secret"))
        self.system_user = (_yaml(text, "system_user_id"), _yaml(text, "system_user_api_key"))
        self.process = Process("oCIS", [self.binary, "server"], self.folder / "server.log",
                               env=env)
        self.process.wait_ready(self.answers, 90)

    def answers(self):
        """The last of the chain: graph answers the admin through the proxy."""
        sign_in = base64.b64encode(f"{self.graph_user}:{self.graph_password}".encode()).decode()
        request = urllib.request.Request(self.graph + "/v1.0/me/drives",
                                         headers={"Authorization": "Basic " + sign_in})
        unchecked = ssl._create_unverified_context()  # its certificate is its own
        try:
            with urllib.request.urlopen(request, timeout=5, context=unchecked) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False


def _yaml(text, key):
    """One scalar of ocis.yaml, which is plain: `key: value`, the value perhaps in quotes."""
    found = re.search(rf"^{key}: *(.*?) *$", text, re.M)
    if not found:
        raise BedError(f"ocis.yaml has no {key.strip(' +')}")
    value = found.group(1)
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
