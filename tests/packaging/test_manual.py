"""The manual: its commands are ones that the programs take, its files and pages exist."""

import re
import shlex

import pytest

from bed.fetch import ROOT
from bed.runbook import MANUAL, commands

FOLDERS = ("apply/", "capture/", "common/", "ctl/", "docker/", "docs/", "packaging/", "schemas/",
           "tests/", "transform/")


def names(pages):
    return [str(p.relative_to(ROOT)) for p in pages]


def filled(word):
    """Placeholders as somebody would fill them in."""
    if re.fullmatch(r"[A-Z]+(\.\.\.)?", word):
        return {"FILE": "/dev/null"}.get(word, "1")
    return word.replace("SECTION.KEY=VALUE", "source.host=x")


@pytest.mark.parametrize("page", MANUAL, ids=names(MANUAL))
def test_each_command_of_the_page_is_one_that_the_program_takes(page, lockstep):
    for line, whole in commands(page.read_text()):
        if "..." in line and not re.search(r"[A-Z]\.\.\.", line) or "<" in line:
            continue  # a way of speaking, not a command
        # a|b|c is three commands; what stands in brackets may be left out
        line = re.sub(r"\[[^]]*\]", "", line)
        choice = re.search(r"\b[a-z]+(\|[a-z]+)+", line)
        for word in choice.group().split("|") if choice else [""]:
            words = shlex.split(line.replace(choice.group(), word) if choice else line)
            if words[1] in ("reference", "help"):
                assert lockstep(*words[1:], program=words[0])[0] == 0, line
                continue
            status, text = lockstep(*map(filled, words[1:]), "--check-config", program=words[0])
            assert not re.search("no command|unknown option", text), f"{line}: {text}"
            assert status == 0 or not whole, f"{line}: {text}"


@pytest.mark.parametrize("page", MANUAL, ids=names(MANUAL))
def test_each_link_and_each_file_of_the_page_is_there(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#: ]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for name in re.findall(r"`([\w./-]+)`", text):
        if name.startswith(FOLDERS) and "*" not in name:
            assert (ROOT / name).exists(), f"{page.name} names {name}"


def test_the_site_has_every_page():
    nav = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f" {page.name}\n" in nav, f"{page.name} is not in mkdocs.yml"
