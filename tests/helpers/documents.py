"""Running the examples of a page: its blocks of Python and of commands."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.helpers import commands
from tests.helpers.paths import ROOT

# Not with -m: each command that is forked would import a main module again.
_RUN = "import sys; from tests.helpers.page import main; main(sys.argv[1])"

BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_console(block: str, cwd: Path) -> None:
    """Run each `$ expstore ...` line, which must succeed."""
    for line in block.splitlines():
        command, *arguments = shlex.split(line.removeprefix("$ "))
        assert line.startswith("$ ")
        assert command == "expstore", line
        done = commands.expstore(*arguments, cwd=cwd)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def run_python(block: str, names: dict[str, object]) -> list[str]:
    """Run each statement; a comment that looks like a value must be the expression's value.

    Returns:
        The comments that were values.
    """
    values, lines = [], block.encode().splitlines()
    for node in ast.parse(block).body:
        assert node.end_lineno is not None
        code = "\n" * (node.lineno - 1) + (ast.get_source_segment(block, node) or "")
        comment = lines[node.end_lineno - 1][node.end_col_offset :].decode().strip(" #")
        if re.match(r"[\[(\d']|Metric\(|True$", comment):
            shown = repr(eval(code, names))
            pattern = ".*".join(map(re.escape, comment.split("...")))
            assert re.fullmatch(pattern, shown), f"{code.strip()}\n{shown}"
            values.append(comment)
        else:
            exec(compile(code, "example", "exec"), names)
    return values


def run_apart(page: Path, cwd: Path) -> list[str]:
    """Run a page's examples in a process of its own, which has only what the page installs.

    Returns:
        The comments that were values.
    """
    environment = {name: value for name, value in os.environ.items() if name != "EXPSTORE_ROOT"}
    environment |= {"PYTHONPATH": str(ROOT), "GIT_CEILING_DIRECTORIES": str(cwd.parent)}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(page)],
        cwd=cwd,
        env=environment | {commands.SHARED: commands.address()},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    values: list[str] = json.loads(done.stdout.splitlines()[-1])
    return values
