"""
Each program with a principal of its own, that has the rights of docs/security.md and no others: the
table there is what is granted here.
"""

import json
import re
import time
import types

import pytest
from bed import wait_until
from bed.daemons import STAGES
from bed.fetch import ROOT
from bed.world import World
from harness import Capture

KEY = "a key for tests that is long enough"
KINDS = {"group": "GROUP", "groups": "GROUP", "transactional id": "TRANSACTIONAL_ID",
         "transactional ids": "TRANSACTIONAL_ID"}


def table():
    """(principal, kind, name without the prefix, operation) of each right in the manual."""
    text = (ROOT / "docs/security.md").read_text()
    program, out = None, []
    for line in re.findall(r"^\| (.*) \|$", text[text.index("| principal |"):], re.M)[1:]:
        cells = [cell.strip() for cell in line.split("|")]
        program = cells[0] or program
        rules = [("TOPIC", name, op) for name in re.findall(r"`<p>\.?([^`]*)`", cells[1])
                 for op in re.findall(r"[A-Z]\w+", cells[2])]
        for kind, names, ops in re.findall(r"([a-z ]+?) ((?:`[^`]+`(?:, )?)+): ([\w, ]+)", cells[3]):
            rules += [(KINDS[kind.strip()], name, op) for name in re.findall(r"`<p>([^`]*)`", names)
                      for op in re.findall(r"[A-Z]\w+", ops)]
        out += [(program, kind, name, re.sub(r"(?<=.)([A-Z])", r"_\1", op).upper())
                for kind, name, op in rules]
    return out


def sets_of(options):
    return [arg for key, value in options.items() for arg in ("--set", f"kafka.{key}={value}")]


@pytest.fixture
def world(bed, guarded, tmp_path):
    """Its command signs in as "command", each daemon by its own name."""
    site = types.SimpleNamespace(kafka=guarded, mariadb=bed.mariadb, target=None, folder=tmp_path)
    sets = {f"kafka.{k}": v for k, v in guarded.options("command").items()}
    with World(site, tmp_path / "world", sets={**sets, "control.key": KEY}) as world:
        yield world


def rules_of(prefix):
    rules = table()
    assert {program for program, *_ in rules} == {*STAGES, "command"} and len(rules) > 50, rules
    out = [(stage, "TOPIC", f"{prefix}.", "CREATE", True) for stage in STAGES]  # who makes the topics
    for program, kind, name, op in rules:
        dot = "." if kind == "TOPIC" else ""
        out.append((program, kind, prefix + dot + name.rstrip("*"), op, name.endswith("*") or not name))
    return out


def test_the_rights_in_the_manual_are_enough_for_each_program(world, guarded):
    guarded.grant_all(rules_of(world.prefix))
    world.work.populate(2, actions=5)
    daemons = world.daemons
    for stage in STAGES:
        daemons.spawn(stage, *sets_of(guarded.options(stage)))
    for stage in STAGES:
        daemons.wait_ready(stage)
    daemons.wait_snapshot()
    world.drained()
    uid = world.site.users[0]
    file = next(n for n in world.site.files(uid).below() if not n.folder)

    def asked(*words):
        code, text = daemons.lockstep(*words, "--json", "--log-level", "error")
        assert code == 0, f"{words}: {text}"
        return json.loads(text)

    for stage in STAGES:  # nothing was gone without, in silence
        assert not [l for l in daemons.log_lines(stage) if l.get("event") == "record-limit-unknown"], stage
    assert len(asked("status")) == 3
    lag = asked("lag")
    assert all(lag[f"{stage}/1"]["lag_records"] >= 0 for stage in ("transform", "apply")), lag
    assert asked("dlq", "list") == []
    assert asked("id", str(file.id))
    done = asked("replay", "--topic", "cs3.resource")
    assert done["sent"] > 0
    wait_until(lambda: daemons.status("apply")["counters"].get("replayed") == done["sent"], 60,
               "apply to have taken them")
    asked("snapshot", "start", "--user", uid)
    daemons.wait_snapshot()
    world.drained()
    world.assert_equal()
    world.assert_balanced()

    # who may read the topics and no group: all but the records behind is told, and why not those
    guarded.grant("reads", "TOPIC", f"{world.prefix}.", "READ")
    reads = sets_of(guarded.options("reads"))
    code, text = daemons.lockstep("status", *reads)
    assert code == 0, text
    code, text = daemons.lockstep("lag", *reads)
    lines = [line for line in text.splitlines() if line.startswith(("transform/", "apply/"))]
    assert code == 7 and [" unknown unknown " in line for line in lines] == [True, True], text
    assert "-apply: Broker: Group authorization failed" in text, text


def retries(capture):
    return sum(line.get("event") == "retry" for line in capture.site.log_lines("capture"))


def test_rights_that_are_taken_for_a_while_are_waited_for_once_they_were_there(bed, guarded, tmp_path):
    site = types.SimpleNamespace(kafka=guarded, mariadb=bed.mariadb, target=None, folder=tmp_path)
    capture = Capture(site, tmp_path / "capture", {f"kafka.{k}": v for k, v in
                                                   guarded.options("capture").items()})
    guarded.grant_all([rule for rule in rules_of(capture.prefix) if rule[0] == "capture"])
    try:
        capture.start()
        for kind, name in (("TRANSACTIONAL_ID", f"{capture.prefix}-capture"),
                           ("TOPIC", f"{capture.prefix}.oc10.")):
            taken = guarded.take("capture", kind, name, "WRITE")
            assert len(taken) == 1
            wait_until(lambda: "authorization failed" in capture.site.get("capture", "/readyz")[1], 60,
                       "why at /readyz")
            tries = retries(capture)
            while retries(capture) < tries + 5:  # it connects, and the position may be written
                assert capture.site.get("capture", "/readyz")[0] == 503
                time.sleep(0.05)
            assert capture.site.running["capture"].alive()
            guarded.grant_all(taken)
            capture.site.wait_ready("capture", 60)
        capture.sql("INSERT INTO oc_groups VALUES('staff')")
        wait_until(lambda: "staff" in capture.state("groups"), 60, "the row")
        assert capture.stop() == 0
    finally:
        capture.close()
