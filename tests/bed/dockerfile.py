"""
A Dockerfile as data: stages of instructions, for tests on machines without an engine.

Understood is what ours uses; anything else is a BedError, so that nothing in it goes unseen.
"""

import json
import re
from pathlib import Path

from .process import BedError

KNOWN = "FROM RUN WORKDIR COPY ENV USER VOLUME HEALTHCHECK CMD".split()


class Stage:
    def __init__(self, base, name):
        self.base, self.name = base, name
        self.steps = []  # (instruction, text)

    def all(self, instruction):
        return [text for known, text in self.steps if known == instruction]

    def last(self, instruction):
        return self.all(instruction)[-1]

    def copies(self):
        """(stage that it comes from, or None: the context; sources; target) of each COPY."""
        for text in self.all("COPY"):
            yield copy_of(text)

    def packages(self):
        """What its apt-get installs."""
        out = set()
        for text in self.all("RUN"):
            for part in text.split("&&"):
                words = part.split()
                if words[:2] == ["apt-get", "install"]:
                    out |= {w for w in words[2:] if not w.startswith("-")}
        return out


def copy_of(text):
    words = text.split()
    origin = None
    if words[0].startswith("--"):
        found = re.fullmatch(r"--from=(\w+)", words.pop(0))
        if not found:
            raise BedError(f"COPY {text} is not understood")
        origin = found[1]
    return origin, words[:-1], words[-1]


def health_of(text):
    """The shell command of a HEALTHCHECK."""
    return text.split(" CMD ", 1)[1]


def stages(path):
    lines = [line for line in Path(path).read_text().splitlines() if not line.startswith("#")]
    out = []
    for line in re.sub(r" *\\\n *", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        instruction, text = line.split(" ", 1)
        if instruction not in KNOWN:
            raise BedError(f"{instruction} is not understood")
        if instruction == "FROM":
            base, _, name = text.partition(" AS ")
            out.append(Stage(base, name or None))
        else:
            out[-1].steps.append((instruction, text.strip()))
    for stage in out:
        for text in stage.all("CMD"):
            json.loads(text)  # an array, so that no shell stands before the daemon
    return out


def ignored(path):
    """What does not belong to the context: names at its top."""
    return set(Path(path).read_text().split())
