"""README.md: its examples run unchanged and in order, library and command line in turn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.helpers.documents import BLOCK, run_console, run_python
from tests.helpers.paths import ROOT

README = ROOT / "README.md"


def test_examples_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All examples, in an empty directory; the values in comments are the results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPSTORE_ROOT", raising=False)
    names: dict[str, object] = {}
    values: list[str] = []
    for kind, block in BLOCK.findall(README.read_text()):
        if kind == "python":
            values += run_python(block, names)
        else:
            run_console(block, tmp_path)
    assert len(values) == 13, values  # a comment that does not look like a value is not checked


@pytest.mark.parametrize("marker", ["demo", "tests"])
def test_two_commands_are_there_and_are_one_line(marker: str) -> None:
    """Each command, setup included, is one line; CI runs the test command from the README."""
    found = re.findall(rf"<!-- {marker} -->\n```sh\n(.*)\n```\n", README.read_text())
    assert len(found) == 1
    assert found[0].startswith("python3 -m venv .venv && ")
