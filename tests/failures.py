"""
What failed in a suite, read from what it printed: a line for each test, with the place and the reason.

run.py prints these lines last, so that the end of a long output says what is wrong. Understood are
cmocka, the sanitizers and libFuzzer, programs that died or ran out of time, compilers, and pytest.
Where nothing of that is to be seen, the last lines of the output are given as they are.
"""

import re

AT_MOST = 30  # lines of one suite
WIDTH = 300
LAST = 4

PROGRAM = re.compile(r"== (\S+)$")
STATE = re.compile(r"\[ +(RUN|OK|SKIPPED|FAILED|ERROR) +\] (.*)")
LINE = re.compile(r"\[ +LINE +\] --- (\S+:\d+): error: (.*)")
SANITIZER = re.compile(r"==\d+== ?(ERROR: .*)|(SUMMARY: .*)|(\S+: runtime error: .*)")
ENDED = re.compile(r"make.*\*\*\* \[.*\.run\] (.*)")
COMPILER = re.compile(r"(fatal error:|[\w./-]+:\d+(:\d+)?: (fatal )?error: ).*")
SECTION = re.compile(r"_+ ([^_ ].*?) _+$")
CHAIN = re.compile(r"(During handling of|The above exception was) .*exception")
SUMMARY = re.compile(r"=+ short test summary info =+$")
SUMMED = re.compile(r"(FAILED|ERROR) (\S*?::)?(.*)")


class Program:
    """One program of cmocka's or libFuzzer's: what it says, line by line."""

    def __init__(self, name):
        self.name, self.test, self.said = name, None, {}
        self.where = self.why = ""

    def add(self, test, text):
        self.said.setdefault(test, text)

    def read(self, line):
        state, place = STATE.match(line), LINE.search(line)
        sanitizer, ended = SANITIZER.match(line), ENDED.match(line)
        if place:
            self.where = place[1]
            self.why = self.why or place[2]
        elif line.startswith("ERROR: "):  # fail_msg
            self.why = line[7:]
        elif state and state[2].startswith("--- "):
            self.why = state[2][4:]
        elif state:
            self.turn(state[1], state[2])
        elif sanitizer:
            self.add((self.test, line[:2]), self.of(self.test) + (sanitizer[1] or line))
        elif ended and (self.test or not self.said):
            self.add("end", self.of(self.test) + f"ended by: {ended[1]}")

    def turn(self, word, test):
        if word in ("FAILED", "ERROR") and "listed below" not in test:
            self.add(test, self.of(test) + ": ".join(x for x in (self.where, self.why) if x))
        self.test = test if word == "RUN" else None
        self.where = self.why = ""

    def of(self, test):
        return f"{self.name}: " + (f"{test}: " if test else "")


def of_programs(lines):
    programs = [Program("")]
    for line in lines:
        begin = PROGRAM.match(line)
        if begin:
            programs.append(Program(begin[1]))
        elif COMPILER.match(line) and "runtime error" not in line:
            programs[-1].add(line, line)
        elif programs[-1].name:
            programs[-1].read(line)
    return [text for program in programs for text in program.said.values()]


def of_sanitizers(text):
    """Whether one of them spoke."""
    return any(SANITIZER.match(line) for line in text.splitlines())


def sections(lines):
    """pytest's long words on each failure: title -> place and reason; one exception behind another
    is told as both, with the place of the last."""
    found, title, told = {}, None, False
    for line in lines:
        begin = SECTION.match(line)
        if begin:
            title, told = begin[1], False
            found[title] = ["", ""]
        elif line.startswith("==="):
            title = None
        elif CHAIN.match(line):
            told = False
        elif title and line.startswith("E  ") and not told:
            found[title][1] += (", then " if found[title][1] else "") + line[1:].strip()
            told = True
        elif title and re.match(r"\S+\.py:\d+: \w", line):
            found[title][0] = line.rsplit(": ", 1)[0]
    return found


def of_pytest(lines):
    told, failed = sections(lines), []
    summary = [n for n, line in enumerate(lines) if SUMMARY.match(line)]
    for line in lines[summary[-1]:] if summary else []:
        summed = SUMMED.match(line)
        if not summed:
            continue
        word, file, test = summed.groups(default="")
        titles = [(len(bare), bare, title) for title in told
                  for bare in [re.sub(r"^ERROR (at \w+ of|collecting) ", "", title)]
                  if test.replace("::", ".").startswith(bare) and (word == "ERROR") == (bare != title)]
        if titles:  # pytest cuts the reason where the name is long: what it said above is whole
            _, bare, title = max(titles)
            line = ": ".join(x for x in (f"{word} {file}{bare}", *told[title]) if x)
        failed.append(line)
    return failed


def of(text, remark):
    """The lines that say why a suite failed; `remark` is run.py's: over its budget, or the status."""
    lines = [line.rstrip() for line in text.splitlines()]
    failed = of_programs(lines) + of_pytest(lines)
    if not failed or "budget" in remark:
        failed.append(f"{remark}; its last words:")
        failed += [f"  {line}" for line in [x for x in lines if x][-LAST:]]
    more = len(failed) - AT_MOST
    failed = failed[:AT_MOST] + ([f"... and {more} more"] if more > 0 else [])
    return [x if len(x) <= WIDTH else x[: WIDTH - 3] + "..." for x in failed]
