"""An export to a directory of Parquet files, by Dask's workers.

Guarantees: the rows are those of one process, to the bit; a worker that dies costs time, and
changes no answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from expstore.cluster import dataset, sections, workers
from expstore.cluster.sections import BATCH, Section
from expstore.cluster.workers import EXTRA
from expstore.errors import ExpStoreError
from expstore.exchange.export import ExportReport
from expstore.extras import require
from expstore.store import metafile as meta
from expstore.store.files.place import absolute
from expstore.store.read.tables import Selection
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    from distributed import Client

    from expstore.store.reader import StoreReader


Item = TypeVar("Item")
Progress = Callable[[Iterable[Item]], Iterable[Item]]
"""Hands items on while it shows how far they are; they have a length."""


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
    path = dataset.output_directory(store, path)
    names = Selection(names).key[0]  # refused, if need be, before anything is written
    ids = None if ids is None else list(ids)
    chosen = store.select_ids(ids)
    outcomes = dict(meta.read_all(absolute(store.location), chosen))
    batches = sections.plan(store, chosen, batch)
    marks = sections.fingerprints(store, batches)
    planned = [
        dataset.part_of(store, batch_sections, marks, outcomes, names, metadata)
        for batch_sections in batches
    ]
    number = dataset.begin(path, dataset.describe(store, ids, names, metadata))
    reports = {part.name: dataset.read_part(path, part) for part in planned}
    missing = [part for part in planned if reports[part.name] is None]
    calls = [(store, path, number, part) for part in missing]
    if calls:
        with workers.chosen_client(client) as chosen_client:
            results = workers.completed(chosen_client, dataset.write_part, calls)
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
        whole = Section(commit_id, 0, ends[commit_id])
        # It may be gone by now; then what its piece told stands.
        with suppress(ExpStoreError, FormatError):
            for table in sections.tables(store.location, whole, Selection(names=())):
                tails[commit_id] = table.status
    return tails
