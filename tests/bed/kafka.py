"""
Kafka in KRaft mode, one node that is broker and controller or three of them, and the schema registry.

What a start costs is mostly the loading of classes: the first broker that a cache sees writes them
into an archive that all later ones map, and its formatted log folder is the pattern of theirs.
Kept small: 256 MB of heap, one compiler tier, the serial collector. Topics are not made by use:
Lockstep makes its own. The log cleaner is off unless asked for, so that a test reads all that was
ever written; the compacted topics' settings are what they would be anyway.
"""

import base64
import os
import shutil
import socket
import urllib.error
import urllib.request
import uuid
from pathlib import Path

from . import fetch
from .process import Process, free_port, run, wait_until

_PROPERTIES = """
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/data
num.partitions=1
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
min.insync.replicas={in_sync}
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.retention.ms=-1
log.index.size.max.bytes=1048576
log.cleaner.enable=false
num.network.threads=2
num.io.threads=4
"""
_LOG4J = """
rootLogger.level=warn
rootLogger.appenderRefs=f
rootLogger.appenderRef.f.ref=F
appender.f.type=Console
appender.f.name=F
appender.f.layout.type=PatternLayout
appender.f.layout.pattern=%d %p %m (%c)%n
"""
_CLUSTER = "bG9ja3N0ZXAtdGVzdHMtMQ"  # any 16 bytes in base64url
_SMALL = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xss512k"]


def java():
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def _pattern():
    """
    A folder with `classes.jsa`, which a JVM that was not made for it passes by, and `formatted/`:
    both are left of one broker that was started and stopped.
    """
    def fill(part):
        broker = Kafka(part / "broker", pattern=part)
        run(broker._java("128m", "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c",
                         broker.config), "formatting Kafka's log folder")
        shutil.copytree(part / "broker" / "data", part / "formatted")
        broker.begin(f"-XX:ArchiveClassesAtExit={part}/classes.jsa")
        broker.ready()
        broker.process.stop(90)
        shutil.rmtree(part / "broker")
    return fetch.filled(f"kafka-{fetch.KAFKA}-pattern", fill)


class Kafka:
    """
    A node. `controllers`: the controllers' ports of all nodes of its cluster, this one's being
    number `node`; without it, a cluster of one.
    """

    def __init__(self, folder, options=(), heap="256m", node=1, controllers=None,
                 pattern=None):
        self.folder = Path(folder)
        self.pattern = pattern or _pattern()
        self.node = node
        self.folder.mkdir(parents=True, exist_ok=True)
        self.host, self.port = "127.0.0.1", free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.heap = heap
        self.process = None
        controllers = controllers or [free_port()]
        voters = ",".join(f"{i}@127.0.0.1:{p}" for i, p in enumerate(controllers, 1))
        several = len(controllers) > 1
        self.config = self.folder / "server.properties"
        self.config.write_text(_PROPERTIES.format(
            port=self.port, controller=controllers[node - 1], folder=self.folder, node=node,
            voters=voters, copies=len(controllers), in_sync=2 if several else 1)
            + "\n".join(options) + "\n")
        (self.folder / "log4j2.properties").write_text(_LOG4J)

    def _java(self, heap, *argv):
        log4j = self.folder / "log4j2.properties"
        archive = self.pattern / "classes.jsa"
        return [java(), f"-Xmx{heap}", *_SMALL, f"-Dlog4j2.configurationFile={log4j}",
                *([f"-XX:SharedArchiveFile={archive}"] if archive.is_file() else []),
                "-cp", f"{fetch.kafka_jars()}/*", *argv]

    def _format(self):
        """What kafka-storage format does, with an identity of the folder's own."""
        shutil.copytree(self.pattern / "formatted", self.folder / "data")
        meta = self.folder / "data" / "meta.properties"
        own = {"node.id": self.node,
               "directory.id": base64.urlsafe_b64encode(b"L" + uuid.uuid4().bytes[1:]).decode()[:22]}
        lines = [line.split("=", 1) for line in meta.read_text().splitlines() if line[:1] != "#"]
        meta.write_text("".join(f"{key}={own.get(key, value)}\n" for key, value in lines))

    def begin(self, *java_options):
        """Formats the log folder when it is new and starts; ready() waits for the answer."""
        patience = []
        if not (self.folder / "data" / "meta.properties").is_file():
            self._format()
            if "broker.session.timeout.ms" not in self.config.read_text():
                # one that is starved for 9 s would be fenced by itself, and lead nothing for a while; when it
                # is started again after a crash, it waits until its session of before has ended
                patience = ["--override", "broker.session.timeout.ms=120000"]
        self.process = Process("kafka", self._java(self.heap, *java_options, "kafka.Kafka", self.config,
                                                   *patience), self.folder / "server.log")

    def ready(self):
        self.process.wait_ready(self.answers, 90)

    def start(self):
        self.begin()
        self.ready()

    def answers(self):
        """Whether the broker answers an ApiVersions request: its port is open too early."""
        # size, api_key 18, api_version 0, correlation id, client id "bed"
        request = b"\0\0\0\x0d" + b"\0\x12" + b"\0\0" + b"\0\0\0\x01" + b"\0\x03bed"
        try:
            with socket.create_connection((self.host, self.port), 2) as s:
                s.settimeout(2)
                s.sendall(request)
                return len(s.recv(14)) >= 8
        except OSError:
            return False

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def kill(self):
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.process = None


class Guarded(Kafka):
    """
    One node with ACLs. Who comes to `bootstrap` is a super user without a name; at `sasl` everybody
    signs in with his name as the password (SASL/PLAIN) and may do what rules say.
    """

    def __init__(self, folder, users):
        super().__init__(folder)
        self.sasl = f"127.0.0.1:{free_port()}"
        accounts = " ".join(f'user_{u}="{u}"' for u in users)
        text = self.config.read_text()
        for line in ("listeners=", "advertised.listeners="):
            text = text.replace(f"\n{line}", f"\n{line}SASL_PLAINTEXT://{self.sasl},")
        self.config.write_text(text + f"""
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
 org.apache.kafka.common.security.plain.PlainLoginModule required {accounts};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
""")

    def options(self, user):
        """librdkafka's, for him."""
        return {"bootstrap.servers": self.sasl, "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanisms": "PLAIN", "sasl.username": user, "sasl.password": user}

    def grant(self, user, kind, name, operation, prefixed=True):
        """grant("apply", "TOPIC", "p.", "READ")"""
        self.grant_all([(user, kind, name, operation, prefixed)])

    def grant_all(self, rules):
        """Rules as grant() takes them; returns when the broker, not only its controller, has them."""
        from confluent_kafka import admin
        kinds = {True: admin.ResourcePatternType.PREFIXED, False: admin.ResourcePatternType.LITERAL}
        wanted = {admin.AclBinding(getattr(admin.ResourceType, kind), name, kinds[prefixed], f"User:{user}",
                                   "*", getattr(admin.AclOperation, operation), admin.AclPermissionType.ALLOW)
                  for user, kind, name, operation, prefixed in rules}
        every = admin.AclBindingFilter(admin.ResourceType.ANY, None, admin.ResourcePatternType.ANY, None,
                                       None, admin.AclOperation.ANY, admin.AclPermissionType.ANY)
        client = admin.AdminClient({"bootstrap.servers": self.bootstrap})
        for done in client.create_acls(list(wanted)).values():
            done.result(120)
        wait_until(lambda: wanted <= set(client.describe_acls(every).result(120)), 60, "the rules to hold")


    def take(self, user, kind, name, operation):
        """Takes his rules about this name away; those, as grant_all() takes them."""
        from confluent_kafka import admin
        some = admin.AclBindingFilter(getattr(admin.ResourceType, kind), name, admin.ResourcePatternType.ANY,
                                      f"User:{user}", None, getattr(admin.AclOperation, operation),
                                      admin.AclPermissionType.ANY)
        client = admin.AdminClient({"bootstrap.servers": self.bootstrap})
        gone = [done.result(120) for done in client.delete_acls([some]).values()][0]
        wait_until(lambda: not client.describe_acls(some).result(120), 60, "the rules to be gone")
        return [(user, kind, name, operation, rule.resource_pattern_type == admin.ResourcePatternType.PREFIXED)
                for rule in gone]


class Cluster:
    """Three nodes, each broker and controller; a topic's copies stand on all of them."""

    def __init__(self, folder, options=()):
        controllers = [free_port() for _ in range(3)]
        # a dead broker's partitions are led by others soon
        options = ["broker.session.timeout.ms=6000", "broker.heartbeat.interval.ms=1000", *options]
        self.nodes = {n: Kafka(Path(folder) / str(n), options, "192m", node=n,
                               controllers=controllers) for n in (1, 2, 3)}
        self.bootstrap = ",".join(n.bootstrap for n in self.nodes.values())

    def start(self):
        for node in self.nodes.values():
            node.begin()
        for node in self.nodes.values():
            node.ready()

    def stop(self):
        for node in self.nodes.values():
            if node.process:
                node.process.kill()
                node.process = None


class Registry:
    """Apicurio in memory, with the Confluent-compatible API."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/apis/ccompat/v7"
        self.process = None

    def start(self):
        home = fetch.apicurio()
        jar = sorted(home.glob("*runner.jar")) + sorted(home.glob("quarkus-run.jar"))
        env = dict(os.environ, QUARKUS_HTTP_PORT=str(self.port), QUARKUS_HTTP_HOST="127.0.0.1",
                   APICURIO_STORAGE_KIND="sql", APICURIO_STORAGE_SQL_KIND="h2",
                   APICURIO_DATASOURCE_URL=f"jdbc:h2:mem:db_{self.port}")
        self.process = Process("schema registry", [java(), "-Xmx384m", *_SMALL, "-jar", jar[0]],
                               self.folder / "server.log", env=env, cwd=home)
        self.process.wait_ready(self.answers, 120)

    def answers(self):
        try:
            with urllib.request.urlopen(self.url + "/subjects", timeout=2) as answer:
                return answer.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None
