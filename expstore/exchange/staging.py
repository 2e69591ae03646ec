"""Putting imported runs into a store, each as a whole.

Guarantees: a run is written beside the experiments, and is on disk, before it gets its name; it
never replaces anything. What killed imports have left is deleted, once no import uses it. An
experiment gets more only if it was imported from a run of this name, or is part of it.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from expstore.errors import (
    ExperimentExistsError,
    ExperimentNotFoundError,
    ExpStoreError,
)
from expstore.exchange.growth import news, stamped
from expstore.model.runinfo import RunInfo, RunStart
from expstore.model.table import MetricTable
from expstore.model.values import Metadata
from expstore.store import metafile, runfile
from expstore.store.append.writer import MetricWriter
from expstore.store.files import layout, placing, system
from expstore.store.files.descriptor import Descriptor
from expstore.store.files.systems.native import own
from expstore.store.repository import ExperimentStore
from formats import FormatError
from formats.errors import counted


@dataclass(frozen=True)
class Target:
    """One experiment as it is to be.

    Attributes:
        metadata, table, info: what it has.
        timed: whether the times are the source's own; if not, they may differ each time.
    """

    metadata: Metadata
    table: MetricTable
    info: RunInfo
    timed: bool


class Staging:
    """Where runs are built before they are placed; a context manager.

    Args:
        store: the store; a missing root is created when it is needed.
        dry_run: check everything, and write nothing.
    """

    def __init__(self, store: ExperimentStore, *, dry_run: bool = False) -> None:
        self._store = store
        self._dry_run = dry_run
        self._directory = store.root / layout.temporary_name(layout.IMPORTING)
        self._lock: Descriptor | None = None
        self._new_root = False
        self._placed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._lock is None:
            return
        try:
            if self._placed:
                with system.typed_errors(self._store.root):
                    system.sync_directory(self._store.root)
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._lock.close()
            if self._new_root:
                with suppress(OSError):  # not empty
                    self._store.root.rmdir()

    def place(self, target: Target, *, update: bool) -> tuple[int | None, int]:
        """Create an experiment, or add to one.

        Args:
            target: what it is to have.
            update: add to an experiment that was imported before.

        Returns:
            The number of metrics written, None if all were there already; and how many the
            experiment has that the target has not.

        Raises:
            ExperimentExistsError: another experiment, or something else, has the name.
            InvalidCommitIdError, FormatError, RunFileError: the target cannot be stored.
            NoSpaceError, UnreadableFileError: the store cannot be written.
        """
        metadata = metafile.build(target.metadata)
        info = runfile.build(target.info)
        path = self._store.experiment_path(target.metadata.commit_id)
        if os.path.lexists(path):
            return self._add(path, target, update=update)
        if self._dry_run:
            return len(target.table), 0
        building = self._open() / target.metadata.commit_id
        with system.typed_errors(building):
            placing.build_experiment(building, metadata)
            with open(building / layout.RUN, "xb") as file:
                file.write(info)
            with MetricWriter(building) as writer:
                writer.append(target.table)
            placing.sync_tree(building)
        with system.typed_errors(self._store.root):
            try:
                placing.place_new(building, path)
            except FileExistsError:
                shutil.rmtree(building)
                return self._add(path, target, update=update)
        self._placed = True
        return len(target.table), 0

    def _open(self) -> Path:
        """The staging directory, made when the first run needs it."""
        if self._lock is None:
            self._new_root = system.make_directory(self._store.root)
            while self._lock is None:
                system.make_directory(self._directory)
                with suppress(FileNotFoundError):  # another import has just taken it for a leftover
                    self._lock = _locked(self._directory)
            _clean(self._store.root, self._directory.name)
        return self._directory

    def _add(self, path: Path, target: Target, *, update: bool) -> tuple[int | None, int]:
        """Add to an experiment that is there what it does not have yet."""
        commit_id = target.metadata.commit_id
        try:
            found = self._store.read_metadata(commit_id)
            info = self._store.read_run(commit_id)
            known = self._store.get_metrics(commit_id)
        except (ExpStoreError, FormatError) as error:
            raise _exists(path, "is something else") from error
        imported = info.origin.get("imported") == target.info.origin.get("imported")
        table = target.table if target.timed else stamped(target.table, found.timestamp)
        if not imported and replace(found, timestamp=0) != replace(target.metadata, timestamp=0):
            raise _exists(path, "is not an import of this run")
        added, missing = news(known, table)
        if not len(added):
            if update and imported and _starts(info, target.info) != info.starts:  # it has ended
                if not self._dry_run:
                    self._store.change_run(commit_id, lambda old: _joined(old, target.info))
                return 0, missing
            if not missing or imported:
                return None, missing
            raise _exists(path, "has other metrics")
        if not imported and missing:
            raise _exists(path, "has other metrics")
        if not update:
            raise _exists(
                path,
                f"lacks {counted(len(added), 'metric', ',')} that the source has now",
                "add them with --update",
            )
        if not self._dry_run:
            try:
                with self._store.writer(commit_id, durability="power") as writer:
                    writer.append(added)
            except ExperimentNotFoundError as error:
                raise _exists(path, "is being deleted") from error
            self._store.change_run(commit_id, lambda old: _joined(old, target.info))
        return len(added), missing


def _joined(old: RunInfo, new: RunInfo) -> RunInfo:
    """What an experiment says of itself after an update; what users have changed is kept."""
    params = {**new.params, **old.params}
    tags = tuple(dict.fromkeys(old.tags + new.tags))
    notes = old.notes or new.notes
    return replace(old, params=params, tags=tags, notes=notes, starts=_starts(old, new))


def _starts(old: RunInfo, new: RunInfo) -> tuple[RunStart, ...]:
    """The starts that the source has now, and those that an experiment has had since."""
    known = {start.started for start in new.starts}
    own = [start for start in old.starts if start.started not in known]
    return tuple(sorted([*new.starts, *own], key=lambda start: start.started))


def _locked(directory: Path) -> Descriptor:
    """The staging directory, open, whose lock says that it is in use.

    Raises:
        FileNotFoundError: it is gone.
    """
    opened = Descriptor(directory, system.REAL_DIRECTORY)
    try:
        system.try_lock(opened.number, system.LOCK_SH)
        directory.stat()
    except BaseException:
        opened.close()
        raise
    return opened


def _clean(root: Path, kept: str) -> None:
    """Delete what killed imports have left; a living one holds a lock on its directory.

    Where other processes do not see it, nothing is deleted.
    """
    if not own.LOCKS_ARE_SEEN:
        return
    for name in os.listdir(root):
        if name == kept or not layout.is_temporary_name(name, layout.IMPORTING):
            continue
        try:
            opened = Descriptor(root / name, system.REAL_DIRECTORY)
        except OSError:
            continue
        with opened as descriptor:
            if system.try_lock(descriptor, system.LOCK_EX):  # neither in use, nor without locks
                shutil.rmtree(root / name, ignore_errors=True)


def _exists(
    path: Path, why: str, remedy: str = "another id, by --to-id or --prefix, keeps both"
) -> ExperimentExistsError:
    return ExperimentExistsError(
        f"{path}: already exists, and {why}; an existing experiment is never changed by itself: "
        f"{remedy}"
    )
