"""Importing experiments from other tools; `sources` has the kinds.

Guarantees: an existing experiment is never changed, unless an update is asked for; then points are
added, and none is changed. Each run is read and checked as a whole, written to a staging directory
in the root, and on disk before it appears under its id, so nothing is visible of a run that is not
whole. A run that has a bad value, or whose id is taken, stays out and keeps no other out. An
import that was interrupted is completed by running it again: what is there already is reported. A
killed import leaves a hidden directory `.import-*`, which is not an experiment; the next import
deletes it.

The format stores whole seconds, so times are rounded down: mlflow's are in milliseconds,
TensorBoard's in fractional seconds.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from expstore.errors import ExpStoreError, ImportSourceError, NoSpaceError, UnreadableFileError
from expstore.exchange.sources.base import ForeignRun, Reading, RefusedRun, Runs, reading_file
from expstore.exchange.sources.registry import (
    SOURCES,
    TABLES,
    Kind,
    check_kind,
    only_kind,
    source_of,
)
from expstore.exchange.staging import Staging, Target
from expstore.model.times import unit_fault
from expstore.model.values import Metadata
from expstore.store import metafile
from expstore.store.files import layout
from expstore.store.repository import ExperimentStore
from formats import FormatError

EMPTY = "runs without metrics"
"""What `left_out` counts where a run has no parameters either."""

_TEXT = 255  # bytes of a job name


@dataclass(frozen=True)
class Imported:
    """One imported experiment.

    Attributes:
        commit_id, metrics: its id, and its number of metrics in the source.
        notes: messages about how it was understood, and what was left out.
        already_there: the store had just this, from an import that was interrupted or repeated.
        name: the run's name in the source.
        params: its number of parameters.
        left_out: number of things left out, by kind.
        added: number of metrics that this import has written.
    """

    commit_id: str
    metrics: int
    notes: tuple[str, ...]
    already_there: bool = False
    name: str = ""
    params: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    added: int = 0


@dataclass(frozen=True)
class ImportReport:
    """The result of an import, or what it would be.

    Attributes:
        kind: the kind of source.
        imported: the experiments, in the order of the source.
        refused: the runs that stayed out, with why.
        left_out: number of things in the source left out that belong to no run, by kind.
        notes: messages about the source as a whole.
    """

    kind: Kind
    imported: list[Imported]
    refused: list[RefusedRun]
    left_out: Mapping[str, int]
    notes: tuple[str, ...]


class PartialImportError(ImportSourceError):
    """Some runs of a source stayed out; the others were imported.

    Attributes:
        report: what came in, and what did not.
    """

    def __init__(self, message: str, report: ImportReport) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True)
class ImportOptions:
    """How runs are named and read.

    Attributes:
        to_id: the commit id, if the source has exactly one run; default: made of the run's name.
        prefix: prepended to each run's name, in which all but letters, digits, `.`, `_` and `-`
            become `_`; a run without a job name then gets the original one.
        user: the user to record if the source names none; default: the empty string.
        skip: leave bad values out, instead of the run that has them.
        update: add to experiments imported before what their runs have now.
        step_column, time_column: for tables, which columns have the steps and the times.
        dry_run: write nothing.
    """

    to_id: str | None = None
    prefix: str = ""
    user: str | None = None
    skip: bool = False
    update: bool = False
    step_column: str | None = None
    time_column: str | None = None
    dry_run: bool = False


Progress = Callable[[Runs], Iterable[ForeignRun | RefusedRun]]
"""Passes the runs through and shows progress."""


def import_experiments(
    store: ExperimentStore,
    source: Kind | None,
    path: str | os.PathLike[str],
    *,
    to_id: str | None = None,
    prefix: str = "",
    user: str | None = None,
    progress: Progress = iter,
) -> list[Imported]:
    """Import all runs of a source as new experiments; see `import_source`.

    Raises:
        PartialImportError: some runs stayed out; the others were imported.
        ExpStoreError, FormatError: the only run stayed out, for this reason.
        As `import_source`.
    """
    options = ImportOptions(to_id, prefix, user)
    report = import_source(store, path, source, options, progress=progress)
    if len(report.refused) == 1 and not report.imported:
        raise report.refused[0].error
    if report.refused:
        first = report.refused[0]
        raise PartialImportError(
            f"{len(report.refused)} of {len(report.refused) + len(report.imported)} runs were not "
            f"imported; {first.name!r}: {first.error}",
            report,
        ) from first.error
    return report.imported


def import_source(
    store: ExperimentStore,
    path: str | os.PathLike[str],
    kind: Kind | None = None,
    options: ImportOptions = ImportOptions(),
    *,
    progress: Progress = iter,
    advance: Callable[[int], object] = lambda points: None,
) -> ImportReport:
    """Import the runs of a source; those that are bad stay out, and are reported.

    Args:
        store: the store to import into; a missing root is created.
        path: a file or a directory.
        kind: what it is; None: it is recognised.
        options: see there.
        progress: passes the runs through and shows progress.
        advance: called with the number of points read since the last call.

    Raises:
        MissingExtraError: the source needs an extra that is not installed.
        ImportSourceError: there is nothing of this kind at the path; or it has several runs, and
            one commit id was given; or an option has no meaning for the kind.
        NoSpaceError, UnreadableFileError: the store cannot be written. The message says what was
            imported before.
    """
    path = Path(path)
    reading = Reading(options.skip, options.step_column, options.time_column, advance)
    notes: list[str] = []
    if kind is None:
        kind = only_kind(path, notes)
    else:
        check_kind(path, kind)
    _check_options(path, kind, options)
    runs = _typed(path, source_of(kind).runs(path, reading))
    if options.to_id is not None:
        first = list(_two(runs))
        if len(first) > 1:
            raise ImportSourceError(f"{path}: more than one run, but only one commit id was given")
        runs = iter(first)
    imported: list[Imported] = []
    refused: list[RefusedRun] = []
    names: dict[str, str] = {}
    with Staging(store, dry_run=options.dry_run) as staging:
        for run in progress(runs):
            if isinstance(run, RefusedRun):
                refused.append(run)
                continue
            if not len(run.table) and not run.info.params:
                reading.left_out[EMPTY] += 1
                reading.left_out.update(run.left_out)
                reading.notes += [f"{run.name}: {note}" for note in run.notes]
                continue
            try:
                _check_times(path, run)
                imported.append(_import(staging, kind, run, options, names))
            except (NoSpaceError, UnreadableFileError) as error:
                raise _told(error, imported) from error
            except (ExpStoreError, FormatError) as error:
                refused.append(RefusedRun(run.name, error))
    left_out = {what: count for what, count in sorted(reading.left_out.items()) if count}
    return ImportReport(kind, imported, refused, left_out, (*notes, *reading.notes))


def _check_options(path: Path, kind: Kind, options: ImportOptions) -> None:
    """Raise ImportSourceError if an option has no meaning for a kind."""
    for name in ("step_column", "time_column"):
        if kind not in TABLES and getattr(options, name) is not None:
            raise ImportSourceError(
                f"{path}: {SOURCES[kind][0]} have no columns to choose from; leave out "
                f"--{name.replace('_', '-')}"
            )


def _typed(path: Path, runs: Runs) -> Runs:
    """The same runs; what the system refuses is an ImportSourceError."""
    with reading_file(path):
        yield from runs


def _two(runs: Runs) -> Runs:
    for run, _ in zip(runs, range(2), strict=False):
        yield run


def _told(error: ExpStoreError, imported: list[Imported]) -> ExpStoreError:
    """The error, with what was imported before it."""
    new = [row.commit_id for row in imported if row.added]
    return type(error)(f"{error}; imported before that: {', '.join(new)}") if new else error


def _import(
    staging: Staging, kind: Kind, run: ForeignRun, options: ImportOptions, names: dict[str, str]
) -> Imported:
    """Import one run."""
    commit_id = options.to_id
    if commit_id is None:
        commit_id = _commit_id(options.prefix, run.name, names)
    metadata, notes = _metadata(run, commit_id, options.user or "")
    left_out = dict(Counter(run.left_out))
    origin = {**run.info.origin, "imported": {"from": kind, "name": run.name}}
    target = Target(metadata, run.table, replace(run.info, origin=origin), run.timed)
    added, missing = staging.place(target, update=options.update)
    if missing:
        notes.append(f"{missing:,} of its metrics are not in the source now; they are kept")
    return Imported(
        commit_id,
        len(run.table),
        (*notes, *run.notes),
        added is None,
        run.name,
        len(run.info.flat_params),
        left_out,
        added or 0,
    )


def _commit_id(prefix: str, name: str, names: dict[str, str]) -> str:
    """A tame id that is the same each time; a mark is added where names would share one."""
    commit_id = prefix + (layout.tame(name) or "run")
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    while len(commit_id.encode("utf-8", "surrogatepass")) > layout.COMMIT_ID_LIMIT - len(mark) - 1:
        commit_id = commit_id[: len(commit_id) - 16]
    whole = prefix + (layout.tame(name) or "run")
    if commit_id != whole or names.setdefault(whole, name) != name:
        commit_id = f"{commit_id}-{mark}"
        if names.setdefault(commit_id, name) != name:
            raise ImportSourceError(
                f"two runs would be named {commit_id!r}; import one with --to-id"
            )
    return commit_id


def _metadata(run: ForeignRun, commit_id: str, user: str) -> tuple[Metadata, list[str]]:
    """The run's metadata, and what was changed to make it fit."""
    notes: list[str] = []
    created = run.created
    if created is None:
        created = int(run.table.timestamps.min()) if len(run.table) else 0
    job_name = run.job_name or ("" if layout.is_tame(run.name) else run.name)
    if len(job_name.encode("utf-8", "surrogateescape")) > _TEXT:
        data = job_name.encode("utf-8", "surrogateescape")[:_TEXT]
        job_name = data.decode("utf-8", "ignore")
        notes.append(f"its job name is longer than {_TEXT} bytes, and was cut")
    metadata = Metadata(commit_id, created, job_name, run.user or user)
    metafile.build(metadata)
    return metadata, notes


def _check_times(path: Path, run: ForeignRun) -> None:
    """Raise ImportSourceError if the source gives milli-, micro- or nanoseconds for seconds."""
    if run.created is not None and (wrong := unit_fault(run.created)):
        raise ImportSourceError(f"{path}: run {run.name!r}: the time of its creation, {wrong}")
