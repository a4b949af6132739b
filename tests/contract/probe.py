"""Drives our own writer through build/bin-test/writer-probe: one JSON line per call."""
import functools
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "bin-test" / "writer-probe"


@functools.cache
def program():
    """The command, built once by make: a suite without it would test nothing and say so nowhere."""
    made = subprocess.run(
        ["make", "--no-print-directory", "-f", "Makefile", "-f", "tests/contract/contract.mk",
         "build/bin-test/writer-probe"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return PROGRAM


# CS3_PERM_* of common/records.h
BITS = ("add_grant create_container delete get_path get_quota initiate_file_download "
        "initiate_file_upload list_grants list_container list_file_versions list_recycle move "
        "remove_grant purge_recycle restore_file_version restore_recycle_item stat update_grant "
        "deny_grant").split()


def bits(permissions):
    return sum(1 << BITS.index(name) for name, on in permissions.items() if on)


class Failed(Exception):
    def __init__(self, answer):
        super().__init__("%(kind)s %(cause)s %(code)s: %(msg)s" % answer)
        self.answer = answer
        self.kind, self.cause, self.code = answer["kind"], answer["cause"], answer["code"]
        self.node = answer.get("node")


class Probe:
    def __init__(self, target, folder, exact=False, **options):
        self.folder = folder
        secrets = {"graph_password": target.graph_password, "machine_key": target.machine_key}
        settings = {"target.gateway": target.gateway, "target.provider": target.provider,
                    "target.graph": target.graph, "target.graph_user": target.graph_user,
                    "target.tls_verify": "false", "target.storage_id": target.storage_id,
                    "data.root": folder / "data"}
        if getattr(target, "sharing", None):
            settings["target.sharing"] = target.sharing
        if exact:  # then apply.shares is exact by itself
            settings.update({"target.system": target.system,
                             "target.system_user_id": target.system_user[0]})
            secrets["system_user_key"] = target.system_user[1]
        for name, text in secrets.items():
            (folder / name).write_text(text + "\n")
            (folder / name).chmod(0o600)
            settings["target.%s_file" % name] = folder / name
        settings.update({k.replace("__", "."): v for k, v in options.items()})
        self.log = open(folder / "probe.log", "w")
        command = [program()]
        for key, value in settings.items():
            command += ["--set", "%s=%s" % (key, value)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        self.calls = {}

    def stop(self):
        self.process.stdin.close()
        self.process.wait(120)
        self.log.close()

    def raw(self, call, /, **arguments):
        self.process.stdin.write(json.dumps({"call": call, **arguments}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the probe ended: "
                                 + (self.folder / "probe.log").read_text()[-2000:])
        answer = json.loads(line)
        self.calls = answer["calls"]
        return answer

    def __call__(self, call, /, **arguments):
        answer = self.raw(call, **arguments)
        if not answer["ok"]:
            raise Failed(answer)
        return answer

    def fails(self, call, /, **arguments):
        with pytest.raises(Failed) as caught:
            self(call, **arguments)
        return caught.value
