"""The targets of the contract tests: the simulator always, a real oCIS where a binary is here.

`$LOCKSTEP_OCIS` names the binary, or `ocis` on the PATH. Each target is started once. A test that
takes `target` runs against every one; a test that takes `sim` only against the simulator, because
it needs a fault or a setting that cannot be ordered from a running server. `home` is a new user
with an empty personal space, so that no test sees another's leavings.
"""
import itertools
import re
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
from bed.target import Ocis, Simulator, real_ocis

sys.path.insert(0, str(Path(__file__).parent))
from client import Client  # noqa: E402


HOMES_S = 2  # for so long, and not for 300 s, a gateway remembers what it answered to CreateHome


class RealOcis(Ocis):
    """Remembers the addresses that only these tests need."""

    def _environment(self):
        env = dict(super()._environment(), GATEWAY_CREATE_HOME_CACHE_TTL=f"{HOMES_S}s")
        self.data = env["STORAGE_USERS_HTTP_ADDR"]
        self.sharing = env["SHARING_GRPC_ADDR"]
        self.system_data = env["STORAGE_SYSTEM_HTTP_ADDR"]
        self.graph_inside = env["GRAPH_HTTP_ADDR"]  # takes a token instead of a password
        return env

    def start(self):
        super().start()
        text = (self.folder / "config" / "ocis.yaml").read_text()

        def value(key):
            return re.search(r"^ *%s: *(.*?) *$" % key, text, re.M).group(1).strip("\"'")
        self.service = (value("service_account_id"), value("service_account_secret"))


class Sim(Simulator):
    def start(self):
        super().start()
        ports = self.ready["ports"]
        self.sharing = "127.0.0.1:%d" % ports["sharing"]
        self.system_data = "127.0.0.1:%d" % ports["system-data"]
        self.links = "http://127.0.0.1:%d" % ports["links"]
        self.service = (self.ready["service_id"], self.ready["service_secret"])
        self.ask("/settings", "POST", {"homes": HOMES_S})


def start(kind, folder):
    target = (Sim if kind == "simulator" else RealOcis)(folder)
    target.start()
    return target


@pytest.fixture(scope="session")
def targets(tmp_path_factory):
    """Started when first asked for; by name."""
    running = {}

    def get(kind):
        if kind not in running:
            running[kind] = start(kind, tmp_path_factory.mktemp(kind))
        return running[kind]

    yield get
    for target in running.values():
        target.stop()


@pytest.fixture(params=["simulator", "oCIS"] if real_ocis() else ["simulator"])
def target(request, targets):
    return targets(request.param)


@pytest.fixture
def sim(targets):
    sim = targets("simulator")
    sim.ask("/counters/reset", "POST")
    yield sim
    sim.ask("/faults", "DELETE")
    sim.ask("/up", "POST")
    sim.ask("/stopping", "POST", {"seconds": 0})
    sim.ask("/settings", "POST", {"async": False, "pace": 100.0, "window": 0.001,
                                  "limit": 10 << 20, "public_password": False,
                                  "landing": None})


@pytest.fixture(scope="session")
def clients():
    made = {}

    def get(target):
        if target not in made:
            made[target] = Client(target)
        return made[target]
    return get


_numbers = itertools.count(1)


def new_user(client):
    name = "u%d-%s" % (next(_numbers), uuid.uuid4().hex[:6])
    client.make_user(name)
    return client.sign_in(name)


@pytest.fixture
def people(target, clients):
    """Makes users: people() is a new one, with a home."""
    return lambda: new_user(clients(target))


@pytest.fixture
def home(people):
    return people()


@pytest.fixture
def sim_people(sim, clients):
    return lambda: new_user(clients(sim))


@pytest.fixture
def sim_home(sim_people):
    return sim_people()


@pytest.fixture
def pair(site):
    """A writer's site and somebody it shares with."""
    name = "r" + uuid.uuid4().hex[:8]
    uid = site.probe("user_ensure", uid=name, display_name="R. Eceiver")["id"]
    site.probe("space_ensure", uid=name)
    return SimpleNamespace(site=site, name=name, uid=uid, see=site.client.sign_in(name))
