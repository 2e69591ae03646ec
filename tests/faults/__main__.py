"""Run the experiments, at full length (`--long`) or in their quick forms."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.faults import (
    apart,
    full,
    kills,
    model,
    processes,
    prunes,
    repairs,
    syscalls,
)
from tests.faults.base import Figures, Skip

Experiment = Callable[[Path], Figures]

LONG: dict[str, Experiment] = {
    "processes": partial(processes.run, processes=8, appends=100_000),
    "kills": partial(kills.run, kills=5_000),
    "syscalls": syscalls.run,
    "interrupts": partial(apart.run, "tests.faults.interrupts"),
    "full": partial(full.run, rounds=30),
    "repairs": partial(repairs.run, appends=60_000),
    "prunes": partial(prunes.run, trials=500),
    "power": partial(apart.run, "tests.faults.power"),
    "model": partial(model.run, steps=10_000),
}

# In processes of their own: the suite's have threads, whose locks a forked process may find taken.
QUICK: dict[str, Experiment] = {
    "processes": partial(apart.run, "tests.faults.processes", processes=4, appends=2_000),
    "kills": partial(apart.run, "tests.faults.kills", kills=25, until_torn=True),
    "syscalls": partial(apart.run, "tests.faults.syscalls", every=11),
    "interrupts": partial(apart.run, "tests.faults.interrupts", every=25),
    "full": partial(apart.run, "tests.faults.full", rounds=2),
    "repairs": partial(apart.run, "tests.faults.repairs", appends=2_000),
    "prunes": partial(apart.run, "tests.faults.prunes", trials=10),
    "power": partial(apart.run, "tests.faults.order"),
    "model": partial(model.run, steps=600),
}


def main() -> int:
    """Run the experiments named on the command line; return 0 if none failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(LONG)}")
    parser.add_argument("--long", action="store_true", help="run at full length")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - LONG.keys()
    if unknown:
        parser.error(f"no such experiment: {', '.join(sorted(unknown))}")
    failed = 0
    for name in chosen.names or LONG:
        start = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as directory:
                figures = (LONG if chosen.long else QUICK)[name](Path(directory))
            outcome = ", ".join(f"{key}: {value}" for key, value in figures.items())
        except Skip as reason:
            outcome = f"skipped: {reason}"
        except AssertionError as error:
            failed += 1
            outcome = f"FAILED: {error}"
        print(f"{name} ({time.monotonic() - start:.0f} s): {outcome}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
