"""GUIDE.md of the package formats: its examples run unchanged and in order."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import formats
from tests.helpers.documents import BLOCK, run_console, run_python
from tests.helpers.paths import ROOT

GUIDE = Path(formats.__file__).with_name("GUIDE.md").read_text()


def test_examples_run_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All examples, in an empty directory; the values in comments are the results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the processes that the examples start
    names: dict[str, object] = {}
    values: list[str] = []
    for kind, block in BLOCK.findall(GUIDE):
        if block.startswith("# sensors.py\n"):
            Path("sensors.py").write_text(block)
        elif kind == "python":
            values += run_python(block, names)
        else:
            run_console(block, tmp_path)
    assert len(values) == 12, values  # a comment that does not look like a value is not checked
    sys.modules.pop("sensors")


def test_the_guide_is_one_page_and_its_declaration_is_short() -> None:
    """About what a reader takes in at once."""
    assert len(GUIDE.split()) < 750
    first = BLOCK.findall(GUIDE)[0][1]
    assert first.startswith("# sensors.py\n")
    declaration = first.partition("SAMPLES = ")[2]
    assert declaration.count("\n") <= 18
