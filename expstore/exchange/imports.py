"""Importing experiments from TensorBoard, CSV and mlflow's file store.

Guarantees: an experiment that exists is never changed; all is read and checked, and written beside
the store's experiments, before the first one appears, so an import that fails leaves the store as
it was; one that is killed leaves a hidden directory `.import-*`, which is no experiment. What is
left out of a source (images, torn ends) is told.

Times become whole seconds, rounded down, as the format has them: mlflow's are milliseconds,
TensorBoard's fractions of seconds.
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
    """One experiment that was imported.

    Attributes:
        commit_id, metrics: its id, and how many metrics it has.
        notes: what was left out, in words.
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
        store: where to; its root is created where it is missing.
        source: what `path` is.
        path: a directory of event files, a CSV file, or a directory of mlflow's file store.
        to_id: the commit id, where there is one run only; default: the run's name.
        prefix: stands before each run's name.
        user: who ran it, where the source does not tell; default: the empty text.
        progress: hands the runs on while it shows how far they are.

    Raises:
        MissingExtraError: the source needs an extra that is not installed.
        ImportSourceError: the source is not what it should be, or holds what a store cannot.
        InvalidCommitIdError, FieldValueError: a run's name makes no commit id; its job name or
            user is too long.
        ExperimentExistsError: an id is taken.
        In each case nothing was imported.
    """
    runs = _READERS[source](Path(path))
    if to_id is not None:
        only = next(runs)
        if next(runs, None) is not None:
            raise ImportSourceError(f"{path}: more than one run; one commit id does not name them")
        runs = iter((only,))
    imported: dict[str, Imported] = {}
    new_root = not store.root.exists()
    staging = ExperimentStore(store.root / layout.temporary_name(layout.IMPORTING))
    try:
        for run in progress(runs):
            metadata = _metadata(run, to_id or prefix + run.name, user or "")
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
            with suppress(OSError):  # it is not empty, or was never made
                store.root.rmdir()
    return list(imported.values())


def _metadata(run: ForeignRun, commit_id: str, user: str) -> Metadata:
    """The run's metadata, checked to fit the format before anything is written."""
    created = run.created
    if created is None:
        created = int(run.table.timestamps.min()) if len(run.table) else 0
    metadata = Metadata(commit_id, created, run.job_name, run.user or user)
    meta.build(metadata)
    return metadata


def _check_free(store: ExperimentStore, commit_id: str) -> None:
    path = store.experiment_path(commit_id)
    if os.path.lexists(path):
        raise ExperimentExistsError(f"{path}: is there already; an import changes no experiment")


_READERS: dict[SourceFormat, Callable[[Path], Iterator[ForeignRun]]] = {
    "tensorboard": tensorboard.read_runs,
    "csv": csvfile.read_runs,
    "mlflow": mlflow.read_runs,
}
