"""Running an experiment in a process of its own: one that loads many libraries, and then forks."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

from tests.faults.base import Figures


def run(module: str, directory: Path) -> Figures:
    """The figures of a module's experiment.

    Raises:
        Skip, AssertionError: as the experiment does.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, module, directory).result()


def _run(module: str, directory: Path) -> Figures:
    figures: Figures = import_module(module).run(directory)
    return figures
