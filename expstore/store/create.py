"""New experiments with run.json, under an id that is given or claimed.

Guarantees: an experiment that was started is never overwritten; what has no id gets one of its own,
also if many processes claim one at once. What a failure leaves is removed.
"""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from expstore.errors import ExperimentExistsError, NoCommitWarning
from expstore.model import params as parameters
from expstore.model.runinfo import RunInfo, check_tags
from expstore.model.values import Metadata
from expstore.store import metafile, runfile
from expstore.store.append.durability import Durability
from expstore.store.append.writer import MetricWriter
from expstore.store.defaults import default_root, expand, login_name
from expstore.store.files import system
from expstore.store.origin import GitState, git_state, origin
from expstore.store.repository import ExperimentStore


def create(
    root: str | os.PathLike[str] | None = None,
    commit_id: str | None = None,
    job_name: str = "",
    user: str | None = None,
    *,
    params: object = None,
    tags: Iterable[str] = (),
    notes: str = "",
) -> str:
    """Create an experiment that other programs log to; the twin of `expstore new`.

    Nothing runs: its status is unknown until `ExperimentStore.end_run` says how it ended.

    Args:
        root, commit_id, job_name, user, params, tags, notes: see `start`.

    Returns:
        Its id.

    Raises:
        As `start`.
    """
    store, metadata, info = checked(root, commit_id, job_name, user, params, tags, notes)
    git = git_state()
    writer = create_run(
        store, metadata, replace(info, origin=origin(git)), git, "process", new=True
    )
    writer.close()
    return writer.commit_id


def checked(
    root: str | os.PathLike[str] | None,
    commit_id: str | None,
    job_name: str,
    user: str | None,
    params: object,
    tags: Iterable[str],
    notes: str,
) -> tuple[ExperimentStore, Metadata, RunInfo]:
    """The store, metadata and run.json that the arguments of `start` mean; no file is accessed.

    The metadata has the current time, and an empty id if none is given: one is claimed later.

    Raises:
        As `start`, for what it says of these arguments.
    """
    store = ExperimentStore(default_root() if root is None else expand(root))
    user = login_name() if user is None else user
    metadata = Metadata(commit_id or "", int(time.time()), job_name, user)
    metafile.build(replace(metadata, commit_id=commit_id or "checked-below"))
    if commit_id is not None:
        store.experiment_path(commit_id)
    info = RunInfo(parameters.as_params(params), check_tags(tags), notes)
    runfile.build(info)
    return store, metadata, info


def create_run(
    store: ExperimentStore,
    metadata: Metadata,
    info: RunInfo,
    git: GitState,
    durability: Durability,
    *,
    new: bool,
) -> MetricWriter:
    """Create an experiment; if the metadata has no id, one that is its own is claimed."""
    claimed = not metadata.commit_id
    with system.undone_after_error(store.root):
        store.initialize()
        while True:
            chosen = replace(metadata, commit_id=_claim(store, git)) if claimed else metadata
            try:
                return store.begin_run(
                    chosen, info, durability=durability, new=new, claimed=claimed
                )
            except ExperimentExistsError:
                if not claimed:
                    raise
                # Else a program that was given this very id has taken what was claimed.


def _claim(store: ExperimentStore, git: GitState) -> str:
    """Create the directory of an experiment that is this run's alone; returns its id."""
    if not git.commit:
        warnings.warn(
            f"git finds no commit in {os.getcwd()}: the run's id is made of the time and chance; "
            "pass commit_id for one of your own",
            NoCommitWarning,
            stacklevel=5,
        )
        while True:
            name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"
            if system.make_directory(store.experiment_path(name)):
                return name
    if system.make_directory(store.experiment_path(git.commit)):
        return git.commit
    # The number after the highest: one that was deleted is not given again.
    pattern = re.compile(re.escape(git.commit) + r"-([1-9]\d{0,8})")
    found = map(pattern.fullmatch, os.listdir(store.root))
    number = max((int(name[1]) for name in found if name), default=1) + 1
    while not system.make_directory(store.experiment_path(name := f"{git.commit}-{number}")):
        number += 1
    return name
