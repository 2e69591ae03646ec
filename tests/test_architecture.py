"""Which package may know what: `formats` bytes and no file, `expstore` files and no layout."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

FORMATS = sorted((ROOT / "formats").glob("*.py"))
REPOSITORY = sorted((ROOT / "expstore").rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The top-level packages that a module imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("path", FORMATS, ids=lambda path: path.name)
def test_formats_opens_no_file_and_knows_no_repository(path: Path) -> None:
    """Bytes in, values out: nothing that reaches the system, nothing of expstore."""
    assert not imported(path) & {"expstore", "os", "pathlib", "mmap", "shutil", "tempfile"}
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "open" not in calls


@pytest.mark.parametrize("path", REPOSITORY, ids=lambda path: str(path.relative_to(ROOT)))
def test_repository_knows_no_layout(path: Path) -> None:
    """Nothing is packed or unpacked here, and no declaration is made."""
    assert not imported(path) & {"struct", "construct"}
