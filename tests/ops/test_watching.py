"""
Alert rules, runbooks and dashboards agree with each other and with the metrics there are. No server is
needed; that every panel has data is shown with daemons at work in scenarios/test_dashboards.py.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from bed import BedError, process
from bed.dashboards import queries, wait_for_data

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "packaging/prometheus"
GRAFANA = ROOT / "packaging/grafana"
RUNBOOKS = ROOT / "docs/runbooks"
BIN = Path(os.environ.get("LOCKSTEP_BIN") or ROOT / "build/bin")
WITHOUT_ALERT = {"ledger-lost.md", "records-lost.md"}  # a daemon does not start: it is down, its log names the page
SECTIONS = ["What it means", "How to look", "What to do"]


def promtool(*args, cwd=RULES):
    done = subprocess.run(["promtool", *args], cwd=cwd, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300)
    assert done.returncode == 0, done.stdout


def alerts():
    """alert -> its part of the rules file."""
    text = (RULES / "lockstep.rules.yml").read_text()
    parts = re.split(r"^ +- alert: ", text, flags=re.M)[1:]
    return {part.split("\n", 1)[0].strip(): part for part in parts}


def metric_names():
    """All that a Prometheus may know of us: docs/METRICS.md, which a test holds to the tables."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs/METRICS.md").read_text(), re.M)
    names = set()
    for name, kind in rows:
        names |= {f"{name}_{end}" for end in ("bucket", "sum", "count")} if kind == "histogram" \
            else {name}
    return names


def recorded():
    return set(re.findall(r"- record: (\S+)", (RULES / "lockstep.rules.yml").read_text()))


def unknown_names(text):
    used = set(re.findall(r"\b(?:lockstep[_:]|process_)\w+", text))
    return used - metric_names() - recorded()


def panels():
    for path in sorted((GRAFANA / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            yield path.stem, panel


def test_the_rules_are_valid_and_their_tests_pass():
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "lockstep.rules.yml")
    promtool("test", "rules", "lockstep.test.yml")


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not():
    text = (RULES / "lockstep.test.yml").read_text()
    for alert in alerts():
        assert re.search(rf"alertname: {alert}, exp_alerts: \[\]", text), alert
        assert re.search(rf"alertname: {alert}\n +exp_alerts:\n +- exp_labels", text), alert


def test_every_alert_says_what_it_is_and_has_a_runbook():
    used = set()
    for alert, part in alerts().items():
        for word in ("summary", "description", "severity"):
            assert re.search(rf"{word}: ", part), f"{alert} has no {word}"
        page = ROOT / re.search(r"runbook_url: (\S+)", part)[1]
        assert page.is_file(), f"{alert}: no {page}"
        titles = re.findall(r"^## (.*)$", page.read_text(), re.M)
        assert titles == SECTIONS, f"{page.name}: {titles}"
        assert re.search(rf"{alert}\b.*\({page.name}\)", (RUNBOOKS / "README.md").read_text()), alert
        used.add(page.name)
    assert {p.name for p in RUNBOOKS.glob("*.md")} - used == {"README.md", *WITHOUT_ALERT}


def commands():
    """Every command line of every runbook, once."""
    found = {}
    for page in sorted(RUNBOOKS.glob("*.md")):
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.S):
            for line in block.splitlines():
                found.setdefault(line.strip(), page.name)
    return found


FILLED = {"USER": "alice", "CAUSE": "quota", "LETTER": "3", "FILEID": "7", "TEXT": "no"}


@pytest.mark.parametrize("line", [c for c in commands() if not c.startswith("systemctl ")])
def test_a_command_of_a_runbook_exists(line):
    """A command that is not there, or does not know an option, ends with status 2."""
    argv = [re.sub(r"^[A-Z]+$", lambda word: FILLED[word.group()], arg) for arg in shlex.split(line)]
    wrong = "--set", "lockstep.nothing=1"  # stops it behind the command line, before any server
    done = subprocess.run([BIN / argv[0], *argv[1:], *wrong], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30, env={"PATH": os.environ["PATH"]})
    said = done.stdout + done.stderr
    assert done.returncode == 2 and "unknown key" in said and "nothing" in said, f"{line}: {said}"


@pytest.mark.parametrize("line", [c for c in commands() if c.startswith("systemctl ")])
def test_what_a_runbook_tells_systemd_is_about_a_unit_and_what_it_takes(line):
    units = {p.stem: p.read_text() for p in (ROOT / "packaging/systemd").glob("*.service")}
    verb, *args = shlex.split(line)[1:]
    assert verb in ("start", "restart", "set-environment", "unset-environment") and args
    for arg in args:
        if "environment" in verb:
            name = arg.split("=")[0]
            assert any(f"PassEnvironment={name}\n" in text and f" ${name}\n" in text
                       for text in units.values()), line
        else:
            assert arg in units or arg == "lockstep-STAGE", line


def test_rules_runbooks_and_dashboards_speak_of_metrics_that_there_are():
    for path in [RULES / "lockstep.rules.yml", *RUNBOOKS.glob("*.md")]:
        # in a sentence: all of a kind (lockstep_*_total), a histogram by its name
        text = re.sub(r"lockstep_\*\w*|(?<=`)lockstep_\w+_seconds(?=`)", "", path.read_text())
        assert not unknown_names(text), f"{path.name}: {unknown_names(text)}"
    for name, panel in panels():
        for target in panel["targets"]:
            assert not unknown_names(target["expr"]), f"{name}, {panel['title']}"


def test_every_metric_is_on_a_dashboard_or_in_a_rule():
    text = (RULES / "lockstep.rules.yml").read_text()
    text += "".join(t["expr"] for _, panel in panels() for t in panel["targets"])
    shown = set(re.findall(r"\b(?:lockstep_|process_)\w+", text))
    missing = {n for n in metric_names() if not n.endswith(("_sum", "_count"))} - shown
    assert missing == {"process_start_time_seconds"}, missing


def test_the_dashboards_are_what_their_tables_say():
    spec = importlib.util.spec_from_file_location("dashboards", GRAFANA / "dashboards.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    there = {p.name: p.read_text() for p in (GRAFANA / "dashboards").iterdir()}
    assert there == made.files(), "run packaging/grafana/dashboards.py"
    for name, rows in made.DASHBOARDS.items():
        board = json.loads(there[f"lockstep-{name}.json"])
        assert len(board["panels"]) == len(rows)
        assert len({p["id"] for p in board["panels"]}) == len(rows)
        places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
        assert len(set(places)) == len(places), "two panels in one place"


class Answers:
    """A Prometheus that has data for all but some queries."""

    def __init__(self, without=()):
        self.without = without

    def query(self, expr):
        return [] if expr in self.without else [({}, 1.0)]


def test_a_panel_without_data_is_named(monkeypatch):
    monkeypatch.setattr(process, "PATIENCE", 0)
    asked = list(queries())
    assert wait_for_data(Answers(), 0) == len(asked) == sum(len(p["targets"]) for _, p in panels())
    board, title, expr = asked[-1]
    with pytest.raises(BedError) as e:
        wait_for_data(Answers({expr}), 0)
    assert f"{board}, {title}: {expr}" in str(e.value) and asked[0][2] not in str(e.value)
