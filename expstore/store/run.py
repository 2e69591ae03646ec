"""Logging from a training script.

    with expstore.start(job_name="train") as run:
        for step, batch in enumerate(batches):
            run.log({"loss": train(batch)}, step=step)
        (run.files / "notes.txt").write_text("...")

Guarantees: when `log` returns, its metrics are in the file, so a run that ends with an exception
keeps everything it logged; the exception propagates. An existing experiment is never overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self, SupportsFloat, cast

from expstore.errors import ExperimentNotFoundError, MetadataNotFoundError
from expstore.model.values import Metadata
from expstore.store import metafile
from expstore.store.append.durability import Durability, check_durability
from expstore.store.append.writer import MetricWriter
from expstore.store.defaults import default_root, expand, git_head, login_name
from expstore.store.repository import ExperimentStore


class Run:
    """An experiment being logged to, returned by `start`. A context manager.

    Attributes:
        store: the store it belongs to.
        path: the experiment's directory.
        files: the directory for artifacts of any kind.
    """

    def __init__(self, store: ExperimentStore, writer: MetricWriter) -> None:
        self.store = store
        self.path: Path = writer.path
        self.files: Path = store.files_path(writer.commit_id)
        self._writer = writer

    @property
    def commit_id(self) -> str:
        """The experiment's id."""
        return self._writer.commit_id

    def log(self, metrics: Mapping[str, SupportsFloat], step: int) -> None:
        """Log one step's metrics in a single write: `log({"loss": 0.1}, step=3)`.

        Args:
            metrics: values by name; a value is a number, or anything that holds exactly one: a
                scalar, or an array or tensor of one element.
            step: the training step.

        Raises:
            FieldValueError: a value that the format cannot represent; nothing is written.
            ExperimentGoneError, TornTailError, ShortWriteError: see `MetricWriter.log_many`.
        """
        self._writer.log_many(cast("Mapping[str, float]", metrics), step)

    def close(self) -> None:
        """Stop logging. A second call does nothing."""
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Run {self.commit_id} in {self.store.root}>"


def start(
    root: str | os.PathLike[str] | None = None,
    commit_id: str | None = None,
    job_name: str = "",
    user: str | None = None,
    *,
    resume: bool = False,
    durability: Durability = "process",
) -> Run:
    """Start an experiment and log to it.

    Args:
        root: the store, created if missing; default: $EXPSTORE_ROOT, else ./experiments. `~`,
            `$NAME` and `${NAME}` are expanded.
        commit_id: default: the commit at git's HEAD, in the working directory.
        job_name: the job that is run.
        user: the person who runs it; default: the login name.
        resume: continue the experiment if it exists: new metrics are appended and its metadata is
            kept; `job_name` and `user` are used only if it has none.
        durability: see `ExperimentStore.writer`.

    Raises:
        ExperimentExistsError: the experiment was started, and `resume` is false. One that has no
            metadata and no records was not, as after a start that failed. If several processes
            start one experiment at the same time, exactly one succeeds.
        StoreNotFoundError: the root has a `~` or a variable that does not exist.
        NoSpaceError: the file system is full; what was created is removed again.
        GitHeadError: no commit id was given, and git finds no commit.
        InvalidCommitIdError, FieldValueError, DurabilityError: nothing was created.
        TruncatedError, UnsupportedVersionError, UnreadableFileError: the metadata of the experiment
            to resume cannot be read; it is not overwritten.
    """
    store = ExperimentStore(default_root() if root is None else expand(root))
    commit_id = git_head() if commit_id is None else commit_id
    store.experiment_path(commit_id)
    check_durability(durability)
    metafile.build(Metadata(commit_id, 0, job_name, login_name() if user is None else user))
    store.initialize()
    if resume and _has_metadata(store, commit_id):
        return Run(store, store.writer(commit_id, durability=durability))
    writer = store.start_experiment(
        commit_id, job_name, user, durability=durability, new=not resume
    )
    return Run(store, writer)


def _has_metadata(store: ExperimentStore, commit_id: str) -> bool:
    try:
        store.read_metadata(commit_id)
    except (ExperimentNotFoundError, MetadataNotFoundError):
        return False  # only prepared, or the process died before it wrote the metadata
    return True
