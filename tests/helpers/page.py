"""Runs the examples of a page, in a process of its own that `documents.run_apart` starts.

Blocks run in their order: of Python, and of commands. A shell block with `pip install` installs
nothing: from there on, what it names is there, and what none has named is not.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from tests.helpers import commands, installed
from tests.helpers.documents import run_console, run_python

_BLOCK = re.compile(r"^```(python|console|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INSTALL = re.compile(r"pip install ([^&|\n]*)")


def installs(block: str) -> list[str]:
    """The requirements that a shell block installs."""
    words = [word for line in _INSTALL.findall(block) for word in line.split()]
    names = [word.strip("'\"") for word in words if not word.startswith("-")]
    return [re.sub(r"^\.(?=\[|$)", "expstore", name) for name in names]


def run_page(text: str, cwd: Path) -> list[str]:
    """Run all blocks; returns the comments that were values."""
    names: dict[str, object] = {}
    values: list[str] = []
    there: list[str] = ["expstore"]
    for kind, block in _BLOCK.findall(text):
        if kind == "sh":
            there += installs(block)
            continue
        missing = installed.others(there)
        if kind == "console":
            os.environ[commands.TAKEN_AWAY] = ",".join(missing)
            run_console(block, cwd)
            continue
        loaded = installed.take_away(missing)
        try:
            values += run_python(block, names)
        finally:
            installed.give_back(loaded)
    return values


def main(path: str) -> None:
    """Run a page in the working directory, and print the values."""
    print(json.dumps(run_page(Path(path).read_text(), Path.cwd())))
