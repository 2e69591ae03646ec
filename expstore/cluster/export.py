"""An export to a directory of Parquet files, with Dask workers.

Guarantees: the rows are those of one process, to the bit; a worker that dies costs time, and does
not change the result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from expstore.cluster import dataset, directory, sections, summary, workers
from expstore.cluster.sections import BATCH, Section
from expstore.cluster.sight import as_reader, must_be_gone
from expstore.cluster.workers import EXTRA
from expstore.compare.experiments import experiments
from expstore.compare.reading import read_states
from expstore.errors import ExperimentNotFoundError, ExpStoreError
from expstore.exchange.export import ExportReport
from expstore.exchange.runcolumns import RunColumns
from expstore.extras import require
from expstore.store.read.tables import Selection
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    from distributed import Client

    from expstore.store.reader import StoreReader


Item = TypeVar("Item")
Progress = Callable[[Iterable[Item]], Iterable[Item]]
"""Wraps items, which have a length, to show progress."""


@dataclass(frozen=True)
class PartsReport(ExportReport):
    """The report of an export to a directory.

    Attributes:
        written: parts that were written now.
        kept: parts that were already there.
    """

    written: int = 0
    kept: int = 0


def export_parquet(
    store: StoreReader | str | os.PathLike[str],
    path: str | os.PathLike[str],
    client: Client | None = None,
    *,
    ids: Iterable[str] | None = None,
    names: Collection[str] | None = None,
    with_metadata: bool | None = None,
    metadata: bool | None = None,
    params: bool = False,
    batch: int = BATCH,
    progress: Progress[Any] = iter,
) -> PartsReport:
    """Write experiments to a directory of Parquet files, with the columns of `export_file`.

    Beside the directory, `PATH.experiments.parquet` has a row for each experiment: its metadata,
    parameters, tags, status, and each metric's statistics; see `compare.experimentfile`.

    Run again, it writes only what is missing: the rest of an interrupted export, or what has
    changed in the store since. Parts of experiments that changed or were deleted are removed. An
    export of another store, or of another selection of experiments, names or columns, needs a
    directory of its own.

    Args:
        store: the store, or its root.
        path: the directory, on a file system that all workers share, for one export at a time; it
            has the file `_SUCCESS` if the export is complete, that is, if `failures` is empty.
        client: of the workers; None: the one that is open, else new local processes.
        ids: commit ids; None: all.
        names: only metrics of these names; None: all.
        with_metadata: add the columns `job_name`, `user`, `created` (seconds since 1970-01-01 UTC)
            and `created_date` (that day in UTC). True: metadata that cannot be read is a failure;
            None: it is null.
        metadata: the older name of `with_metadata`.
        params: add the columns `tags` (joined by commas), `status`, and `param:NAME` for each
            parameter; see `exchange.runcolumns`.
        batch: bytes of log in a part.
        progress: see `Progress`; it receives the parts as they are completed.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        SelectionError: a name is not a string, or `batch` is not a whole number above 0; nothing
            was written.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was written.
        OutputExistsError: the directory holds something else, or an export of something else;
            nothing was written.
        ExportError: the output is a URL, or in the store, and nothing was written; or a worker does
            not find the directory, or another export has taken it over.
        ClusterError: the cluster failed, or a worker does not see the store; the parts that were
            written are kept and need not be written again.
        NoSpaceError, UnreadableFileError: a part cannot be written.
    """
    require("distributed", EXTRA)
    store = as_reader(store)
    asked = metadata if with_metadata is None else with_metadata
    path = directory.output_directory(store, path)
    names = Selection(names).key[0]  # raises before anything is written
    ids = None if ids is None else list(ids)
    chosen = store.select_ids(ids)
    found = list(experiments(store, chosen))
    outcomes = {one.commit_id: one.outcome for one in found}
    unread: dict[str, ExpStoreError | FormatError] = {}
    further = RunColumns(store, chosen, unread) if params else None
    batches = sections.plan(store, chosen, batch)
    marks = sections.fingerprints(store, batches)
    planned = [
        dataset.part_of(store, batch_sections, marks, outcomes, names, asked, further)
        for batch_sections in batches
    ]
    described = directory.describe(store, ids, names, asked is not False, params)
    number = directory.begin(path, described, dataset.columns_of(asked, further))
    reports = {part.name: dataset.read_part(path, part) for part in planned}
    missing = [part for part in planned if reports[part.name] is None]
    failures, tails = _findings(store, planned, reports, unread)
    read_states(store, found)
    if missing or not summary.is_current(path, found, planned, tails, failures):
        known = summary.known(path, found, planned, {part.name for part in missing})
        by_part = {}
        if missing or not known.is_all:
            with workers.chosen_client(client) as chosen_client:
                calls = [(store, path, number, part) for part in missing]
                results = workers.completed(chosen_client, dataset.write_part, calls)
                for index, report in progress(_Sized(results, len(calls))) if calls else ():
                    must_be_gone(store, _not_found(report))
                    reports[missing[index].name] = report
                by_part = summary.complete(store, path, known, names, chosen_client)
        failures, tails = _findings(store, planned, reports, unread)
        by_part |= {name: one.logs for name, one in reports.items() if one and one.logs}
        summary.write(path, found, planned, known, by_part, tails, failures)
    directory.finish(path, number, {part.name for part in planned}, whole=not failures)
    return PartsReport(
        sum(report.rows for report in reports.values() if report is not None),
        len(chosen),
        failures,
        tails,
        written=len(missing),
        kept=len(planned) - len(missing),
    )


def _findings(
    store: StoreReader,
    planned: Sequence[dataset.Part],
    reports: Mapping[str, dataset.PartReport | None],
    unread: Mapping[str, ExpStoreError | FormatError],
) -> tuple[dict[str, ExpStoreError | FormatError], dict[str, TailStatus]]:
    """What the parts that there are say of failures, and of logs that do not end cleanly."""
    done = [report for part in planned if (report := reports[part.name]) is not None]
    failures = dict(unread)
    failures |= chain.from_iterable(report.failures.items() for report in done)
    tails = dict(chain.from_iterable(report.tails.items() for report in done))
    return failures, _whole_tails(store, planned, tails)


def _not_found(report: dataset.PartReport) -> set[str]:
    return {
        commit_id
        for commit_id, error in report.failures.items()
        if isinstance(error, ExperimentNotFoundError)
    }


class _Sized(Generic[Item]):
    """An iterator with a known length."""

    def __init__(self, items: Iterator[Item], count: int) -> None:
        self._items, self._count = items, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Item]:
        return self._items


def _whole_tails(
    store: StoreReader, planned: Iterable[dataset.Part], tails: dict[str, TailStatus]
) -> dict[str, TailStatus]:
    """The tails of logs that are not clean; a log in several sections is read again as a whole.

    A section alone does not show where the doubtful records before its end begin.
    """
    ends = {
        section.commit_id: section.end
        for part in planned
        for section in part.sections
        if section.start
    }
    for commit_id in ends.keys() & tails.keys():
        whole = Section(commit_id, 0, ends[commit_id])
        # It may have been deleted since; then the status from its section remains.
        with suppress(ExpStoreError, FormatError):
            for table in sections.tables(store.location, whole, Selection(names=())):
                tails[commit_id] = table.status
    return tails
