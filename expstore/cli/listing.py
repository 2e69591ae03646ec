"""What `ls` shows: which experiments, in which order, and as table or JSON.

Guarantees: an experiment that cannot be read is listed with its error. A log is read only if an
expression or the order needs it, and a status only of what is listed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from expstore import Metadata, RunInfo
from expstore.cli.base import printable, progress, tell
from expstore.cli.fitting import Candidate
from expstore.cli.overview import Row, print_listing
from expstore.cli.times import absolute, relative
from expstore.compare.conditions import as_text
from expstore.compare.experiments import Experiment, experiments
from expstore.compare.naming import FIELDS, Reference, resolve
from expstore.compare.reading import ReadLogs, read_logs, read_states
from expstore.compare.wanted import wants_of

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

_SHOWN_ANYWAY = ("id", "created", "status", "job", "user", "tag")


def list_experiments(
    store: StoreReader,
    wanted: Callable[[Metadata | None], bool],
    where: str | None,
    sort: str,
    reverse: bool,
    read: ReadLogs | None = None,
) -> list[Experiment]:
    """The experiments to list, in order.

    Args:
        store: the store to read from.
        wanted: whether to list what has this metadata; None if it cannot be read.
        where: an expression that must be true; None: any.
        sort: what to sort by.
        reverse: the largest first.
        read: reads the logs; None: this process.

    Raises:
        WhereError, UnknownMetricError: see `expstore.compare.compare`.
    """
    expression = None
    if where is not None:
        from expstore.compare.where import parse

        expression = parse(where)
    wants = wants_of(expression, sort)
    read = read or partial(read_logs, store, progress=progress("reading"), wants=wants)
    found = [one for one in experiments(store, store.list_experiments()) if wanted(one.metadata)]
    if expression is not None:
        from expstore.compare.selection import matching

        undecided, found = found, matching(found, expression, where or "", read)
        for one in undecided:
            if one.is_unreadable:
                tell(f"{one.commit_id}: left out: {one.problems[-1]}")
    if not found:
        return []
    from expstore.compare.summaries import ordered

    return ordered(found, sort, reverse, read)


def print_experiments(
    store: StoreReader, found: Sequence[Experiment], sort: str, params: bool, now: float
) -> None:
    """Print a table, and below it what could not be read."""
    read_states(store, found)
    rows = [
        Row(one.commit_id, one.metadata, one.status, one.run.tags, one.params, {}) for one in found
    ]
    created = [
        "?" if one.metadata is None else relative(one.metadata.timestamp, now) for one in found
    ]
    ids = store.list_experiments() if sys.stdout.isatty() else ()
    print_listing(
        rows,
        created,
        ids,
        params=params,
        problems=["; ".join(one.problems) for one in found],
        column=_sort_column(found, sort, params),
    )


def _sort_column(found: Sequence[Experiment], sort: str, params: bool) -> Candidate | None:
    """A column of what rows are sorted by, if there is none yet."""
    reference = resolve(sort, {name for one in found for name in one.params})
    if reference.name in _SHOWN_ANYWAY and reference.sort == "field":
        return None
    if reference.sort == "param" and params:
        return None
    cells = [_shown(reference, one) for one in found]
    return Candidate(printable(sort), cells, 0, right=reference.kind not in ("text", "status"))


def _shown(reference: Reference, one: Experiment) -> str:
    value = reference.value(one)
    if value is None:
        return ""
    if reference.sort == "field" and FIELDS[reference.name].kind == "time":
        return absolute(int(value))
    return printable(f"{value:.6g}" if isinstance(value, float) else as_text(value))


def describe_all(store: StoreReader, found: Sequence[Experiment]) -> Iterator[dict[str, Any]]:
    """The experiments as JSON; `commit_id` is the name of the directory.

    What run.json says is there only if there is one.
    """
    read_states(store, found)
    for one in found:
        error = {"error": "; ".join(one.problems)} if one.problems else {}
        yield describe_metadata(one) | error | describe_run(one)


def describe_metadata(one: Experiment) -> dict[str, Any]:
    """An experiment's id, and its metadata if that can be read."""
    if one.metadata is None:
        return {"commit_id": one.commit_id}
    return {
        "commit_id": one.commit_id,
        "timestamp": one.metadata.timestamp,
        "job_name": one.metadata.job_name,
        "user": one.metadata.user,
    }


def describe_run(one: Experiment) -> dict[str, Any]:
    """What run.json says, and how the run is; empty if nothing tells of a run."""
    if one.run == RunInfo() and one.status == "unknown":
        return {}
    return {
        "status": one.status,
        "tags": list(one.run.tags),
        "notes": one.run.notes,
        "params": dict(one.params),
    }
