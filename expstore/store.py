"""ExperimentStore: each verb of the store over one root directory.

Guarantees: constructing a store opens nothing; every id and value is checked before any file call;
one bad experiment never breaks a listing; the default prune is the reference format's own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from expstore import check, files, layout, mend, retention
from expstore import metadata as meta
from expstore.appendlog import AppendLog
from expstore.check import CheckReport
from expstore.codecs import RECORD_CODEC
from expstore.deletion import Judge, delete, in_use, logged_to
from expstore.durability import INTERVAL_RECORDS, INTERVAL_SECONDS, Durability, check_durability
from expstore.errors import (
    DeletionError,
    ExperimentNotFoundError,
    MetadataNotFoundError,
    SelectionError,
    UnreadableFileError,
)
from expstore.extras import require
from expstore.follow import Follower
from expstore.mend import RepairReport, SalvageReport
from expstore.model import Metadata, MetricTable
from expstore.origin import git_head, login_name
from expstore.retention import Policy, PrunePlan
from expstore.selection import CHUNK, Selection, iter_tables
from expstore.writer import MetricWriter, build_metric, build_step
from formats import FormatError, TooManyTextsError, tail_status
from formats.metrics import ROLES

if TYPE_CHECKING:
    import pyarrow as pa

_NAMES_LIMIT = 1 << 20  # distinct names of one table: a few hundred MB of Python texts


class ExperimentStore:
    """Experiments under one root, as `<commit_id>/{files/, meta.bin, metrics.bin}`.

    Args:
        root: the directory; it need not exist yet.
        clock: gives the time in seconds since 1970-01-01 UTC.
    """

    def __init__(
        self, root: str | os.PathLike[str], *, clock: Callable[[], float] = time.time
    ) -> None:
        self.root = Path(root)
        self._clock = clock
        # Logs that were appended to, closed: each knows where it ended, which saves parsing it.
        self._logs: dict[str, AppendLog] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"ExperimentStore({str(self.root)!r})"

    def initialize(self) -> None:
        """Create the root directory, with parents; nothing happens where it exists.

        Raises:
            UnreadableFileError: it cannot be created.
        """
        self._make_directory(self.root)

    def experiment_path(self, commit_id: str) -> Path:
        """The experiment's directory, whether it exists or not.

        Raises:
            InvalidCommitIdError: not one plain path component.
        """
        return layout.experiment_path(self.root, commit_id)

    def files_path(self, commit_id: str) -> Path:
        """The directory of the experiment's artifacts; see `experiment_path`."""
        return layout.files_path(self.root, commit_id)

    def metadata_path(self, commit_id: str) -> Path:
        """The experiment's meta.bin; see `experiment_path`."""
        return layout.metadata_path(self.root, commit_id)

    def metrics_path(self, commit_id: str) -> Path:
        """The experiment's metrics.bin; see `experiment_path`."""
        return layout.metrics_path(self.root, commit_id)

    def experiment_exists(self, commit_id: str) -> bool:
        """Whether the experiment has a directory.

        Raises:
            InvalidCommitIdError: not one plain path component.
        """
        path = self.experiment_path(commit_id)
        return path.is_dir() and not path.is_symlink()

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
                files.make_inside(path, layout.FILES)
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
                files.sync_directory(writer.path)
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

    def read_metadata(self, commit_id: str) -> Metadata:
        """The metadata in meta.bin.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
            MetadataNotFoundError: the experiment has no meta.bin.
            TruncatedError, UnsupportedVersionError: the file is cut, or not of this format.
            UnreadableFileError: no regular file, or no permission.
        """
        return meta.read(self.metadata_path(commit_id))

    def list_experiments(self) -> list[str]:
        """The commit ids of all experiments, sorted.

        A file, a link, and a directory whose name is no commit id are none.

        Raises:
            StoreNotFoundError: the root does not exist.
        """
        with files.root_directory(self.root) as root, os.scandir(root) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and layout.is_commit_id(entry.name)
            )

    def iter_metadata(self) -> Iterator[tuple[str, meta.Outcome]]:
        """Each experiment's id with its metadata, or with the error that reading it gave; sorted.

        Raises:
            StoreNotFoundError: the root does not exist.
        """
        return meta.read_all(self.root, self.list_experiments())

    def log_metric(self, commit_id: str, name: str, value: float, step: int) -> None:
        """Append one metric with the current time.

        A prune at the same moment does not wait for it; what is to be safe from that takes a
        `writer`.

        Raises:
            InvalidCommitIdError, FieldValueError: nothing is written.
            ExperimentNotFoundError: no such experiment.
            NoSpaceError, ShortWriteError, TornTailError: see `AppendLog.append`.
        """
        self._append(commit_id, build_metric(name, value, step, int(self._clock())))

    def log_metrics(self, commit_id: str, values: Mapping[str, float], step: int) -> None:
        """Append one step's metrics by one write; see `log_metric`."""
        self._append(commit_id, build_step(values, step, int(self._clock())))

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

    def get_metrics(self, commit_id: str) -> MetricTable:
        """All whole metrics in file order; empty where there is no file.

        A torn tail is left out and told by the table's `status`; so is, if the records are no
        longer aligned, from where they cannot be believed.

        Raises:
            InvalidCommitIdError: not one plain path component.
            TooManyTextsError: more than 1,048,576 distinct names, which no log of metrics has;
                `follow` reads it in parts.
            UnreadableFileError: no regular file, or no permission.
        """
        from formats.columns import ColumnParser

        path = self.metrics_path(commit_id)
        with files.open_log(path) as log:
            parser = ColumnParser(RECORD_CODEC.schema, max_texts=_NAMES_LIMIT)
            try:
                columns = parser.read(log.readinto, log.size)
            except TooManyTextsError as error:
                raise error.at(source=str(path)) from None
            return MetricTable.of_columns(
                columns, tail_status(RECORD_CODEC.schema, columns, log.size, ROLES)
            )

    def iter_metrics(
        self,
        commit_id: str,
        names: Iterable[str] | None = None,
        steps: range | None = None,
        *,
        chunk: int = CHUNK,
    ) -> Iterator[MetricTable]:
        """A log of any length, table by table in file order; together they are `get_metrics`.

        Only one table is held at a time (24 bytes a metric), and the log's distinct names. A
        table's `names` are all those met so far, so that a code means the same in every table. At
        least one table comes, and only the last may be empty. The last one's `status` tells what
        the end of the file is like; before that, it is not known, and all are clean.

        Args:
            commit_id: the experiment.
            names: metrics of these names only; one that does not occur selects nothing.
            steps: metrics of these steps only, such as `range(1000, 2000)`.
            chunk: metrics in a table at most, before any are left out; 1 or more.

        Raises:
            InvalidCommitIdError, SelectionError: at once.
            ExperimentNotFoundError, UnreadableFileError: when the first table is asked for.
        """
        if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
            raise SelectionError(f"chunk must be a whole number above 0, got {chunk!r}")
        return iter_tables(self.metrics_path(commit_id), Selection(names, steps), chunk)

    def check(self, commit_id: str) -> CheckReport:
        """What is wrong with an experiment's files, and where; nothing is written.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
        """
        return check.check_experiment(self.experiment_path(commit_id))

    def check_all(self) -> Iterator[CheckReport]:
        """A report on the root itself, then one on each experiment, by commit id.

        Raises:
            StoreNotFoundError: the root does not exist.
        """
        return check.check_store(self.root, self.list_experiments())

    def repair(self, commit_id: str, force: bool = False) -> RepairReport:
        """Cut a torn or zero tail off the experiment's log; see `expstore.mend.repair`.

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

    def follow(self, commit_id: str, offset: int = 0, *, interval: float = 0.5) -> Follower:
        """An iterator over tables of metrics as they are written; see `expstore.follow.Follower`.

        Args:
            commit_id: the experiment.
            offset: where to begin: 0, or an earlier follower's `offset`.
            interval: seconds between two looks.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
        """
        return Follower(self.metrics_path(commit_id), offset, interval=interval)

    def to_arrow(
        self,
        ids: Iterable[str] | None = None,
        names: Collection[str] | None = None,
        steps: range | None = None,
        *,
        metadata: bool = False,
    ) -> pa.RecordBatchReader:
        """Many experiments' metrics as one stream, read while it is consumed, one at a time.

        Args:
            ids: the experiments, in the order wanted; None: all, sorted.
            names: metrics of these names only.
            steps: metrics of these steps only.
            metadata: add the columns `job_name`, `user` and `created` (seconds).

        Returns:
            Batches with the columns of `MetricTable.to_arrow` behind `commit_id`, a dictionary of
            string. Each batch has its own dictionaries; `Table.unify_dictionaries` makes them one.

        Raises:
            MissingExtraError: the extra `arrow` is not installed.
            InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was read.
            ExpStoreError, FormatError: while the stream is read, for what is unreadable.
        """
        from expstore import frames

        pa = require("pyarrow", "arrow")
        ids = self.existing(ids)
        source = frames.Source(self, ids, names, steps, metadata)
        return pa.RecordBatchReader.from_batches(
            frames.long_schema(metadata), frames.long_batches(source)
        )

    def existing(self, ids: Iterable[str] | None = None) -> list[str]:
        """The commit ids, each once, where each is an experiment; None: all, sorted.

        Raises:
            InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
        """
        if ids is None:
            return self.list_experiments()
        chosen = list(dict.fromkeys(ids))
        for commit_id in chosen:
            if not self.experiment_exists(commit_id):
                raise ExperimentNotFoundError(
                    f"{self.experiment_path(commit_id)}: no such experiment"
                )
        return chosen

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
        with files.root_directory(self.root) as root:
            return retention.plan_prune(
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
            StoreNotFoundError: the root does not exist.
            DeletionError: some could not be deleted; all others are.
        """
        planned = {row.commit_id: row.metadata for row in plan if row.action == "prune"}

        def judge(commit_id: str, directory: int) -> str:
            parent = self.experiment_path(commit_id)
            if meta.read_at(layout.METADATA, directory, parent) != planned[commit_id]:
                return "changed since it was judged"
            return logged_to(directory, grace)

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
        commit_ids = [layout.check_commit_id(commit_id) for commit_id in commit_ids]
        deleted, spared = self._delete(commit_ids, force=force)
        if spared:
            raise DeletionError(deleted, spared)
        return deleted

    def _delete(
        self, commit_ids: Iterable[str], *, judge: Judge | None = None, force: bool
    ) -> tuple[list[str], dict[str, str]]:
        with files.root_directory(self.root) as root:
            deleted, spared = delete(root, commit_ids, judge=judge, force=force)
        for commit_id in deleted:
            self._logs.pop(commit_id, None)
        return deleted, spared

    @staticmethod
    def _make_directory(path: Path) -> None:
        try:
            os.makedirs(path, mode=0o755, exist_ok=True)
        except OSError as error:
            raise files.unreadable(path, error) from error
