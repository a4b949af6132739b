"""
The three daemons on a bed: their configuration, their start and their end, their words.

    site = Daemons(bed, data=folder)
    site.start()                     # capture, transform, apply; waits for /readyz
    site.kill("apply"); site.start("apply")
    site.wait_drained()              # all that the source holds by now is done
    site.lockstep("verify")

What "drained" means: each stage says, in its status document, how far behind it is; heartbeats run
through the whole pipe, so that this is true when nothing happens. The moment `time - lag` of every
stage must have passed the moment of the call, and apply must hold nothing that could still be done
(parked entities wait for something that does not come, or for a person).
"""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from . import fetch
from .database import DATABASE
from .process import BedError, Process, free_port, tail, wait_until

STAGES = ("capture", "transform", "apply")
# parked, but not for long: it is done, or a dead letter, after a few tries
STILL_TRIED = ("queued", "in-flight", "content-", "bucket-", "trash-reopen")
BIN = Path(os.environ.get("LOCKSTEP_BIN") or fetch.ROOT / "build" / "bin")


def last_error(lines):
    """Why a program stopped, of its log's lines: librdkafka may say something of its own behind it."""
    return [x for x in lines if x.get("level") == "error" and x.get("event") != "librdkafka"][-1]


class Daemons:
    """
    `data` is the data directory on this machine; `home` the one that the rows speak of, when it is
    another. `sets` are options by "section.key", for all programs; `source` another database than
    the bed's MariaDB.
    """

    def __init__(self, bed, data, home=None, prefix="lockstep", sets=None, folder=None,
                 source=None):
        self.bed, self.data, self.prefix = bed, Path(data), prefix
        self.source = source or bed.mariadb
        self.folder = Path(folder or bed.folder / "lockstep")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ledger = self.folder / "ledger.db"
        self.running = {}
        self.parked = (None, 0.0)
        self.ports = {stage: free_port() for stage in STAGES}
        self.config = self.folder / "lockstep.conf"
        self._write(home, sets or {})

    def _options(self):
        options = {
            "lockstep.prefix": self.prefix,
            "lockstep.status_ms": 200,  # tests wait for what the status says
            "kafka.bootstrap.servers": self.bed.kafka.bootstrap,
            "apply.ledger": self.ledger, "data.root": self.data}
        source, target = self.source, self.bed.target
        if source:
            options.update({
                "source.host": source.host, "source.port": source.port, "source.user": "lockstep",
                "source.password_file": self._secret("source", "lockstep"),
                "source.database": DATABASE})
        if target:
            options.update({
                "target.gateway": target.gateway, "target.provider": target.provider,
                "target.sharing": target.sharing,
                "target.graph": target.graph, "target.graph_user": target.graph_user,
                "target.graph_password_file": self._secret("graph", target.graph_password),
                "target.machine_key_file": self._secret("machine", target.machine_key),
                "target.tls_verify": "false"})
            if target.service:
                options["target.service_account_id"] = target.service[0]
                options["target.service_account_secret_file"] = self._secret(
                    "service", target.service[1])
            if target.system_user:
                options.update({
                    "apply.shares": "api",  # exact where a test asks for it
                    "target.system": target.system,
                    "target.system_user_id": target.system_user[0],
                    "target.system_user_key_file": self._secret("system", target.system_user[1])})
            if target.storage_id:
                options["target.storage_id"] = target.storage_id
        return options

    def _secret(self, name, text):
        path = self.folder / f"{name}.secret"
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path

    def _write(self, home, sets):
        sections = {}
        for name, value in {**self._options(), **sets}.items():
            section, key = name.split(".", 1)
            if value is not None:
                sections.setdefault(section, []).append(f"{key} = {value}")
        if home:
            sections["map"] = [f"{home} = {self.data}"]
        self.config.write_text("\n".join(
            f"[{section}]\n" + "\n".join(lines) + "\n" for section, lines in sections.items()))

    # ---- life

    def command(self, stage, *args):
        return [BIN / f"lockstep-{stage}", "--config", self.config,
                "--set", f"http.port={self.ports[stage]}", *args]

    def spawn(self, stage, *args):
        """Starts one daemon and does not wait."""
        old = self.running.get(stage)
        if old and old.alive():
            raise BedError(f"{stage} is running")
        self.running[stage] = Process(f"lockstep-{stage}", self.command(stage, *args),
                                      self.log(stage))
        return self.running[stage]

    def start(self, *stages, args=(), seconds=60):
        """Starts these (all three without a name) and waits until each answers /readyz."""
        for stage in stages or STAGES:
            self.spawn(stage, *args)
        for stage in stages or STAGES:
            self.wait_ready(stage, seconds)

    def wait_ready(self, stage, seconds=60):
        process = self.running[stage]
        try:
            process.wait_ready(lambda: self.ready(stage), seconds)
        except BedError as e:
            raise BedError(f"{e}\n/readyz said: {self.get(stage, '/readyz')}") from None

    def kill(self, stage):
        """SIGKILL: the crash that every stage must survive."""
        self.running[stage].kill()

    def pause(self, stage):
        self.running[stage].signal(signal.SIGSTOP)

    def resume(self, stage):
        self.running[stage].signal(signal.SIGCONT)

    def stop(self, *stages):
        """SIGTERM; returns the exit statuses. Without a name: all, from the end of the pipe."""
        names = [s for s in (stages or reversed(STAGES)) if s in self.running]
        for stage in names:
            self.running[stage].signal(signal.SIGTERM)
        return {stage: self.running[stage].stop(asked=True) for stage in names}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    # ---- words

    def log(self, stage):
        return self.folder / f"{stage}.log"

    def log_lines(self, stage):
        """What a daemon logged, as data; a line that is no JSON is {"text": line}."""
        out = []
        if self.log(stage).is_file():
            for line in self.log(stage).read_text(errors="replace").splitlines():
                try:
                    out.append(json.loads(line))
                except ValueError:
                    out.append({"text": line})
        return out

    def get(self, stage, path):
        """(HTTP status, text), or (0, reason) when nobody answers."""
        url = f"http://127.0.0.1:{self.ports[stage]}{path}"
        try:
            with urllib.request.urlopen(url, timeout=15) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError as e:
            return 0, str(e)

    def ready(self, stage):
        return self.get(stage, "/readyz")[0] == 200

    def status(self, stage):
        """The status document of a stage; {} when it does not answer."""
        code, text = self.get(stage, "/status")
        try:
            return json.loads(text) if code == 200 else {}
        except ValueError:
            return {}

    def check_balance(self):
        """
        Each stage that answers has made something of each row or record that it took in. Its status
        is of one moment between two batches, so that it may be asked at any time; a stage that has
        ended, or hangs for a test's sake, says nothing.
        """
        for stage, process in self.running.items():
            status = self.status(stage) if process.alive() else {}
            if status.get("balance"):
                raise BedError(f"{stage} is out of balance: {json.dumps(status)}")

    def lockstep(self, *args, seconds=120):
        """The admins' command: its exit status and what it printed."""
        done = subprocess.run([BIN / "lockstep", args[0], "--config", self.config, *args[1:]],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=seconds)
        return done.returncode, done.stdout.decode(errors="replace")

    # ---- waiting

    def check_alive(self):
        for stage, process in self.running.items():
            if not process.alive():
                raise BedError(f"lockstep-{stage} ended with status {process.status()}:\n"
                               + tail(process.log))

    def wait_snapshot(self, seconds=60):
        """Until the snapshot is done in capture."""
        def done():
            self.check_alive()
            return self.status("capture").get("snapshot", {}).get("state") == "done"
        self._wait(done, seconds, "the end of the snapshot")

    def behind(self, since_us):
        """What is not yet through, in words; empty when all up to `since_us` is."""
        before = 0  # what the stage before this one has handed on
        for stage in STAGES:
            status = self.status(stage)
            if not status:
                return f"{stage} does not answer /status"
            counters = status.get("counters", {})
            if counters.get("in", 0) < before:
                return f"{stage} has taken in {counters.get('in')} of {before} records"
            before = counters.get("published", counters.get("out", 0))
            if not status.get("ready", False):
                return f"{stage} is not ready: {status.get('why')}"
            reached = status.get("time_us", 0) - status.get("lag_us", 1 << 60)
            # apply's lag counts what waits for something parked: its own work says more, below
            if reached < since_us and stage != "apply":
                return f"{stage} is {(since_us - reached) / 1e6:.1f} s behind"
            if stage == "apply":
                parked = status.get("parked", {})
                busy = {c: n for c, n in parked.items() if n and c.startswith(STILL_TRIED)}
                if busy or status.get("in_flight"):
                    return f"apply has work open: {busy}"
                if not self._settled(parked):
                    return f"apply has parked: {parked}"
        return ""

    def _settled(self, parked, seconds=3):
        """Parked entities may be tried again: nothing parked, or the same for a while."""
        if parked != self.parked[0]:
            self.parked = (parked, time.monotonic())
        return not parked or time.monotonic() - self.parked[1] > seconds

    def wait_drained(self, seconds=90):
        """Until all that was committed at the source before this call is done."""
        # a binlog's times are whole seconds: the one that is running belongs to the past
        since_us = (int(time.time()) + 1) * 1000000
        last = [""]
        self.parked = (None, 0.0)

        def done():
            self.check_alive()
            last[0] = self.behind(since_us)
            return not last[0]
        self._wait(done, seconds, "the pipe to drain", last)

    def _wait(self, done, seconds, what, last=None):
        try:
            wait_until(done, seconds, what, 0.1)
        except BedError as e:
            words = "\n".join(f"{s}: {json.dumps(self.status(s))}" for s in STAGES)
            raise BedError(f"{e}: {last[0] if last else ''}\n{words}\n"
                           f"end of apply's log:\n{tail(self.log('apply'), 5)}") from None
