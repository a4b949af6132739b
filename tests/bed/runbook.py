"""
An admin at night: the commands of a runbook, as they stand in docs/runbooks, and nothing else.

    admin = Admin(site)                         # site: Daemons
    admin.follow("down", STAGE="transform")     # the block behind <!-- repair -->
    admin.follow("dead-letters", "drop", LETTER=3, TEXT="a reason")   # behind <!-- repair: drop -->

    admin.say("lockstep repair --user USER", USER="alice")   # a line of any page
    admin.look_around(FILEID=7, LETTER=3)   # every command of the manual that changes nothing
    admin.unsaid()                          # the lines of the manual that were not run

Words in capitals are filled in. `lockstep` is this build's, with the site's configuration in place of
/etc/lockstep/lockstep.conf, at a terminal where somebody says yes to what is asked.
`systemctl` is played, because no systemd runs here: a unit's words come
from packaging/systemd, its environment from `systemctl set-environment`, and it starts when somebody
says so. Each command must end with status 0.
"""

import os
import re
import shlex
import subprocess

from .daemons import BIN, STAGES
from .fetch import ROOT
from .process import BedError, wait_until
from .watched import watched

MANUAL = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", *ROOT.glob("packaging/**/*.md"),
                 *ROOT.glob("docker/*.md")])
PROGRAMS = ("lockstep", *(f"lockstep-{s}" for s in STAGES))
# what only looks, and comes to an end
HARMLESS = re.compile(r"lockstep (status|lag|check|verify|id|snapshot status|dlq (list|show)|(replay|repair) .*--dry-run)\b"
                      r"(?!.*--watch)")
PAGES = ROOT / "docs" / "runbooks"
UNITS = ROOT / "packaging" / "systemd"
_BLOCK = re.compile(r"^ *<!-- repair(?:: ([\w-]+))? -->\n+ *```sh\n(.*?)^ *```", re.M | re.S)


def commands(text):
    """The command lines of a page, and whether they are whole: in a sentence parts may be left out."""
    fenced = r"^(?: *|\d+\. )```sh\n(.*?)^ *```"
    lines = [(line, True) for block in re.findall(fenced, text, re.M | re.S) for line in block.splitlines()]
    outside = re.sub(r"^(?: *|\d+\. )```.*?^ *```", "", text, flags=re.M | re.S)
    lines += [(line, False) for line in re.findall(r"`([^`\n]+)`", outside)]
    for line, whole in lines:
        words = line.split("#")[0].strip()
        if words.split(" ")[0] in PROGRAMS and " " in words:
            yield words, whole


def lines_of_blocks(text):
    """Every line for a shell of a page."""
    found = re.findall(r"^(?: *|\d+\. )```sh\n(.*?)^ *```", text, re.M | re.S)
    return {line.strip() for block in found for line in block.splitlines() if line.strip()}


def blocks(page):
    """name -> command lines of the marked blocks of a page; the name of a bare mark is ""."""
    text = (PAGES / f"{page}.md").read_text()
    return {name or "": [line.strip() for line in body.splitlines() if line.strip()]
            for name, body in _BLOCK.findall(text)}


def filled(line, words):
    """The line with its words in capitals filled in; BedError when one is left."""
    for name, value in words.items():
        line = re.sub(rf"\b{name}\b", str(value), line)
    left = re.search(r"(?<![\w_])[A-Z]{3,}(?![\w_=])", line)
    if left and left.group() not in map(str, words.values()):
        raise BedError(f"what is {left.group()} in {line!r}?")
    return line


class Admin:
    def __init__(self, site):
        self.site = site
        self.environment = {}  # systemd's
        self.did = []  # (command, what it printed)
        self.said = set()  # the same, as they stand in the manual

    def follow(self, page, name="", **words):
        """Runs a block of a page; returns what its commands printed."""
        return [self.say(line, **words) for line in blocks(page)[name]]

    def say(self, line, **words):
        """Runs a line of the manual; what it printed."""
        self.said.add(line)
        return self.run(filled(line, words))

    def unsaid(self):
        """Lines of the manual that were not run."""
        return {line for page in MANUAL for line in lines_of_blocks(page.read_text())
                if line.split(" ")[0] in (*PROGRAMS, "systemctl")} - self.said

    def look_around(self, **words):
        """Each whole command of the manual that only looks, once; returns them."""
        lines = {line for page in MANUAL for line, whole in commands(page.read_text())
                 if whole and HARMLESS.match(line)}
        self.said |= lines
        for line in sorted(lines):
            if re.match(r"lockstep (status|lag)\b", line):  # one that is starved is silent for a moment
                wait_until(lambda: self.try_one(filled(line, words))[0] == 0, 150, f"`{line}` to end with 0")
            else:
                assert "[y/N]" not in self.run(filled(line, words)), line
        return lines

    def watch(self, line):
        """A command that goes on until it is interrupted: what it showed, twice and more."""
        self.said.add(line)
        program, *args = shlex.split(line)
        return watched([BIN / program, args[0], "--config", self.site.config, *args[1:]], b"STAGE ").decode()

    def run(self, line, status=0):
        """One command; what it printed. BedError when it ends otherwise."""
        code, text = self.try_one(line)
        if code != status:
            raise BedError(f"`{line}` ended with {code}, not {status}:\n{text}")
        return text

    def try_one(self, line):
        """(status, what it printed) of one command."""
        argv = shlex.split(line)
        code, text = (self._systemctl if argv[0] == "systemctl" else self._program)(*argv)
        self.did.append((line, text))
        return code, text

    def _program(self, program, *args):
        here, there = os.openpty()
        try:
            os.write(here, b"y\n")
            done = subprocess.run([BIN / program, args[0], "--config", self.site.config, *args[1:]],
                                  stdin=there, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        finally:
            os.close(here)
            os.close(there)
        return done.returncode, done.stdout.decode(errors="replace")

    # ---- systemd's part

    def _systemctl(self, _, verb, *args):
        if verb == "set-environment":
            self.environment.update(pair.split("=", 1) for pair in args)
        elif verb == "unset-environment":
            for name in args:
                self.environment.pop(name, None)
        elif verb in ("start", "restart"):
            for unit in args:
                self._start(unit, again=verb == "restart")
        else:
            raise BedError(f"systemctl {verb} is not played here")
        return 0, ""

    def _start(self, unit, again):
        text = (UNITS / f"{unit}.service").read_text()
        stage = unit.removeprefix("lockstep-")
        passed = re.findall(r"^PassEnvironment=(\w+)$", text, re.M)
        command = re.search(r"^ExecStart=\S+(.*)$", text, re.M)[1]
        for name in passed:
            command = command.replace(f"${name}", self.environment.get(name, ""))
        running = self.site.running.get(stage)
        if running and running.alive():
            if not again:
                return  # as systemd does
            self.site.stop(stage)
        self.site.spawn(stage, *shlex.split(command))
