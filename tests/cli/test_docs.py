"""README, guide and help texts agree with each other and with the application."""

from __future__ import annotations

import importlib
import re
import shlex
from itertools import pairwise, takewhile
from typing import Any

import pytest
import typer.main

from expstore.cli import base, run
from tests.helpers import commands
from tests.helpers.paths import ROOT

README = (ROOT / "README.md").read_text()
PAGES = README + (ROOT / "expstore" / "README.md").read_text()

for theme in run._THEMES:
    importlib.import_module(f"expstore.cli.{theme}")

COMMANDS: dict[str, Any] = dict(typer.main.get_command(base.app).commands)  # type: ignore[attr-defined]


def lines() -> list[str]:
    """Every `expstore ...` command line shown in the pages or in a command's help."""
    shown = re.findall(r"^\$ (expstore .*)$", PAGES, re.MULTILINE)
    for command in COMMANDS.values():
        shown += re.findall(r"Example: (expstore .*)", command.help or "")
    return shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    """The example calls that command."""
    text = COMMANDS[name].help or ""
    assert re.search(rf"^Example: expstore {name}\b", text, re.MULTILINE), text


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_is_in_words_of_this_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of a Python type; on a narrow terminal, a line ends where there is no more room."""
    monkeypatch.setenv("COLUMNS", "80")
    text = commands.expstore(*name.split(), "--help").stdout
    assert not re.search(r"<(str|bool|int|float|path|list)\b", text), text
    assert "[[" not in text
    about = text.split("Usage:")[1].split("╭")[0].split("\n")[2:]
    for line, following in pairwise(line.strip() for line in about):
        word = following.partition(" ")[0]
        assert not (line and word) or line.endswith((".", ":")) or len(f" {line} {word}") > 78, line


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_pages(name: str) -> None:
    """The README's table lists each command, and the README or the guide calls it."""
    table = README.split("| group | commands |")[1].split("\n\n")[0]
    assert f"`{name}`" in table
    assert re.search(rf"\bexpstore {name}\b", PAGES)


@pytest.mark.parametrize("line", lines())
def test_every_line_shown_is_a_command_with_its_options(line: str) -> None:
    """Each line parses unchanged, without the shell's `> file`."""
    words = list(takewhile(lambda word: word not in (">", "|"), shlex.split(line)))[1:]
    command = COMMANDS[words[0]]
    parser = command.make_context(words[0], words[1:], resilient_parsing=True)
    known = {option for parameter in command.params for option in parameter.opts}
    assert parser is not None
    if "--" in words:
        words = words[: words.index("--")]  # what follows is another program's
    assert {word.split("=")[0] for word in words[1:] if re.match(r"--\w", word)} <= known
