"""Running commands in processes forked from one that has already loaded the modules.

Starting Python for each of about a hundred calls would take a fifth of the suite's time.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.helpers import installed
from tests.helpers.paths import ROOT

TAKEN_AWAY = "EXPSTORE_TESTS_TAKEN_AWAY"
"""The variable with the modules that commands cannot import, separated by commas."""

_TIMEOUT = 60.0  # seconds, for any command


def expstore(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `expstore` with these arguments in this process's environment, without a terminal.

    Args:
        arguments: the arguments after the program's name.
        cwd: the working directory; None: the current one.
    """
    context = _context()
    with tempfile.TemporaryDirectory() as directory:
        streams = [Path(directory, name) for name in ("stdout", "stderr")]
        where = str(cwd or Path.cwd())
        child = context.Process(target=_run, args=(arguments, where, dict(os.environ), streams))
        child.start()
        child.join(_TIMEOUT)
        if child.exitcode is None:
            child.kill()
            raise TimeoutError(f"expstore {' '.join(arguments)}: timed out after {_TIMEOUT:g} s")
        output, errors = (path.read_text("utf-8") for path in streams)
        return subprocess.CompletedProcess(arguments, child.exitcode, output, errors)


@cache
def _context() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(["tests.helpers.commands", "tests.helpers.commands_loaded"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))  # the server inherits no other import path
        forkserver.ensure_running()
    return context


def _run(
    arguments: tuple[str, ...], cwd: str, environment: Mapping[str, str], streams: list[Path]
) -> None:
    """Run the command in the child, set up as if a shell had started it."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    installed.take_away(filter(None, os.environ.pop(TAKEN_AWAY, "").split(",")))
    files = [os.open(os.devnull, os.O_RDONLY)]
    files += [os.open(path, os.O_WRONLY | os.O_CREAT) for path in streams]
    for descriptor, file in enumerate(files):
        os.dup2(file, descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  stays open until the process ends
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)
    sys.argv = ["expstore", *arguments]
    from expstore.cli import main

    main()
