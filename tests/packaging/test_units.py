"""The units: systemd takes them, they are closed enough, and the daemons do what they rest on."""

import configparser
import os
import re
import signal
import socket
import subprocess
from contextlib import contextmanager

import pytest

from bed import BedError
from bed.daemons import BIN, STAGES
from bed.fetch import ROOT
from bed.notify import Notify

EXPOSURE = 16  # tenths, `systemd-analyze security`: 10.0 is no protection at all


def unit_of(installed, stage):
    return installed / "lib/systemd/system" / f"lockstep-{stage}.service"


def values(unit, key):
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.M)


@pytest.mark.parametrize("stage", STAGES)
def test_systemd_takes_the_unit_without_a_word(installed, stage, tmp_path):
    unit = tmp_path / f"lockstep-{stage}.service"
    text = unit_of(installed, stage).read_text()
    unit.write_text(text.replace("/usr/bin/", f"{BIN}/"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True,
                          text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("stage", STAGES)
def test_the_unit_is_closed(installed, stage):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager",
                           f"--threshold={EXPOSURE}", unit_of(installed, stage)],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-300:]


def exit_statuses():
    """The daemons' statuses by name, from the header."""
    text = (ROOT / "common/err.h").read_text()
    return {name: int(n) for name, n in re.findall(r"LS_EXIT_(\w+) = (\d+)", text)}


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_person_has_to_mend_stays_down_and_the_rest_is_tried_again(installed, stage):
    unit = unit_of(installed, stage)
    known = exit_statuses()
    down = {int(n) for n in values(unit, "RestartPreventExitStatus")[0].split()}
    again = {known["OK"], known["FAILURE"], known["DATA"]}
    of_the_command = {known["DIFFERENT"], known["CARRIED"], known["UNSEEN"]}
    assert down == set(known.values()) - again - of_the_command
    assert values(unit, "Restart") == ["on-failure"]


@pytest.mark.parametrize("stage", STAGES)
def test_each_credential_is_a_secret_option_with_a_stand_in(installed, stage, lockstep):
    unit = unit_of(installed, stage)
    handed = [c.split(":")[0] for c in values(unit, "LoadCredential")]
    assert handed and values(unit, "SetCredential") == [f"{c}:\\n" for c in handed]
    for name in handed:
        section, key = name.split(".", 1)
        status, text = lockstep("--dump-config", "--set", f"{name}=not-to-be-seen",
                                "--config", "/dev/null", program=f"lockstep-{stage}")
        assert status == 0 and "not-to-be-seen" not in text
        parsed = configparser.ConfigParser(interpolation=None, comment_prefixes=(";",))
        parsed.read_string(text)
        assert parsed[section][key] == "***"


@pytest.fixture
def notify(tmp_path):
    with Notify(tmp_path) as notify:
        yield notify


@contextmanager
def daemon(stage, notify, *args):
    process = subprocess.Popen([BIN / f"lockstep-{stage}", "--config", "/dev/null", *args],
                               env={**os.environ, **notify.env},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        notify.close()
        process.kill()
        process.wait()


@pytest.mark.parametrize("stage", STAGES)
def test_a_wrong_option_fails_the_start(notify, stage):
    with daemon(stage, notify, "--set", "source.port=none") as process:
        assert process.wait(120) == 2
        with pytest.raises(BedError, match="not heard"):
            notify.hear([process.pid], "READY=1", seconds=0.1)


@pytest.mark.parametrize("stage", STAGES)
def test_a_daemon_without_its_kafka_has_started_and_waits(notify, stage, tmp_path):
    with socket.socket() as nobody:  # has the port, and does not listen
        nobody.bind(("127.0.0.1", 0))
        with daemon(stage, notify,
                    "--set", f"kafka.bootstrap.servers=127.0.0.1:{nobody.getsockname()[1]}",
                    "--set", "http.port=0", "--set", f"apply.ledger={tmp_path}/ledger.db",
                    "--set", "apply.writer=null") as process:
            notify.hear([process.pid], "READY=1", "STATUS=waiting for Kafka", "WATCHDOG=1")
            notify.close()
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def test_a_credential_reaches_the_daemon_and_an_empty_one_does_not(tmp_path, lockstep, monkeypatch):
    (tmp_path / "source.password").write_text("handed over\n")
    (tmp_path / "control.key").write_text("\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    status, text = lockstep("--config", "/dev/null", "--dump-config", program="lockstep-capture")
    assert status == 0
    assert "\npassword = ***\n" in text.split("[source]")[1]
    assert "; key =\n" in text.split("[control]")[1]


def test_the_example_configuration_is_right_also_without_its_semicolons(installed, lockstep,
                                                                        tmp_path):
    example = installed / "usr/share/doc/lockstep/lockstep.conf"
    plain = tmp_path / "lockstep.conf"
    plain.write_text(re.sub(r"^;(?=\S)", "", example.read_text(), flags=re.M))
    for path in (example, plain):
        status, text = lockstep("check", "--config", path, "--check-config")
        assert status == 0, text


def test_nothing_else_is_installed_than_what_is_named(installed):
    files = {str(p.relative_to(installed)) for p in installed.rglob("*") if not p.is_dir()}
    daemons = [f"lockstep-{s}" for s in STAGES]
    completion = "usr/share/bash-completion/completions"
    assert files == {
        "usr/bin/lockstep", *(f"usr/bin/{d}" for d in daemons),
        *(f"lib/systemd/system/{d}.service" for d in daemons),
        "usr/share/man/man1/lockstep.1", "usr/share/man/man5/lockstep.conf.5",
        *(f"usr/share/man/man8/{d}.8" for d in daemons),
        f"{completion}/lockstep", *(f"{completion}/{d}" for d in daemons),
        "usr/share/zsh/vendor-completions/_lockstep",
        "usr/share/doc/lockstep/lockstep.conf", "usr/share/doc/lockstep/README.md"}
