"""Tasks for cluster workers, in a module that workers can import without pytest."""

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
    """Kill this worker, as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def process_id() -> int:
    """The process id of the worker."""
    return os.getpid()


def fail() -> None:
    """Raise the error of a worker without this package."""
    raise ModuleNotFoundError("No module named 'expstore.newer'", name="expstore.newer")


def check_slowly(store: ExperimentStore, ids: list[str]) -> list[Any]:
    """Do what `cluster._check` does, slowly enough to kill the worker meanwhile."""
    time.sleep(0.05)
    return list(check_experiments(store.location, ids))


def slow_part(frame: Any) -> Any:
    """Return the partition, slowly enough to kill the worker meanwhile."""
    time.sleep(0.1)
    return frame


def export_and_die(address: str, root: str, output: str) -> None:
    """Start an export, and die by SIGKILL once two parts have been written."""
    from expstore.cluster import export_parquet, open_client

    def progress(parts: Any) -> Any:
        for number, part in enumerate(parts, 1):
            yield part
            if number == 2:
                die()

    with open_client(address) as client:
        store = ExperimentStore(root)
        export_parquet(store, Path(output), client, batch=BATCH, progress=progress)


BATCH = 100_000  # bytes; every log of the tests is larger, or is the only one

if __name__ == "__main__":
    export_and_die(*sys.argv[1:])
