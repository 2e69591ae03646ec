"""Logging to a run that another program has started, such as `expstore run`.

Guarantees: the run is found by $EXPSTORE_RUN, its id, in the store $EXPSTORE_ROOT, and only there.
Any number of programs may log to it at the same time; none of them ends it. An exception that ends
one is noted for the program that does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from expstore.errors import ExperimentNotFoundError, ExpStoreError
from expstore.model.runinfo import RunInfo, RunStart, joined
from expstore.store.append.durability import Durability
from expstore.store.defaults import default_root
from expstore.store.repository import ExperimentStore
from expstore.store.run import Run

RUN = "EXPSTORE_RUN"
"""The variable with the id of the run that a program is part of."""


def inherited(store: ExperimentStore, commit_id: str | None) -> str | None:
    """The id of the run that this program is part of, if that is meant; None if it is not."""
    found = os.environ.get(RUN)
    if not found or commit_id not in (None, found):
        return None
    try:
        same = os.path.samefile(default_root(), store.root)
    except (OSError, ExpStoreError):  # one of them does not exist, or is at a URL
        same = False
    if not same:
        return None
    if not store.experiment_exists(found):
        raise ExperimentNotFoundError(
            f"{store.locate(found)}: no such experiment, though ${RUN} names it; unset {RUN} to "
            "start a run of its own"
        )
    return found


def join(
    store: ExperimentStore,
    commit_id: str,
    new: RunInfo,
    from_step: int | None,
    durability: Durability,
) -> Run:
    """Log to a run that another program has started, and ends."""

    def change(info: RunInfo) -> RunInfo:
        info = joined(info, new)
        if from_step is None or not info.starts or info.starts[-1].ended is not None:
            return info
        last = info.starts[-1]
        step = from_step if last.from_step is None else min(from_step, last.from_step)
        return replace(info, starts=(*info.starts[:-1], replace(last, from_step=step)))

    writer = store.writer(commit_id, durability=durability)
    try:
        info = store.change_run(commit_id, change)
    except BaseException:
        writer.close()
        raise
    start = info.starts[-1] if info.starts else RunStart(0.0)
    return Run(store, writer, start, lambda: last_step(store, commit_id), joined=True)


def last_step(
    store: ExperimentStore, commit_id: str, names: Iterable[str] | None = None
) -> int | None:
    """The highest step in a log, of all metrics or of these, without what is superseded."""
    tables = store.iter_metrics(commit_id, names, superseded=False)
    steps = [int(table.steps.max()) for table in tables if len(table)]
    return max(steps, default=None)
