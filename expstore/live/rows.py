"""The rows of runs, read from their files: what describes a run, and what its log has.

Guarantees: a run that cannot be read has a row with its problem.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from expstore.compare.curves import LoadedTable
from expstore.errors import ExperimentNotFoundError, ExpStoreError, MetadataNotFoundError
from expstore.live.catalog import Entry
from expstore.live.points import Tally
from expstore.model.runinfo import RunInfo
from expstore.model.texts import printable
from expstore.model.values import Metadata
from expstore.report.payload import run_payload
from expstore.store import metafile, runfile
from expstore.store.files import layout, waiting
from expstore.store.files.place import log_of, open_root
from expstore.store.read.rewind import Rewind
from expstore.store.read.tables import read_table
from formats import TailStatus

if TYPE_CHECKING:
    from expstore.store.files.directory import Directory
    from expstore.store.reader import StoreReader


class Signature(NamedTuple):
    """What differs if the files of a run have changed.

    Attributes:
        size: of its log, in bytes; None: unknown.
        run, metadata: when run.json and meta.bin were changed last.
    """

    size: int | None
    run: float | None = None
    metadata: float | None = None


def signature(root: Directory, commit_id: str) -> Signature:
    """The signature of a run in an open root."""
    try:
        (size,) = root.sizes([f"{commit_id}/{layout.METRICS}"])
        times = [root.modified(f"{commit_id}/{name}") for name in (layout.RUN, layout.METADATA)]
    except ExpStoreError:
        return Signature(None)
    return Signature(size if isinstance(size, int) else None, *times)


class Rows:
    """Reads rows.

    Args:
        store: the store.
    """

    def __init__(self, store: StoreReader) -> None:
        self._store = store

    def describe(self, ids: list[str]) -> list[Entry]:
        """Runs with what describes them; those that were deleted meanwhile are left out.

        Raises:
            StoreNotFoundError: the root does not exist.
        """
        location = self._store.location
        with open_root(location) as root:
            before = list(waiting.each(location, ids, partial(signature, root)))
        outcomes, runs = metafile.read_all(location, ids), runfile.read_all(location, ids)

        def entry(found: tuple[Signature, tuple[str, object], tuple[str, object]]) -> Entry | None:
            known, (commit_id, metadata), (_, run) = found
            if self._is_gone(commit_id, metadata):
                return None
            row = run_payload(self._store, _loaded(commit_id, metadata, run))
            return Entry(commit_id, row, size=known.size, signature=known, resumed=_resumed(run))

        entries = waiting.each(location, zip(before, outcomes, runs, strict=True), entry)
        return [one for one in entries if one is not None]

    def _is_gone(self, commit_id: str, metadata: object) -> bool:
        """Whether an experiment was deleted since it was listed."""
        if isinstance(metadata, MetadataNotFoundError):
            return not self._store.experiment_exists(commit_id)
        return isinstance(metadata, ExperimentNotFoundError)

    def with_problem(self, entry: Entry, error: Exception) -> dict[str, Any]:
        """What describes a run whose log cannot be read."""
        location, ids = self._store.location, [entry.commit_id]
        ((_, metadata),) = metafile.read_all(location, ids)
        ((_, run),) = runfile.read_all(location, ids)
        return run_payload(self._store, _loaded(entry.commit_id, metadata, run, str(error)))

    def logged(self, entry: Entry) -> dict[str, Any]:
        """What the row of a run has of its log, which is read whole.

        Raises:
            ExpStoreError, FormatError: it cannot be read.
        """
        log = log_of(self._store.location, entry.commit_id)
        table, tally = read_table(log), Tally()
        tally.add(Rewind(entry.resumed).current(table))
        return logged_row(tally, table.status)


def logged_row(tally: Tally, status: TailStatus) -> dict[str, Any]:
    """What a row has of a log that was counted."""
    row = tally.row()
    return row if status else row | {"tail": printable(str(status))}


def _resumed(run: object) -> tuple[Any, ...]:
    starts = run.starts if isinstance(run, RunInfo) else ()
    return tuple(start for start in starts if start.from_step is not None)


def _loaded(commit_id: str, metadata: object, run: object, *problems: str) -> LoadedTable:
    known = metadata if isinstance(metadata, Metadata) else None
    info = run if isinstance(run, RunInfo) else RunInfo()
    found = [str(one) for one in (metadata, run) if isinstance(one, Exception)]
    return LoadedTable(commit_id, known, None, info, tuple(dict.fromkeys((*found, *problems))))
