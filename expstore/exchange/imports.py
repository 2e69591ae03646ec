"""Importing experiments from TensorBoard, CSV and mlflow's file store.

Guarantees: an existing experiment is never changed. Everything is read, checked and written to a
staging directory in the root before the first experiment appears, so a failed import leaves the
store as it was. A killed import leaves a hidden directory `.import-*`, which is not an experiment.
Anything skipped in a source (images, torn ends) is reported.

The format stores whole seconds, so times are rounded down: mlflow's are in milliseconds,
TensorBoard's in fractional seconds.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from expstore.errors import ExperimentExistsError, ImportSourceError
from expstore.exchange import csvfile, mlflow, tensorboard
from expstore.exchange.runs import ForeignRun
from expstore.model.values import Metadata
from expstore.store import metafile as meta
from expstore.store.files import layout
from expstore.store.repository import ExperimentStore

SourceFormat = Literal["tensorboard", "csv", "mlflow"]


@dataclass(frozen=True)
class Imported:
    """One imported experiment.

    Attributes:
        commit_id, metrics: its id, and its number of metrics.
        notes: messages about what was left out.
    """

    commit_id: str
    metrics: int
    notes: tuple[str, ...]


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
        ImportSourceError: the source is malformed, or has values that a store cannot hold.
        InvalidCommitIdError, FieldValueError: a run's name is not a valid commit id; its job name
            or user is too long.
        ExperimentExistsError: an id is already taken.
        In each case nothing was imported.
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
            metadata = _metadata(run, to_id or prefix + layout.tame(run.name), user or "")
            commit_id = metadata.commit_id
            if commit_id in imported:
                raise ImportSourceError(f"{path}: two runs would be named {commit_id!r}")
            _check_free(store, commit_id)
            staging.create_experiment(commit_id)
            staging.write_metadata(metadata)
            with staging.writer(commit_id) as writer:
                writer.append(run.table)
            imported[commit_id] = Imported(commit_id, len(run.table), run.notes)
        for commit_id in imported:
            _check_free(store, commit_id)
        for commit_id in imported:
            os.rename(staging.experiment_path(commit_id), store.experiment_path(commit_id))
    finally:
        shutil.rmtree(staging.root, ignore_errors=True)
        if new_root:
            with suppress(OSError):  # not empty, or never created
                store.root.rmdir()
    return list(imported.values())


def _metadata(run: ForeignRun, commit_id: str, user: str) -> Metadata:
    """Build the run's metadata, checking that it fits the format before anything is written."""
    created = run.created
    if created is None:
        created = int(run.table.timestamps.min()) if len(run.table) else 0
    job_name = run.job_name or ("" if layout.is_tame(run.name) else run.name)
    metadata = Metadata(commit_id, created, job_name, run.user or user)
    meta.build(metadata)
    return metadata


def _check_free(store: ExperimentStore, commit_id: str) -> None:
    path = store.experiment_path(commit_id)
    if os.path.lexists(path):
        raise ExperimentExistsError(f"{path}: already exists; an import never changes experiments")


_READERS: dict[SourceFormat, Callable[[Path], Iterator[ForeignRun]]] = {
    "tensorboard": tensorboard.read_runs,
    "csv": csvfile.read_runs,
    "mlflow": mlflow.read_runs,
}
