"""What the tests have workers do: in a module of its own, which workers import without pytest."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from expstore import ExperimentStore
from expstore.store.care.check import check_experiments


def die() -> None:
    """End this worker as the kernel does that has no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)


def process_id() -> int:
    """Of the worker."""
    return os.getpid()


def fail() -> None:
    """Raise what a worker raises that lacks this package."""
    raise ModuleNotFoundError("No module named 'expstore.newer'", name="expstore.newer")


def check_slowly(store: ExperimentStore, ids: list[str]) -> list[Any]:
    """What `cluster._check` does, and time to kill who does it."""
    time.sleep(0.05)
    return list(check_experiments(store.location, ids))


def slow_part(frame: Any) -> Any:
    """The partition, and time to kill who makes it."""
    time.sleep(0.1)
    return frame


def export_and_die(address: str, root: str, output: str) -> None:
    """Begin an export, and end by SIGKILL when two parts are there."""
    from expstore.cluster import export_parquet, open_client

    def progress(parts: Any) -> Any:
        for number, part in enumerate(parts, 1):
            yield part
            if number == 2:
                die()

    with open_client(address) as client:
        store = ExperimentStore(root)
        export_parquet(store, Path(output), client, batch=BATCH, progress=progress)


BATCH = 100_000  # bytes: every log of the tests is long or alone

if __name__ == "__main__":
    export_and_die(*sys.argv[1:])
