"""Starting a run, in a training script.

    with expstore.start(job_name="train", params={"lr": 0.1}) as run:
        for batch in batches:
            run.log({"loss": train(batch)})
        (run.files / "notes.txt").write_text("...")

Guarantees: everything is checked before anything is created. An existing experiment is never
overwritten: a run without an id gets one of its own, also if many processes start at once.

A program that `expstore run` started does not start a second experiment: it joins the run that
$EXPSTORE_RUN names in the store $EXPSTORE_ROOT. It may log there, and so may several programs at
the same time; how the run ended is for the one that started it to say.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from expstore.errors import (
    ExperimentNotFoundError,
    ExpStoreError,
    MetadataNotFoundError,
    SelectionError,
    StoreNotFoundError,
)
from expstore.extras import require
from expstore.model.runinfo import RunInfo, RunStart, joined
from expstore.model.values import RECORD_CODEC, is_whole_number, whole_step
from expstore.store.append.durability import Durability, check_durability
from expstore.store.create import checked, create_run
from expstore.store.defaults import default_root, git_head
from expstore.store.files import atomic, layout, system
from expstore.store.files.place import open_log
from expstore.store.files.systems.native import own
from expstore.store.joining import inherited, join, last_step
from expstore.store.origin import (
    GitState,
    changed_code,
    git_state,
    origin,
    require_git,
    uncommitted_patch,
)
from expstore.store.read.survey import scan_log
from expstore.store.repository import ExperimentStore
from expstore.store.run import Run, check_not_open

_PATCH = "uncommitted"


def start(
    root: str | os.PathLike[str] | None = None,
    commit_id: str | None = None,
    job_name: str = "",
    user: str | None = None,
    *,
    params: object = None,
    tags: Iterable[str] = (),
    notes: str = "",
    resume: bool = False,
    from_step: int | None = None,
    save_patch: bool = False,
    system_metrics: bool = False,
    durability: Durability = "process",
) -> Run:
    """Start a run of an experiment and log to it.

    In a program that `expstore run` started, this joins its run, unless another root or commit_id
    is given: params, tags and notes are added, metrics go on after its last step, and its end is
    recorded by `expstore run`.

    Args:
        root: the store, created if missing; default: $EXPSTORE_ROOT, else ./experiments. `~`,
            `$NAME` and `${NAME}` are expanded.
        commit_id: the experiment's id. Default: the commit at git's HEAD, in the working directory;
            if there is such an experiment, the same with `-2`, `-3` and so on, each given once.
            Outside git: the time (UTC) and chance, such as `20261125-164512-3f9a`, with a warning.
        job_name: the job that is run.
        user: the person who runs it; default: the login name.
        params: hyperparameters; see `Run.log_params`.
        tags: short labels.
        notes: free text.
        resume: continue the experiment if it exists, as from a checkpoint: new metrics are
            appended, and its metadata is kept; `job_name` and `user` are used only if it has none.
            Without a commit_id, the experiment of git's HEAD. Params, tags and notes are added.
            The start keeps git's commit, branch and state if they differ from the first start's.
        from_step: with `resume`: what was logged at or after this step is superseded. It stays in
            the log; see `ExperimentStore.get_metrics`.
        save_patch: keep what differs from git's HEAD, in files that git tracks, as
            `files/uncommitted.patch` (for a later start of the run, `uncommitted-2.patch`). New
            files that git does not track are not in it.
        system_metrics: log the use of the CPU, memory and GPUs as `system/...` every 10 seconds
            (extra `system`).
        durability: see `ExperimentStore.writer`.

    Raises:
        ExperimentExistsError: the experiment was started, and `resume` is false. One that has no
            metadata and no records was not, as after a start that failed. If several processes
            start one experiment at the same time, exactly one succeeds.
        StoreNotFoundError: the root has a `~` or a variable that does not exist; or it is the id of
            an experiment in the default store, where `commit_id` was meant.
        LiveWriterError: this process has the run that is to be resumed open already.
        NoSpaceError: the file system is full; what was created is removed again.
        GitHeadError: git finds no commit, and `save_patch` needs one, or `resume` without an id.
        InvalidCommitIdError, FieldValueError, DurabilityError, SelectionError: nothing was created.
        RunFileError: params, tags or notes that cannot be kept; or the run.json of the experiment
            to resume cannot be parsed; nothing was changed.
        MissingExtraError: `system_metrics` without its extra; nothing was created.
        TruncatedError, UnsupportedVersionError, UnreadableFileError: the metadata of the experiment
            to resume cannot be read; it is not overwritten.
    """
    return begin(
        root,
        commit_id,
        job_name,
        user,
        params=params,
        tags=tags,
        notes=notes,
        resume=resume,
        from_step=from_step,
        save_patch=save_patch,
        system_metrics=system_metrics,
        durability=durability,
    )


def begin(
    root: str | os.PathLike[str] | None = None,
    commit_id: str | None = None,
    job_name: str = "",
    user: str | None = None,
    *,
    params: object = None,
    tags: Iterable[str] = (),
    notes: str = "",
    resume: bool = False,
    from_step: int | None = None,
    save_patch: bool = False,
    system_metrics: bool = False,
    durability: Durability = "process",
    command: Sequence[str] | None = None,
) -> Run:
    """As `start`.

    Args:
        command: the program that the run is of, which this one only starts: it never joins another
            run. None: this program.
    """
    store, metadata, new = checked(root, commit_id, job_name, user, params, tags, notes)
    if root is not None:
        _check_is_no_id(os.fspath(root))
    check_durability(durability)
    if system_metrics:
        require("psutil", "system")
    from_step = _check_from_step(from_step, resume)
    joined_id = inherited(store, commit_id) if command is None else None
    git = git_state()
    if save_patch:
        require_git(git)
    patch = uncommitted_patch() if save_patch and git.dirty else b""
    now = RunStart(time.time(), host=own.host_name(), pid=os.getpid(), from_step=from_step)
    if joined_id is not None:
        run = join(store, joined_id, new, from_step, durability)
        return _begun(run, patch, run.info, system_metrics)
    if resume:
        commit_id = commit_id or git.commit or git_head()
        if _has_metadata(store, commit_id):
            run = _resume(store, commit_id, new, now, git, durability)
            return _begun(run, patch, run.info, system_metrics)
    info = replace(new, origin=origin(git, command), starts=(now,))
    metadata = replace(metadata, commit_id=commit_id or "", timestamp=int(now.started))
    writer = create_run(store, metadata, info, git, durability, new=not resume)
    return _begun(Run(store, writer, now), patch, info, system_metrics)


def _resume(
    store: ExperimentStore,
    commit_id: str,
    new: RunInfo,
    now: RunStart,
    git: GitState,
    durability: Durability,
) -> Run:
    """Go on with an experiment."""
    check_not_open(store.experiment_path(commit_id))
    # A file that cannot be parsed is reported before the log is opened.
    now = replace(now, **changed_code(git, store.read_run(commit_id).origin))
    writer = store.writer(commit_id, durability=durability)
    try:
        with open_log(store.metrics_path(commit_id)) as log:
            status, records = scan_log(log)
        # Zeros at the end are not counted: a repair takes them away.
        now = replace(now, records=records - status.records)
        store.change_run(commit_id, lambda info: joined(info, replace(new, starts=(now,))))
    except BaseException:
        writer.close()
        raise
    return Run(store, writer, now, lambda: last_step(store, commit_id))


def _begun(run: Run, patch: bytes, info: RunInfo, system_metrics: bool) -> Run:
    """The run, with what is to be kept of its beginning, and what is to be measured."""
    number = len(info.starts)
    name = f"{_PATCH}-{number}.patch" if number > 1 else f"{_PATCH}.patch"
    try:
        if patch:
            with system.open_experiment(run.files) as directory:
                atomic.write_atomically(run.files / name, patch, directory)
        if system_metrics:
            run.measure()
    except BaseException as error:
        run.__exit__(type(error), error)
        raise
    return run


def _check_is_no_id(root: str) -> None:
    """Refuse an id in place of the store, which would be made and hold a run that nobody finds."""
    if not layout.is_commit_id(root) or os.path.lexists(root):
        return
    try:
        place = os.fspath(default_root())
        known = "://" not in place and ExperimentStore(place).experiment_exists(root)
    except ExpStoreError:
        return  # what is wrong with the default root does not matter
    if known:
        raise StoreNotFoundError(
            f"{root!r} is an experiment in {os.path.abspath(place)}, not a store; pass "
            f"commit_id={root!r}, or {os.path.join(os.curdir, root)!r} for a store of this name"
        )


def _check_from_step(step: int | None, resume: bool) -> int | None:
    if step is None:
        return None
    if not resume:
        raise SelectionError("from_step is for a run that is resumed; pass resume=True too")
    number = whole_step(step)
    maximum = int(RECORD_CODEC.schema["step"].range[1])
    if not is_whole_number(number) or not 0 <= number <= maximum:
        raise SelectionError(f"from_step must be a whole number from 0 to {maximum}, got {step!r}")
    return number


def _has_metadata(store: ExperimentStore, commit_id: str) -> bool:
    try:
        store.read_metadata(commit_id)
    except (ExperimentNotFoundError, MetadataNotFoundError):
        return False  # only prepared, or the process died before it wrote the metadata
    return True
