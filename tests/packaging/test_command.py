"""Help, manual pages and completion: true to what the programs take, and in their shape."""

import os
import re
import subprocess

import pytest

from bed.daemons import BIN, STAGES
from bed.fetch import ROOT

OF_ALL = ("--json", "--config", "--set", "--log-level", "--check-config", "--dump-config",
          "--version", "--help")
VALUES = {"SECTION.KEY=VALUE": "source.host=x", "FILE": "/dev/null", "LEVEL": "info"}


@pytest.fixture(scope="module")
def commands(lockstep):
    """{command: (its synopsis, [(option, value or "")])}, from the help that people read."""
    out = {}
    for name in re.findall(r"^  ([a-z]+)  +\S", lockstep("help")[1], re.M):
        text = lockstep("help", name)[1]
        options = re.findall(r"^  (--[a-z-]+)(?: ([A-Z][A-Z.=]*))?(?:  |$)", text, re.M)
        out[name] = (text.splitlines()[0], options)
    return out


def test_help_fits_a_screen(lockstep):
    for args in (("help",), ("--help",)):
        status, text = lockstep(*args)
        assert status == 0
        assert len(text.splitlines()) <= 24
        assert max(map(len, text.splitlines())) <= 80


def test_the_help_of_each_command_fits_80_columns_and_both_ways_to_ask_agree(commands, lockstep):
    for name in commands:
        status, text = lockstep("help", name)
        assert status == 0 and text.startswith(f"usage: lockstep {name} ")
        assert max(map(len, text.splitlines())) <= 80, text
        if name != "help":
            assert lockstep(name, "--help") == (0, text)
    assert lockstep("help", "nonsense") == (2, "lockstep: no command 'nonsense'\n")


def test_output_that_cannot_be_written_is_no_success():
    with open("/dev/full", "w") as full:
        for args in (["help"], ["help", "verify"], ["--version"]):
            done = subprocess.run([BIN / "lockstep", *args], stdout=full, stderr=subprocess.PIPE, text=True)
            assert done.returncode == 1, args
            assert done.stderr == "lockstep: the output could not be written: No space left on device\n"


def test_who_cannot_reach_a_server_is_told_which_check_looks_at_it(tmp_path):
    config = tmp_path / "l.conf"
    config.write_text("[source]\nhost = 127.0.0.1:1\nuser = x\npassword = y\ndatabase = owncloud\n"
                      "[kafka]\nbootstrap.servers = 127.0.0.1:1\n[target]\nmachine_key = x\n[data]\nroot = /\n")
    for command, status, part in (("verify", 4, "source"), ("status", 7, "kafka"), ("check", 3, None)):
        done = subprocess.run([BIN / "lockstep", command, "--config", config], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120)
        assert done.returncode == status, (command, done)
        told = re.findall(r"^lockstep: what is wrong there, says `lockstep check --(\w+)`$", done.stderr, re.M)
        assert told == ([part] if part else []), (command, done.stderr)


def words_of(synopsis):
    """What may stand first behind the command: [[]] when nothing need."""
    first = synopsis.split()[3] if len(synopsis.split()) > 3 else ""
    return first.split("|") if re.fullmatch(r"[a-z]+(\|[a-z]+)+", first) else []


def test_each_option_in_the_help_is_one_that_the_command_takes(commands, lockstep):
    for name, (synopsis, options) in commands.items():
        assert {o for o, _ in options} >= set(OF_ALL)
        if name == "help":
            continue
        for option, value in options:
            if option in OF_ALL and name != "check":  # one parser takes these for all
                continue
            words = words_of(synopsis) or [None]
            tried = []
            for word in words:  # an option may be for one of the words only
                args = [name, *([word] if word else []), option]
                args += [VALUES.get(value, "1")] if value else []
                tried.append(lockstep(*args, "--check-config"))
            assert all("unknown option" not in text for _, text in tried), (name, option, tried)
        assert lockstep(name, *words_of(synopsis)[:1], "--nonsense", "--check-config")[0] == 2


def test_each_option_in_the_sources_is_in_the_help(commands):
    known = {o for _, options in commands.values() for o, _ in options}
    for source in ROOT.glob("ctl/**/*.c"):
        if source.name in ("usage.c", "manual.c"):
            continue
        for option in re.findall(r'"(--[a-z][a-z-]+)=?"', source.read_text()):
            assert option in known, f"{option} of {source.name} is not in ctl/usage.c"
    for command in re.findall(r'strcmp\(argv\[1\], "([a-z]+)"\)|\{"([a-z]+)", ctl_',
                              (ROOT / "ctl/main.c").read_text()):
        name = "".join(command)
        assert name in commands or name == "reference", f"{name} is not in ctl/usage.c"


@pytest.mark.parametrize("stage", STAGES)
def test_the_daemons_own_options_are_taken(lockstep, stage):
    text = lockstep("--help", program=f"lockstep-{stage}")[1]
    options = set(re.findall(r"--[a-z][a-z-]+", text))
    page = (ROOT / f"packaging/man/lockstep-{stage}.8.scd").read_text()
    assert options == set(re.findall(r"--[a-z][a-z-]+", page))


def pages(installed):
    return sorted((installed / "usr/share/man").rglob("*.[158]"))


def test_the_manual_pages_are_without_warnings_and_name_themselves(installed):
    assert len(pages(installed)) == 5
    for page in pages(installed):
        done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page],
                              capture_output=True, text=True,
                              env={"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"})
        assert done.stderr == "", f"{page.name}: {done.stderr}"
        name = page.name.rsplit(".", 1)[0]
        assert re.search(rf"^{re.escape(name)} - ", page.read_text().replace("\\&", ""), re.M)


def plain(page):
    done = subprocess.run(["man", "-l", page], capture_output=True, text=True, check=True,
                          env={"MANWIDTH": "200", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"})
    return re.sub(r".\x08", "", done.stdout)


def test_the_page_of_the_configuration_has_every_option(installed, lockstep):
    text = plain(installed / "usr/share/man/man5/lockstep.conf.5")
    section = None
    for line in lockstep("check", "--config", "/dev/null", "--dump-config")[1].splitlines():
        if line.startswith("["):
            section = line.strip("[]")
            assert f"SECTION {section}" in text
        elif "=" in line:
            assert re.search(rf"^ +{re.escape(line.strip('; ').split(' =')[0])}\b", text, re.M)


def test_the_page_of_the_command_has_every_command_and_option(installed, commands):
    text = plain(installed / "usr/share/man/man1/lockstep.1")
    for name, (_, options) in commands.items():
        assert re.search(rf"^ +lockstep {name}\b", text, re.M)
        for option, _ in options:
            assert option in text


# ---- completion


def bash(installed, line):
    """What bash offers behind this line."""
    script = installed / "usr/share/bash-completion/completions/lockstep"
    words = re.split(r" +", line)
    done = subprocess.run(
        ["bash", "--norc", "-c", 'source "$1"; shift; COMP_LINE=$1; COMP_POINT=${#1}; shift; '
         'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _lockstep; '
         'printf "%s\\n" "${COMPREPLY[@]}"', "bash", script, line, *words],
        capture_output=True, text=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_offers_the_commands_their_words_and_their_options(installed, commands):
    assert bash(installed, "lockstep ") == set(commands) | {"--help", "--version"}
    assert bash(installed, "lockstep che") == {"check"}
    assert bash(installed, "lockstep help ver") == {"verify"}
    for name, (synopsis, options) in commands.items():
        assert bash(installed, f"lockstep {name} --") == {o for o, _ in options} or name == "help"
        if words_of(synopsis):
            assert bash(installed, f"lockstep {name} ") == set(words_of(synopsis))
    assert bash(installed, "lockstep check --log-level w") == {"warn"}
    assert "source.host=" in bash(installed, "lockstep check --set source.h")
    assert bash(installed, "lockstep verify --user ") == set()


@pytest.mark.parametrize("stage", STAGES)
def test_bash_offers_a_daemon_its_own_options(installed, stage, lockstep):
    text = lockstep("--help", program=f"lockstep-{stage}")[1]
    assert bash(installed, f"lockstep-{stage} --") == set(re.findall(r"--[a-z][a-z-]+", text))


def test_bash_completion_is_clean(installed):
    script = installed / "usr/share/bash-completion/completions/lockstep"
    done = subprocess.run(["shellcheck", "-s", "bash", script], capture_output=True, text=True)
    assert done.stdout == ""


ZSH = r"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'fpath=('$1' $fpath); autoload -Uz compinit; compinit -u -D; PS1=; stty -echo; unset zle_bracketed_paste'
zpty -w z 'LISTMAX=10000; LINES=900; COLUMNS=300; zstyle ":completion:*" list-prompt ""; print RE''ADY'
zpty -r -m z line '*READY*'
zpty -w -n z "$2"$'\t\t'
zpty -r -m z list "*$3*"
zpty -w -n z $'\C-u'
zpty -w z 'print DO''NE'
zpty -r -m z line '*DONE*'
print -r -- $list$line
zpty -d z
"""


def has_terminals():
    try:
        for end in os.openpty():
            os.close(end)
    except OSError:
        return False
    return True


def zsh(installed, line, word):
    """What zsh shows behind this line when Tab is pressed, `word` among it: it shows nothing where more was typed ahead."""
    done = subprocess.run(["zsh", "-f", "-c", ZSH, "zsh",
                           installed / "usr/share/zsh/vendor-completions", line, word],
                          capture_output=True, text=True, timeout=60,
                          env={"TERM": "vt100", "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"})
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.stdout)


@pytest.mark.skipif(not has_terminals(), reason="zsh completes in a terminal: no /dev/pts here")
def test_zsh_offers_the_commands_and_their_options(installed, commands):
    shown = zsh(installed, "lockstep ", "verify")
    for name in commands:
        assert re.search(rf"\b{name}\b", shown), (name, shown)
    for name in ("check", "snapshot"):
        shown = zsh(installed, f"lockstep {name} --", "--json")
        for option, _ in commands[name][1]:
            assert option in shown, (name, option, shown)
