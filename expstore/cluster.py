"""A store that one process cannot look through in time, by Dask's workers.

Guarantees: the answers are those of one process, to the bit: each record is in one partition, in
the order of its log; text is made valid Unicode by `texts.escape`. A frame is of the logs as they
were when it was made: what is appended later is not in it, so that it computes to the same again. A
worker that dies costs time, and changes no answer.

Every worker reads the store itself, so all must reach it under the same name: on a file system that
they share, or at a URL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from expstore import check, dataset, partitions, pieces, workers
from expstore import metadata as meta
from expstore.check import CheckReport
from expstore.errors import ClusterError, ExpStoreError
from expstore.export import ExportReport
from expstore.extras import require
from expstore.pieces import BATCH, Piece
from expstore.reading import absolute
from expstore.selection import Selection
from expstore.workers import EXTRA, open_client
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    import dask.dataframe as dd
    from distributed import Client

    from expstore.reader import StoreReader

__all__ = [
    "PartsReport",
    "check_store",
    "export_parquet",
    "open_client",
    "read_metadata",
    "read_metrics",
]

METADATA_BATCH = 10_000
"""Experiments in a partition of metadata: a tenth of a second's work."""

Item = TypeVar("Item")
Progress = Callable[[Iterable[Item]], Iterable[Item]]
"""Hands items on while it shows how far they are; they have a length."""


def read_metrics(
    store: StoreReader,
    ids: Iterable[str] | None = None,
    names: Iterable[str] | None = None,
    steps: range | None = None,
    *,
    partition_size: int = BATCH,
    skip_damaged: bool = False,
) -> dd.DataFrame:
    """Many experiments' metrics as a Dask frame, read while it is computed.

    Only the columns that a computation needs are made, and only the metrics of these names and
    steps; ask for them here, since Dask's own filters come when all is read.

    Args:
        store: where they are.
        ids: the experiments, in the order wanted; None: all, sorted.
        names: metrics of these names only; None: all.
        steps: metrics of these steps only, such as `range(1000, 2000)`.
        partition_size: bytes of log in a partition, about as many as it then has in memory.
        skip_damaged: leave out what cannot be read, instead of raising when it is computed.

    Returns:
        Columns `commit_id` and `name` (categories that Dask does not know before), `step` (uint32),
        `value` (float64) and `timestamp` (int64, seconds since 1970-01-01 UTC).

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        SelectionError, InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
    """
    frames = require("dask.dataframe", EXTRA)
    reader = partitions.Metrics(store, Selection(names, steps), skip_damaged)
    planned = pieces.plan(store, store.existing(ids), partition_size)
    frame: dd.DataFrame = frames.from_map(
        reader, planned or [[]], meta=reader.meta(), label="read-metrics"
    )
    return frame


def read_metadata(
    store: StoreReader,
    ids: Iterable[str] | None = None,
    *,
    partition_size: int = METADATA_BATCH,
) -> dd.DataFrame:
    """Many experiments' metadata as a Dask frame, read while it is computed.

    Args:
        store: where they are.
        ids: the experiments, in the order wanted; None: all, sorted.
        partition_size: experiments in a partition.

    Returns:
        Columns `commit_id`, `timestamp` (Int64, seconds since 1970-01-01 UTC), `job_name`, `user`
        and `error`, which is null where the metadata could be read; where not, the other three are.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        SelectionError: `partition_size` is no whole number above 0.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
    """
    frames = require("dask.dataframe", EXTRA)
    pieces.check_size(partition_size, "experiments")
    rest = iter(store.existing(ids))
    planned = list(iter(lambda: list(islice(rest, partition_size)), []))
    reader = partitions.MetadataOf(store)
    frame: dd.DataFrame = frames.from_map(
        reader, planned or [[]], meta=reader([]), label="read-metadata"
    )
    return frame


def check_store(
    store: StoreReader, client: Client | None = None, *, batch: int = BATCH
) -> Iterator[CheckReport]:
    """What `store.check_all` gives, in the same order, found by many.

    Args:
        store: what to look at.
        client: of the workers; None: the one that is open, else new processes of this machine.
        batch: bytes of log in a task.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        SelectionError: `batch` is no whole number above 0.
        StoreNotFoundError: the root does not exist.
        ClusterError: the cluster gave up, or its workers do not see the store.
    """
    require("distributed", EXTRA)
    pieces.check_size(batch)
    yield check.check_root(store.location)
    sizes = store.log_sizes(store.list_experiments())
    calls = [(store, ids) for ids in pieces.batches(sizes, batch)]
    with workers.chosen_client(client) as chosen:
        ready: dict[int, list[CheckReport]] = {}
        turn = 0
        for number, reports in workers.completed(chosen, _check, calls):
            _must_be_gone(store, {*calls[number][1]} - {report.commit_id for report in reports})
            ready[number] = reports
            while turn in ready:
                for report in ready.pop(turn):
                    yield _as_here(report, store.location)
                turn += 1


def _must_be_gone(store: StoreReader, unseen: set[str]) -> None:
    """Raise ClusterError where an experiment that a worker did not find is there."""
    for commit_id in sorted(unseen):
        if store.experiment_exists(commit_id):
            raise ClusterError(
                f"{store.locate(commit_id)}: a worker does not see it; the store must lie where "
                "all workers find it under the same name"
            )


def _check(store: StoreReader, ids: list[str]) -> list[CheckReport]:
    return list(check.check_experiments(store.location, ids))


def _as_here(report: CheckReport, root: Any) -> CheckReport:
    """A worker's report, with paths as this process names them: it may know a relative root."""
    if not isinstance(root, Path) or root.is_absolute() or not report.findings:
        return report
    there, here = root.absolute(), str(root / "_")[:-1]  # of ".", nothing
    findings = tuple(
        replace(
            finding,
            path=root / Path(str(finding.path)).relative_to(there),
            detail=finding.detail.replace(f"{there}/", here),
        )
        for finding in report.findings
    )
    return replace(report, findings=findings)


@dataclass(frozen=True)
class PartsReport(ExportReport):
    """What an export to a directory did.

    Attributes:
        written: parts that were made now.
        kept: parts that were there already.
    """

    written: int = 0
    kept: int = 0


def export_parquet(
    store: StoreReader,
    path: str | os.PathLike[str],
    client: Client | None = None,
    *,
    ids: Iterable[str] | None = None,
    names: Collection[str] | None = None,
    metadata: bool = False,
    batch: int = BATCH,
    progress: Progress[Any] = iter,
) -> PartsReport:
    """Write experiments to a directory of Parquet files, with the columns of `export_file`.

    Run again, it makes only what is not there yet: after a breakdown what was missing, in a store
    that went on what has changed. Parts of experiments that changed, or are gone, are removed. An
    export of another store, or of another choice of experiments, names or columns, takes another
    directory.

    Args:
        store: where they are.
        path: the directory, on a file system that all workers share, for one export at a time;
            `_SUCCESS` is in it when it is whole, that is, when no experiment is among `failures`.
        client: of the workers; None: the one that is open, else new processes of this machine.
        ids: commit ids; None: all.
        names: metrics of these names only; None: all.
        metadata: add the columns `job_name`, `user` and `created` (seconds since 1970-01-01 UTC).
        batch: bytes of log in a part.
        progress: see `Progress`; it is given the parts as they are done.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        SelectionError: names are no texts, or `batch` is no size; nothing was written.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was written.
        OutputExistsError: the directory holds something else, or an export of something else;
            nothing was written.
        ExportError: the output is a URL, or in the store, and nothing was written; or a worker does
            not find the directory, or another export took it.
        ClusterError: the cluster gave up; what was made stays, and needs not be made again.
        NoSpaceError, UnreadableFileError: a part cannot be written.
    """
    require("distributed", EXTRA)
    path = dataset.place(store, path)
    names = Selection(names).key[0]  # refused, if need be, before anything is written
    ids = None if ids is None else list(ids)
    chosen = store.existing(ids)
    outcomes = dict(meta.read_all(absolute(store.location), chosen))
    batches = pieces.plan(store, chosen, batch)
    marks = pieces.fingerprints(store, batches)
    planned = [
        dataset.part_of(store, pieces_, marks, outcomes, names, metadata) for pieces_ in batches
    ]
    number = dataset.begin(path, dataset.describe(store, ids, names, metadata))
    reports = {part.name: dataset.found(path, part) for part in planned}
    missing = [part for part in planned if reports[part.name] is None]
    calls = [(store, path, number, part) for part in missing]
    if calls:
        with workers.chosen_client(client) as chosen_client:
            results = workers.completed(chosen_client, dataset.make, calls)
            for index, report in progress(_Sized(results, len(calls))):
                reports[missing[index].name] = report
    done = [report for part in planned if (report := reports[part.name]) is not None]
    failures = dict(chain.from_iterable(report.failures.items() for report in done))
    dataset.finish(path, number, planned, whole=not failures)
    tails = dict(chain.from_iterable(report.tails.items() for report in done))
    return PartsReport(
        sum(report.rows for report in done),
        len(chosen),
        failures,
        _whole_tails(store, planned, tails),
        written=len(missing),
        kept=len(planned) - len(missing),
    )


class _Sized(Generic[Item]):
    """An iterator of which it is known how many come."""

    def __init__(self, items: Iterator[Item], count: int) -> None:
        self._items, self._count = items, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Item]:
        return self._items


def _whole_tails(
    store: StoreReader, planned: Iterable[dataset.Part], tails: dict[str, TailStatus]
) -> dict[str, TailStatus]:
    """The ends of logs that are not clean; of one in pieces, looked at anew, and whole.

    A piece alone cannot tell where the doubtful records before its end begin.
    """
    ends = {piece.commit_id: piece.end for part in planned for piece in part.pieces if piece.start}
    for commit_id in ends.keys() & tails.keys():
        whole = Piece(commit_id, 0, ends[commit_id])
        # It may be gone by now; then what its piece told stands.
        with suppress(ExpStoreError, FormatError):
            for table in pieces.tables(store, whole, Selection(names=())):
                tails[commit_id] = table.status
    return tails
