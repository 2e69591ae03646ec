"""Running an experiment in a process of its own.

One that loads many libraries, and then forks; or one that waits until no other thread is left.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.faults.base import Figures


def run(module: str, directory: Path, **options: Any) -> Figures:
    """The figures of a module's experiment, which is given the options.

    Raises:
        Skip, AssertionError: as the experiment does.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, module, directory, options).result()


def _run(module: str, directory: Path, options: dict[str, Any]) -> Figures:
    figures: Figures = import_module(module).run(directory, **options)
    return figures
