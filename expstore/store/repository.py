"""ExperimentStore: the verbs that write, beside those of `reader` that read.

Guarantees: every id and value is checked before any file call; at a URL nothing is written; the
default prune is the reference format's own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from expstore.errors import (
    DeletionError,
    ExperimentNotFoundError,
    MetadataNotFoundError,
    UnreadableFileError,
)
from expstore.model.values import RECORD_CODEC, Metadata
from expstore.store import metafile as meta
from expstore.store.append import records
from expstore.store.append.durability import (
    INTERVAL_RECORDS,
    INTERVAL_SECONDS,
    Durability,
    check_durability,
)
from expstore.store.append.log import AppendLog
from expstore.store.append.writer import MetricWriter
from expstore.store.care import mend, prune
from expstore.store.care.delete import Judge, delete, in_use, recently_logged
from expstore.store.care.mend import RepairReport, SalvageReport
from expstore.store.care.prune import Policy, PrunePlan
from expstore.store.defaults import git_head, login_name
from expstore.store.files import layout, system
from expstore.store.files.local import LocalDirectory
from expstore.store.reader import StoreReader
from formats import FormatError


class ExperimentStore(StoreReader):
    """Experiments under one root, as `<commit_id>/{files/, meta.bin, metrics.bin}`.

    At a URL it can be read only: what would write raises ReadOnlyStoreError, before anything else.

    Args:
        root: the directory, which need not exist yet, or a URL such as `s3://bucket/experiments`
            (extra `remote`).
        clock: gives the time in seconds since 1970-01-01 UTC.
        storage_options: of a URL, what its file system takes, such as credentials; see fsspec.

    Raises:
        MissingExtraError: a URL, and what reads it is not installed.
        StoreNotFoundError: no such kind of URL.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        clock: Callable[[], float] = time.time,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(root, storage_options=storage_options)
        self._clock = clock
        # Logs that were appended to, closed: each knows where it ended, which saves parsing it.
        self._logs: dict[str, AppendLog] = {}
        self._builders = records.StepBuilders()
        self._lock = threading.Lock()

    def initialize(self) -> None:
        """Create the root directory, with parents; nothing happens where it exists.

        Raises:
            UnreadableFileError: it cannot be created.
        """
        self._make_directory(self.root)

    def create_experiment(self, commit_id: str) -> Path:
        """Create the experiment's directory with `files/`; nothing happens where it exists.

        Returns:
            The experiment's directory.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: a link has its name.
            UnreadableFileError: it cannot be created.
        """
        path = self.experiment_path(commit_id)
        while True:
            self._make_directory(path)
            try:
                system.make_inside(path, layout.FILES)
            except ExperimentNotFoundError:
                if os.path.lexists(path):
                    raise  # a link, which is no experiment
                continue  # it was there, and was pruned just now
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
    ) -> MetricWriter:
        """Create an experiment, write its metadata with the current time, and open its writer.

        Args:
            commit_id: default: the commit that git's HEAD names, in the working directory.
            job_name: what is run.
            user: who runs it; default: the login name.
            durability, interval_records, interval_seconds: see `writer`.

        Raises:
            GitHeadError: no commit id given, and git tells none.
            InvalidCommitIdError, FieldValueError, DurabilityError: nothing was created.
            SyncError: `interval` or `power`, and it cannot be brought to the disk.
        """
        metadata = Metadata(
            git_head() if commit_id is None else commit_id,
            int(self._clock()),
            job_name,
            login_name() if user is None else user,
        )
        meta.build(metadata)
        check_durability(durability, interval_records, interval_seconds)
        writer = None
        while writer is None:
            self.create_experiment(metadata.commit_id)
            # The writer comes first, since it keeps a prune away; what an earlier run of the same
            # id left may still be pruned before.
            with suppress(ExperimentNotFoundError):
                writer = self.writer(
                    metadata.commit_id,
                    durability=durability,
                    interval_records=interval_records,
                    interval_seconds=interval_seconds,
                )
        try:
            self.write_metadata(metadata)
            if durability != "process":
                writer.sync_directory()
        except BaseException:
            writer.close()
            raise
        return writer

    def write_metadata(self, metadata: Metadata) -> None:
        """Write meta.bin of an existing experiment: a reader sees the old content or the new.

        Raises:
            InvalidCommitIdError, FieldValueError: a value the format cannot hold; nothing written.
            ExperimentNotFoundError: no such experiment.
            NoSpaceError, UnreadableFileError: the file system refuses; the old content stays.
        """
        data = meta.build(metadata)
        meta.write(self.metadata_path(metadata.commit_id), data)

    def log_metric(self, commit_id: str, name: str, value: float, step: int) -> None:
        """Append one metric with the current time.

        A prune at the same moment does not wait for it; what is to be safe from that takes a
        `writer`.

        Raises:
            InvalidCommitIdError, FieldValueError: nothing is written.
            ExperimentNotFoundError: no such experiment.
            NoSpaceError, ShortWriteError, TornTailError: see `AppendLog.append`.
        """
        now = int(self._clock())
        self._append(commit_id, records.record(name, value, timestamp=now, step=step))

    def log_metrics(self, commit_id: str, values: Mapping[str, float], step: int) -> None:
        """Append one step's metrics by one write; see `log_metric`."""
        build = self._builders[tuple(values)]
        self._append(commit_id, build(values.values(), timestamp=int(self._clock()), step=step))

    def _append(self, commit_id: str, data: bytes) -> None:
        with self._lock:
            log = self._logs.get(commit_id) if commit_id.__class__ is str else None
            if log is None:
                log = AppendLog(self.metrics_path(commit_id), RECORD_CODEC)
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
            durability: `process`: what a call logged survives the program's death; `power`: a
                power cut too; `interval`: a power cut, but for the last records.
            interval_records, interval_seconds: how many records, and how old ones, may be lost
                with `interval`.

        Raises:
            DurabilityError: no such durability, or an interval that cannot be.
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
            SyncError: `interval` or `power`, and the log cannot be brought to the disk.
        """
        return MetricWriter(
            self.experiment_path(commit_id),
            durability=durability,
            interval_records=interval_records,
            interval_seconds=interval_seconds,
            clock=self._clock,
        )

    def repair(self, commit_id: str, force: bool = False) -> RepairReport:
        """Cut a torn or zero tail off the experiment's log; see `expstore.store.care.mend.repair`.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
            TornTailError: others have the log open, and `force` is not given; nothing was cut.
            UnreadableFileError: no regular file, or no permission.
        """
        return mend.repair(self.metrics_path(commit_id), force=force)

    def salvage(self, commit_id: str, target: str) -> SalvageReport:
        """Copy the whole records of a damaged log, and the metadata, into a new experiment.

        The artifacts in `files/` are not copied.

        Raises:
            InvalidCommitIdError: one of the two is not one plain path component.
            ExperimentNotFoundError: no such experiment.
            ExperimentExistsError: the target is there already; nothing was written.
            UnreadableFileError: the source cannot be read, or the target not be written.
        """
        source, new = self.experiment_path(commit_id), self.experiment_path(target)
        metadata, why = None, ""
        try:
            metadata = meta.build(replace(self.read_metadata(commit_id), commit_id=target))
        except (FormatError, MetadataNotFoundError, UnreadableFileError) as error:
            why = str(error)
        return mend.salvage(source, new, metadata, why)

    def plan_prune(
        self,
        keep_count: int | None = None,
        older_than_days: int = 0,
        *,
        protect: Collection[str] = (),
        now: float | None = None,
        grace: float = 0,
        force: bool = False,
    ) -> PrunePlan:
        """What `prune_experiments` would do with these arguments, and why; nothing is touched.

        Args:
            keep_count: how many of the newest to keep; None: no limit by count.
            older_than_days: age in local calendar days beyond which none is kept; 0: no limit.
            protect: commit ids that are never pruned; they still count by position.
            now: the time to count from, in Unix seconds; default: the clock.
            grace: skip what was logged to in the last so many seconds: for writers of other
                programs, which hold no lock. Counted by the file system's clock.
            force: prune also what a writer has open.

        Raises:
            RetentionPolicyError: neither limit is given, or one cannot be meant.
            StoreNotFoundError: the root does not exist.
        """
        policy = Policy(keep_count, older_than_days, protect, grace, force)
        with system.root_directory(self.root) as root:
            return prune.plan_prune(
                self.iter_metadata(),
                policy,
                now=self._clock() if now is None else now,
                spare=lambda commit_id: in_use(
                    root, commit_id, grace=policy.grace, force=policy.force
                ),
            )

    def prune_experiments(
        self,
        keep_count: int | None = None,
        older_than_days: int = 0,
        *,
        protect: Collection[str] = (),
        now: float | None = None,
        grace: float = 0,
        force: bool = False,
    ) -> list[str]:
        """Delete what `plan_prune` says; see `prune`.

        Returns:
            The commit ids deleted, newest first.

        Raises:
            As `plan_prune` and `prune`.
        """
        plan = self.plan_prune(
            keep_count, older_than_days, protect=protect, now=now, grace=grace, force=force
        )
        return self.prune(plan, grace=grace, force=force)

    def prune(self, plan: PrunePlan, *, grace: float = 0, force: bool = False) -> list[str]:
        """Delete what a plan says.

        Each experiment is judged once more while writers are locked out of it: what has got a
        writer, other metadata, or (with `grace`) new metrics since the plan was made, stays.

        Args:
            plan: what `plan_prune` gave, perhaps after someone looked at it.
            grace, force: as given to `plan_prune`.

        Returns:
            The commit ids deleted, newest first.

        Raises:
            RetentionPolicyError: a grace that is no time; nothing is deleted.
            StoreNotFoundError: the root does not exist.
            DeletionError: some could not be deleted; all others are.
        """
        prune.check_grace(grace)
        planned = {row.commit_id: row.metadata for row in plan if row.action == "prune"}

        def judge(commit_id: str, directory: int) -> str:
            parent = self.experiment_path(commit_id)
            if meta.read_in(LocalDirectory(parent, directory)) != planned[commit_id]:
                return "changed since it was judged"
            return recently_logged(directory, grace)

        return self._delete(planned, judge=judge, force=force)[0]

    def delete_experiments(self, commit_ids: Iterable[str], *, force: bool = False) -> list[str]:
        """Delete experiments; each is either whole or gone, whatever interrupts.

        Args:
            commit_ids: the experiments.
            force: also those that a writer has open.

        Returns:
            The commit ids deleted, as given.

        Raises:
            InvalidCommitIdError: nothing is deleted.
            DeletionError: some could not be deleted, or have a writer; all others are.
        """
        commit_ids = layout.check_commit_ids(commit_ids)
        deleted, spared = self._delete(commit_ids, force=force)
        if spared:
            raise DeletionError(deleted, spared)
        return deleted

    def _delete(
        self, commit_ids: Iterable[str], *, judge: Judge | None = None, force: bool
    ) -> tuple[list[str], dict[str, str]]:
        with system.root_directory(self.root) as root:
            deleted, spared = delete(root, commit_ids, judge=judge, force=force)
        for commit_id in deleted:
            self._logs.pop(commit_id, None)
        return deleted, spared

    @staticmethod
    def _make_directory(path: Path) -> None:
        try:
            os.makedirs(path, mode=0o755, exist_ok=True)
        except OSError as error:
            raise system.unreadable(path, error) from error
