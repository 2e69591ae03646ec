"""Reading many experiments at a time: their logs, metadata and status.

Guarantees: what is read so is what each experiment would read by itself; an experiment that cannot
be read does not affect the others. Of logs, only the metrics that are wanted need be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from expstore.compare.experiments import About, Experiment, Source, experiments
from expstore.compare.logs import Log, logs_chosen, logs_in
from expstore.store.care.state import run_states
from expstore.store.files import waiting
from expstore.store.jobs import of_store
from expstore.store.read.chosen import Chosen, Wants
from expstore.store.read.rewind import Rewind
from expstore.store.read.together import Together, read_together
from expstore.store.reader import StoreReader

ReadLogs = Callable[[list[Experiment]], list[Experiment]]
"""Reads the logs of experiments that were not read yet; returns the same experiments."""


def read_logs(
    store: StoreReader,
    found: list[Experiment],
    progress: Callable[[list[str]], Iterable[str]] = iter,
    jobs: int = 1,
    wants: Wants | None = None,
) -> list[Experiment]:
    """Read the logs of experiments, unless they were; returns the same experiments.

    Args:
        store: the store that they are in; if it is at a URL, several are read at a time.
        found: the experiments.
        progress: wraps the list of ids while their logs are read.
        jobs: the number of processes, as `check_jobs` returns it.
        wants: whether a metric is wanted; others may be left out. None: all are.

    Raises:
        JobError: a process died.
    """
    unread = [one for one in found if one.needs_reading(wants)]
    ids = [one.commit_id for one in unread]
    if jobs > 1 and len(unread) > 1:
        with of_store(partial(logs_of, store), store, ids, jobs) as logs:
            for one, (log, faults), _ in zip(unread, logs, progress(ids), strict=True):
                one.take(log, faults)
    elif unread:
        for _ in zip(_reading(store, unread, wants), progress(ids), strict=True):
            pass
    return found


def read_metadata(store: StoreReader, found: Iterable[Experiment]) -> None:
    """Read the metadata of experiments, unless they are known, many at a time."""
    if isinstance(store, Source):
        return
    groups: dict[About, list[str]] = {}
    for one in found:
        groups.setdefault(one.about, []).append(one.commit_id)
    for about, ids in groups.items():
        about.read(ids)


def read_states(store: StoreReader, found: Sequence[Experiment]) -> None:
    """Find out how the runs of experiments are, unless that is known, many at a time."""
    asked = [one for one in found if not one.has_state]
    if not asked:
        return
    states = run_states(store.location, ((one.commit_id, one.run) for one in asked))
    for one, state in zip(asked, states, strict=True):
        one.take_state(state)


def logs_of(store: StoreReader, ids: list[str]) -> Iterator[tuple[Log, list[str]]]:
    """What the logs of experiments say, each with the faults of the experiment."""
    for one in _reading(store, list(experiments(store, ids))):
        yield one.read(), one.faults


def _reading(
    store: StoreReader, unread: Sequence[Experiment], wants: Wants | None = None
) -> Iterator[Experiment]:
    """The experiments in their order, each once its log was read: short logs many at a time."""
    if isinstance(store, Source) or not isinstance(store.location, Path):
        for one, _ in waiting.each(store.location, unread, lambda one: (one, one.read())):
            yield one
        return
    together = {o.commit_id: o for o in unread if not (o.run.starts and Rewind(o.run.starts))}
    sizes = {i: one.size_read for i, one in together.items() if one.size_read is not None}
    groups = read_together(store.location, together, wants, sizes)
    pending = set(together)
    for one in unread:
        while one.commit_id in pending:
            group = next(groups)
            pending.difference_update(group.ids)
            _take(group, together)
        if one.commit_id not in together:
            one.read()
        yield one


def _take(group: Together | Chosen, found: Mapping[str, Experiment]) -> None:
    """Give experiments what was read of their logs."""
    if isinstance(group, Chosen):
        logs: Iterable[Log] = logs_chosen(group)
    elif group.table is None or group.ends is None:
        for commit_id in group.ids:
            found[commit_id].read()
        return
    else:
        logs = logs_in(group.table, group.ends.tolist(), group.tails)
    for commit_id, log in zip(group.ids, logs, strict=True):
        one = found[commit_id]
        if one.size_read is None or log.tail:
            one.take(log)
        else:  # not the log any more of which some metrics were read
            one.read()
