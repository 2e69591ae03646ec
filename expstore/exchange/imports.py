"""Importing experiments from TensorBoard, CSV and mlflow's file store.

Guarantees: an existing experiment is never changed. Everything is read, checked and written to a
staging directory in the root, and is on disk, before the first experiment appears, so a failed
import leaves the store as it was. Each experiment then appears whole. An import that was killed
meanwhile is completed by running it again: what is there already, to the byte, is left as it is and
reported. A killed import leaves a hidden directory `.import-*`, which is not an experiment.
Anything skipped in a source (images, torn ends) is reported.

The format stores whole seconds, so times are rounded down: mlflow's are in milliseconds,
TensorBoard's in fractional seconds.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from expstore.errors import (
    ExpStoreError,
    ImportSourceError,
    listed,
)
from expstore.exchange import csvfile, mlflow, tensorboard
from expstore.exchange.runs import ForeignRun
from expstore.model.times import in_smaller_units, unit_fault
from expstore.model.values import Metadata
from expstore.store import metafile as meta
from expstore.store.append.writer import MetricWriter
from expstore.store.files import layout, placing, system
from expstore.store.repository import ExperimentStore

SourceFormat = Literal["tensorboard", "csv", "mlflow"]


@dataclass(frozen=True)
class Imported:
    """One imported experiment.

    Attributes:
        commit_id, metrics: its id, and its number of metrics.
        notes: messages about what was left out.
        already_there: the store had just this, from an import that was interrupted or repeated.
    """

    commit_id: str
    metrics: int
    notes: tuple[str, ...]
    already_there: bool = False


def import_experiments(
    store: ExperimentStore,
    source: SourceFormat,
    path: str | os.PathLike[str],
    *,
    to_id: str | None = None,
    prefix: str = "",
    user: str | None = None,
    progress: Callable[[Iterable[ForeignRun]], Iterable[ForeignRun]] = iter,
) -> list[Imported]:
    """Import all runs of a source as new experiments.

    Args:
        store: the store to import into; a missing root is created.
        source: the format of `path`.
        path: a directory of event files, a CSV file, or a directory of mlflow's file store.
        to_id: the commit id, if the source has exactly one run; default: the run's name.
        prefix: prepended to each run's name, in which all but letters, digits, `.`, `_` and `-`
            become `_`; a run without a job name then gets the original one.
        user: the user to record if the source names none; default: the empty string.
        progress: passes the runs through and shows progress.

    Raises:
        MissingExtraError: the source needs an extra that is not installed.
        ImportSourceError: the source is malformed, or has values that a store cannot hold, or times
            in a smaller unit than the source's format says.
        InvalidCommitIdError, FieldValueError: a run's name is not a valid commit id; its job name
            or user is too long.
        ExperimentExistsError: an id is taken by something else.
        NoSpaceError, UnreadableFileError: the store cannot be written.
        In each case nothing was imported, unless the message says what was: another program has
        taken an id, or the disk has failed, while the experiments were being put in place.
    """
    runs = _READERS[source](Path(path))
    if to_id is not None:
        only = next(runs)
        if next(runs, None) is not None:
            raise ImportSourceError(f"{path}: more than one run, but only one commit id was given")
        runs = iter((only,))
    imported: dict[str, Imported] = {}
    new_root = not store.root.exists()
    staging = ExperimentStore(store.root / layout.temporary_name(layout.IMPORTING))
    try:
        for run in progress(runs):
            _check_times(path, run)
            metadata = _metadata(run, to_id or prefix + layout.tame(run.name), user or "")
            commit_id = metadata.commit_id
            if commit_id in imported:
                raise ImportSourceError(f"{path}: two runs would be named {commit_id!r}")
            data = meta.build(metadata)
            placing.check_available(store.experiment_path(commit_id), data)
            staging.initialize()
            _build(staging.experiment_path(commit_id), data, run)
            imported[commit_id] = Imported(commit_id, len(run.table), run.notes)
        _place(staging, store, imported)
    finally:
        shutil.rmtree(staging.root, ignore_errors=True)
        if new_root:
            with suppress(OSError):  # not empty, or never created
                store.root.rmdir()
    return list(imported.values())


def _build(building: Path, metadata: bytes, run: ForeignRun) -> None:
    """Write an experiment to the staging directory, and to the disk."""
    with system.typed_errors(building):
        placing.build_experiment(building, metadata)
        with MetricWriter(building) as writer:
            writer.append(run.table)
        placing.sync_tree(building)


def _place(staging: ExperimentStore, store: ExperimentStore, imported: dict[str, Imported]) -> None:
    """Move the experiments into the store, and note which were there already."""
    paths = {
        commit_id: (staging.experiment_path(commit_id), store.experiment_path(commit_id))
        for commit_id in imported
    }
    for building, target in paths.values():
        placing.check_placeable(building, target)
    placed: list[str] = []
    try:
        with system.typed_errors(store.root):
            for commit_id, (building, target) in paths.items():
                if placing.place_experiment(building, target):
                    placed.append(commit_id)
                else:
                    imported[commit_id] = replace(imported[commit_id], already_there=True)
            if paths:
                system.sync_directory(store.root)
    except ExpStoreError as error:
        if not placed:
            raise
        raise type(error)(f"{error}; imported before that: {listed(placed)}") from error


def _metadata(run: ForeignRun, commit_id: str, user: str) -> Metadata:
    """Build the run's metadata, checking that it fits the format before anything is written."""
    created = run.created
    if created is None:
        created = int(run.table.timestamps.min()) if len(run.table) else 0
    job_name = run.job_name or ("" if layout.is_tame(run.name) else run.name)
    metadata = Metadata(commit_id, created, job_name, run.user or user)
    meta.build(metadata)
    return metadata


def _check_times(path: str | os.PathLike[str], run: ForeignRun) -> None:
    """Raise ImportSourceError if the source gives milli-, micro- or nanoseconds for seconds."""
    what = f"{path}: run {run.name!r}"
    if run.created is not None and (wrong := unit_fault(run.created)):
        raise ImportSourceError(f"{what}: the time of its creation, {wrong}")
    for row in in_smaller_units(run.table.timestamps)[:1].tolist():
        metric = run.table[row]
        raise ImportSourceError(
            f"{what}: metric {metric.name!r} at step {metric.step}: {unit_fault(metric.timestamp)}"
        )


_READERS: dict[SourceFormat, Callable[[Path], Iterator[ForeignRun]]] = {
    "tensorboard": tensorboard.read_runs,
    "csv": csvfile.read_runs,
    "mlflow": mlflow.read_runs,
}
