"""Logging as it is written in a training script.

    with expstore.start(job_name="train") as run:
        for step, batch in enumerate(batches):
            run.log({"loss": train(batch)}, step=step)
        (run.files / "notes.txt").write_text("...")

Guarantees: each call of `log` is in the file when it returns, so a run that dies by an exception
keeps all that it logged, and the exception goes on; what an experiment already is, is never
overwritten.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self, SupportsFloat, cast

from expstore.errors import ExperimentExistsError, MetadataNotFoundError
from expstore.model.values import Metadata
from expstore.store import metafile
from expstore.store.append.durability import Durability, check_durability
from expstore.store.append.writer import MetricWriter
from expstore.store.defaults import default_root, git_head, login_name
from expstore.store.files.system import unreadable
from expstore.store.repository import ExperimentStore


class Run:
    """One experiment being logged to; `start` makes it. A context manager.

    Attributes:
        store: the store that it belongs to.
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
        """Log one step's metrics by one write: `log({"loss": 0.1}, step=3)`.

        Args:
            metrics: values by name; a value is a number, or what holds exactly one: a scalar, an
                array or a tensor of one element.
            step: the training step.

        Raises:
            FieldValueError: a value that the format cannot hold; nothing is written.
            ExperimentGoneError, TornTailError, ShortWriteError: see `MetricWriter.log_many`.
        """
        self._writer.log_many(cast("Mapping[str, float]", metrics), step)

    def close(self) -> None:
        """End logging. A second call does nothing."""
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
        root: the store, created where missing; default: $EXPSTORE_ROOT, else ./experiments.
        commit_id: default: the commit that git's HEAD names, in the working directory.
        job_name: what is run.
        user: who runs it; default: the login name.
        resume: go on where the experiment exists: its metadata stays as it is, `job_name` and
            `user` count only where it has none, and what is logged stands behind what was.
        durability: see `ExperimentStore.writer`.

    Raises:
        ExperimentExistsError: the experiment exists, and `resume` was not asked for. Of several
            processes that start one experiment at a time, one succeeds.
        GitHeadError: no commit id given, and git tells none.
        InvalidCommitIdError, FieldValueError, DurabilityError: nothing was created.
        TruncatedError, UnsupportedVersionError, UnreadableFileError: on resuming, metadata that
            cannot be read; it is not overwritten.
    """
    store = ExperimentStore(default_root() if root is None else root)
    commit_id = git_head() if commit_id is None else commit_id
    path = store.experiment_path(commit_id)
    check_durability(durability)
    metafile.build(Metadata(commit_id, 0, job_name, login_name() if user is None else user))
    store.initialize()
    made = True
    try:
        path.mkdir()
    except FileExistsError:
        made = False
        if not resume:
            raise ExperimentExistsError(
                f"{path}: already started; resume=True goes on with it, another commit_id starts "
                "another"
            ) from None
        if _has_metadata(store, commit_id):
            return Run(store, store.writer(commit_id, durability=durability))
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return Run(store, store.start_experiment(commit_id, job_name, user, durability=durability))
    except BaseException:
        with suppress(OSError):
            if made:
                path.rmdir()  # nothing was put into it; else it is not empty
        raise


def _has_metadata(store: ExperimentStore, commit_id: str) -> bool:
    try:
        store.read_metadata(commit_id)
    except MetadataNotFoundError:
        return False  # someone prepared the directory, or died before the metadata was written
    return True
