"""Commands on a store of many experiments, as whole processes, beside the library beneath.

Guarantees: processor seconds are compared, so that other programs on the machine matter little.
"""

from __future__ import annotations

import os
import pty
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from expstore import ExperimentStore
from expstore.compare import compare
from expstore.compare.experiments import experiments
from expstore.compare.reading import read_states
from tests.benchmarks.corpora import Corpora
from tests.benchmarks.harness import Bench, Contender, Row, Unavailable, above

COMMANDS = {
    "ls": ["ls"],
    "prune --dry-run": ["prune", "--keep", "100", "--dry-run"],
    "compare --name": ["compare", "--name", "val/loss"],
}


def beneath(root: str, command: str) -> dict[str, Any]:
    """Processor seconds of what the library does for a command, without starting Python."""
    store = ExperimentStore(root)
    begin = time.process_time()
    if command == "ls":
        read_states(store, list(experiments(store, store.list_experiments())))
    elif command == "prune --dry-run":
        store.plan_prune(100)
    else:
        compare(store, names=["val/loss"])
    return {"seconds": time.process_time() - begin}


def rows(bench: Bench, corpora: Corpora) -> Iterator[Row]:
    """Each command into a pipe and on a terminal."""
    count = bench.size(20_000, 200)

    def library(command: str) -> Contender:
        return lambda: float(
            bench.ours("beneath", corpora.experiments(count, 300), command)["seconds"] * 1e3
        )

    def process(command: str, *, terminal: bool) -> Contender:
        return lambda: _seconds(corpora.experiments(count, 300), command, terminal) * 1e3

    for command in COMMANDS:
        for where in ("into a pipe", "on a terminal"):
            yield Row(
                f"expstore {command} of {count:,} experiments, {where}",
                "ms of a core",
                above(1000, "ms", "the library"),
                process(command, terminal=where == "on a terminal"),
                library(command),
                "the library beneath",
            )


def _seconds(root: Path, command: str, terminal: bool) -> float:
    """Processor seconds of a process."""
    run = [sys.executable, "-m", "expstore", "--root", str(root), *COMMANDS[command]]
    pid, output = pty.fork() if terminal else _piped()
    if not pid:
        os.execv(run[0], run)
    with suppress(OSError):  # a terminal is closed by an error
        while os.read(output, 1 << 16):
            pass
    os.close(output)
    _, status, used = os.wait4(pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise Unavailable(f"{command} ended with {code}")
    return used.ru_utime + used.ru_stime


def _piped() -> tuple[int, int]:
    """A child whose output is a pipe: its id, or 0 in the child, and the pipe."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        for stream in (1, 2):
            os.dup2(theirs, stream)
    os.close(theirs)
    return pid, ours
