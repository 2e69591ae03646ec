"""Checking a whole store, by one process or several.

Guarantees: the reports are those of one process, in its order; other processes end with them.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from functools import partial

from expstore.store.care.check import check_experiments, check_root
from expstore.store.care.findings import CheckReport
from expstore.store.jobs import Stored, of_store


def check_store(
    store: Stored, ids: Iterable[str], jobs: int = 1
) -> Generator[CheckReport, None, None]:
    """Yield a report on the root itself, then one on each experiment.

    Args:
        jobs: the number of processes, as `check_jobs` returns it.

    Raises:
        JobError: a process died.
    """
    yield check_root(store.location)
    with of_store(partial(_reports, store), store, ids, jobs) as reports:
        yield from reports


def _reports(store: Stored, ids: list[str]) -> Iterable[CheckReport]:
    return check_experiments(store.location, ids)
