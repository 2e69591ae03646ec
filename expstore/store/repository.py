"""ExperimentStore: the verbs that create and log, added to those of `reader` and `keeper`.

Guarantees: every id and value is checked before any file call; at a URL nothing is written.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from math import floor  # faster than `int`
from pathlib import Path
from typing import Any

from expstore.errors import ExperimentExistsError, ExperimentNotFoundError, ExpStoreError
from expstore.model.runinfo import RunInfo, joined
from expstore.model.times import check_seconds
from expstore.model.values import Metadata
from expstore.store import metafile as meta
from expstore.store.append import forks, records
from expstore.store.append.durability import (
    INTERVAL_RECORDS,
    INTERVAL_SECONDS,
    Durability,
    check_durability,
)
from expstore.store.append.reopened import ReopenedLog
from expstore.store.append.writer import MetricWriter
from expstore.store.care.delete import Judge, discard_unstarted
from expstore.store.defaults import git_head, login_name
from expstore.store.files import layout, system
from expstore.store.keeper import StoreKeeper


class ExperimentStore(StoreKeeper):
    """Experiments under one root, as `<commit_id>/{files/, meta.bin, metrics.bin}`.

    At a URL it is read-only: a verb that would write raises ReadOnlyStoreError first.

    Args:
        root: the directory, which need not exist yet, or a URL such as `s3://bucket/experiments`
            (extra `remote`).
        clock: returns the time in seconds since 1970-01-01 UTC.
        storage_options: for a URL, options of its fsspec file system, such as credentials.

    Raises:
        MissingExtraError: the root is a URL, and a library that it needs is not installed.
        StoreNotFoundError: an unknown kind of URL.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(root, clock=clock, storage_options=storage_options)
        # Closed logs that were appended to: each knows where it ended, which saves parsing it.
        self._logs: dict[str, ReopenedLog] = {}
        self._builders = records.StepBuilders()
        self.lock = threading.Lock()  # see `forks.Guarded`
        forks.watch_guarded(self)

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have been appending."""
        self.lock = threading.Lock()
        self._logs = {}

    def initialize(self) -> None:
        """Create the root directory and its parents, unless it exists.

        Raises:
            NoSpaceError, UnreadableFileError: it cannot be created.
        """
        with system.undone_after_error(self.root):
            system.make_directory(self.root)

    def create_experiment(self, commit_id: str) -> Path:
        """Create the experiment's directory with `files/`, unless it exists.

        Returns:
            The experiment's directory.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: a link has its name.
            NoSpaceError, UnreadableFileError: it cannot be created; nothing of it is left.
        """
        path = self.experiment_path(commit_id)
        with system.undone_after_error(path / layout.FILES):
            while True:
                system.make_directory(path)
                try:
                    system.make_inside(path, layout.FILES)
                except ExperimentNotFoundError:
                    if os.path.lexists(path):
                        raise  # a link, which is no experiment
                    continue  # it existed, and was pruned just now
                return path

    def start_experiment(
        self,
        commit_id: str | None = None,
        job_name: str = "",
        user: str | None = None,
        *,
        durability: Durability = "process",
        interval_records: int = INTERVAL_RECORDS,
        interval_seconds: float = INTERVAL_SECONDS,
        new: bool = False,
    ) -> MetricWriter:
        """Create an experiment, write its metadata with the current time, and open its writer.

        If that fails, what it made is removed again.

        Args:
            commit_id: default: the commit that git's HEAD names, in the working directory.
            job_name: what is being run.
            user: who runs it; default: the login name.
            durability, interval_records, interval_seconds: see `writer`.
            new: refuse an experiment that was started, that is, has metadata or records; of several
                processes that start one, exactly one succeeds.

        Raises:
            ExperimentExistsError: with `new`, it was started already; nothing was changed.
            GitHeadError: no commit id is given, and git has none.
            InvalidCommitIdError, FieldValueError, DurabilityError: nothing was created.
            SyncError: with `interval` or `power`, if it cannot be written to the disk.
        """
        metadata = Metadata(
            git_head() if commit_id is None else commit_id,
            int(self._clock()),
            job_name,
            login_name() if user is None else user,
        )
        interval = interval_records, interval_seconds
        with system.undone_after_error(self.root):
            return self._begin(metadata, None, durability, *interval, new=new, claimed=False)

    def begin_run(
        self,
        metadata: Metadata,
        info: RunInfo,
        *,
        durability: Durability = "process",
        new: bool = True,
        claimed: bool = False,
    ) -> MetricWriter:
        """Create an experiment with metadata and run.json, and open its writer; see `start`.

        If that fails, what it made is removed again.

        Args:
            metadata: with the id.
            info: added to the run.json that there may be, if `new` is false.
            durability: see `writer`.
            new: see `start_experiment`.
            claimed: the caller has just created the experiment's directory.

        Raises:
            As `start_experiment`; also RunFileError.
        """
        interval = INTERVAL_RECORDS, INTERVAL_SECONDS
        with system.undone_after_error(self.root):
            return self._begin(metadata, info, durability, *interval, new=new, claimed=claimed)

    def _begin(
        self,
        metadata: Metadata,
        info: RunInfo | None,
        durability: Durability,
        interval_records: int,
        interval_seconds: float,
        *,
        new: bool,
        claimed: bool,
    ) -> MetricWriter:
        data: bytes | None = meta.build(metadata)
        check_durability(durability, interval_records, interval_seconds)
        path = self.experiment_path(metadata.commit_id)
        if new and not claimed and self._is_started(metadata.commit_id):
            raise meta.exists(path)
        mine = claimed or not os.path.lexists(path)
        writer, written = None, False
        try:
            while writer is None:
                self.create_experiment(metadata.commit_id)
                # The writer comes first, since it keeps a prune away; until then, what an earlier
                # run of the same id left may be pruned.
                with suppress(ExperimentNotFoundError):
                    writer = self.writer(
                        metadata.commit_id,
                        durability=durability,
                        interval_records=interval_records,
                        interval_seconds=interval_seconds,
                    )
            try:
                self.write_metadata(metadata, new=new)
            except ExperimentExistsError:
                data = None  # another start's, even if it says the same
                raise
            except BaseException:
                written = new  # perhaps
                raise
            written = new
            if info is not None:
                self.change_run(metadata.commit_id, lambda old: joined(old, info))
        except BaseException:
            if writer is not None:
                writer.close()
            if mine or written:
                with suppress(OSError, ExpStoreError), system.root_directory(self.root) as root:
                    discard_unstarted(root, metadata.commit_id, data, whole=mine)
            raise
        return writer

    def _is_started(self, commit_id: str) -> bool:
        """Whether an experiment has metadata or records; a link or another file counts as one."""
        path = self.experiment_path(commit_id)
        if os.path.lexists(path) and (path.is_symlink() or not path.is_dir()):
            return True
        try:
            return os.path.lexists(self.metadata_path(commit_id)) or bool(
                os.lstat(self.metrics_path(commit_id)).st_size
            )
        except FileNotFoundError:
            return False
        except OSError as error:
            raise system.unreadable(path, error) from error

    def write_metadata(self, metadata: Metadata, *, new: bool = False) -> None:
        """Write the meta.bin of an existing experiment; a reader sees the old content or the new.

        It is on disk when the call returns. An existing file's mode and owner are kept.

        Args:
            metadata: what to write.
            new: refuse to replace metadata; of several processes that try, exactly one succeeds.

        Raises:
            ExperimentExistsError: with `new`, there is metadata; it is kept.
            InvalidCommitIdError, FieldValueError: a value the format cannot hold, or a timestamp in
                a smaller unit than seconds; nothing written.
            ExperimentNotFoundError: no such experiment.
            NoSpaceError, UnreadableFileError: the file system refuses; the old content stays.
        """
        data = meta.build(metadata)
        check_seconds(metadata.timestamp)
        meta.write(self.metadata_path(metadata.commit_id), data, new=new)

    def log_metric(self, commit_id: str, name: str, value: float, step: int) -> None:
        """Append one metric with the current time.

        A concurrent prune does not wait for it; use a `writer` to be safe from that.

        Raises:
            InvalidCommitIdError, FieldValueError: nothing is written.
            ExperimentNotFoundError: no such experiment.
            NoSpaceError, ShortWriteError, TornTailError: see `AppendLog.append`.
        """
        now = floor(self._clock())
        self._append(commit_id, records.record(name, value, timestamp=now, step=step))

    def log_metrics(self, commit_id: str, values: Mapping[str, float], step: int) -> None:
        """Append one step's metrics in one write; see `log_metric`."""
        now = floor(self._clock())
        try:
            data = self._builders[tuple(values)](values.values(), timestamp=now, step=step)
        except (AttributeError, TypeError):
            records.check_mapping(values, step)
            raise
        self._append(commit_id, data)

    def _append(self, commit_id: str, data: bytes) -> None:
        with self.lock:
            log = self._logs.get(commit_id) if commit_id.__class__ is str else None
            if log is None:
                log = ReopenedLog(self.metrics_path(commit_id))
                self._logs[commit_id] = log
            log.append_once(data)

    def writer(
        self,
        commit_id: str,
        *,
        durability: Durability = "process",
        interval_records: int = INTERVAL_RECORDS,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> MetricWriter:
        """A writer for many metrics of one existing experiment.

        Args:
            commit_id: the experiment.
            durability: what survives: with `process`, the death of the program; with `power`, also
                a power cut; with `interval`, a power cut except for the last records.
            interval_records, interval_seconds: how many records, and of what age, `interval` may
                lose.

        Raises:
            DurabilityError: an unknown durability, or an impossible interval.
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
            SyncError: with `interval` or `power`, if the log cannot be written to the disk.
        """
        return MetricWriter(
            self.experiment_path(commit_id),
            durability=durability,
            interval_records=interval_records,
            interval_seconds=interval_seconds,
            clock=self._clock,
        )

    def _delete(
        self, commit_ids: Iterable[str], *, judge: Judge | None = None, force: bool
    ) -> tuple[list[str], dict[str, str]]:
        deleted, spared = super()._delete(commit_ids, judge=judge, force=force)
        for commit_id in deleted:
            self._logs.pop(commit_id, None)
        return deleted, spared
