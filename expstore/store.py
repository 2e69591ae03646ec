"""ExperimentStore: each verb of the store over one root directory.

Guarantees: constructing a store opens nothing; every id and value is checked before any file call;
one bad experiment never breaks a listing; the default prune is the reference format's own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from expstore import files, layout, retention
from expstore.deletion import delete
from expstore.errors import (
    ExperimentNotFoundError,
    ExpStoreError,
    MetadataNotFoundError,
    SelectionError,
)
from expstore.extras import require
from expstore.model import Metadata, MetricTable
from expstore.origin import git_head, login_name
from expstore.retention import PrunePlan
from expstore.selection import CHUNK, Selection, iter_tables
from expstore.writer import RECORD_CODEC, MetricWriter
from formats import META, FormatError, RecordCodec, tail_status

if TYPE_CHECKING:
    import pyarrow as pa

META_CODEC = RecordCodec(META)
_META_LIMIT = META_CODEC.schema.max_size


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
        # Where each log that was written to is known to end a record; saves parsing it again.
        self._boundaries: dict[str, int] = {}

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
            UnreadableFileError: it cannot be created.
        """
        self._make_directory(self.files_path(commit_id))
        return self.experiment_path(commit_id)

    def start_experiment(
        self, commit_id: str | None = None, job_name: str = "", user: str | None = None
    ) -> MetricWriter:
        """Create an experiment, write its metadata with the current time, and open its writer.

        Args:
            commit_id: default: the commit that git's HEAD names, in the working directory.
            job_name: what is run.
            user: who runs it; default: the login name.

        Raises:
            GitHeadError: no commit id given, and git tells none.
            InvalidCommitIdError, FieldValueError: nothing was created.
        """
        metadata = Metadata(
            git_head() if commit_id is None else commit_id,
            int(self._clock()),
            job_name,
            login_name() if user is None else user,
        )
        _build_metadata(metadata)
        self.create_experiment(metadata.commit_id)
        self.write_metadata(metadata)
        return self.writer(metadata.commit_id)

    def write_metadata(self, metadata: Metadata) -> None:
        """Write meta.bin of an existing experiment: a reader sees the old content or the new.

        Raises:
            InvalidCommitIdError, FieldValueError: a value the format cannot hold; nothing written.
            ExperimentNotFoundError: no such experiment.
            UnreadableFileError: the file system refuses.
        """
        path = self.metadata_path(metadata.commit_id)
        data = _build_metadata(metadata)
        directory = files.open_experiment(path.parent)
        try:
            files.write_atomically(path, data, directory)
        finally:
            os.close(directory)

    def read_metadata(self, commit_id: str) -> Metadata:
        """The metadata in meta.bin.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
            MetadataNotFoundError: the experiment has no meta.bin.
            TruncatedError, UnsupportedVersionError: the file is cut, or not of this format.
            UnreadableFileError: no regular file, or no permission.
        """
        path = self.metadata_path(commit_id)
        directory = files.open_experiment(path.parent)
        try:
            metadata = _read_metadata(layout.METADATA, directory, path.parent)
        finally:
            os.close(directory)
        if isinstance(metadata, Metadata):
            return metadata
        raise metadata

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

    def iter_metadata(self) -> Iterator[tuple[str, Metadata | FormatError | ExpStoreError]]:
        """Each experiment's id with its metadata, or with the error that reading it gave; sorted.

        Raises:
            StoreNotFoundError: the root does not exist.
        """
        commit_ids = self.list_experiments()
        with files.root_directory(self.root) as root:
            for commit_id in commit_ids:
                yield commit_id, _read_metadata(f"{commit_id}/{layout.METADATA}", root, self.root)

    def log_metric(self, commit_id: str, name: str, value: float, step: int) -> None:
        """Append one metric with the current time.

        Raises:
            InvalidCommitIdError, FieldValueError: nothing is written.
            ExperimentNotFoundError: no such experiment.
            TornTailError, ShortWriteError: see `MetricWriter.log`.
        """
        with self.writer(commit_id) as writer:
            writer.log(name, value, step)
        self._boundaries[commit_id] = writer.boundary

    def log_metrics(self, commit_id: str, values: Mapping[str, float], step: int) -> None:
        """Append one step's metrics by one write; see `log_metric`."""
        with self.writer(commit_id) as writer:
            writer.log_many(values, step)
        self._boundaries[commit_id] = writer.boundary

    def writer(self, commit_id: str) -> MetricWriter:
        """A writer for many metrics of one existing experiment.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
        """
        path = self.experiment_path(commit_id)
        return MetricWriter(path, boundary=self._boundaries.get(commit_id, 0), clock=self._clock)

    def get_metrics(self, commit_id: str) -> MetricTable:
        """All whole metrics in file order; empty where there is no file.

        A torn tail is left out and told by the table's `status`.

        Raises:
            InvalidCommitIdError: not one plain path component.
            UnreadableFileError: no regular file, or no permission.
        """
        from formats.columns import ColumnParser

        path = self.metrics_path(commit_id)
        with files.open_log(path) as log:
            columns = ColumnParser(RECORD_CODEC.schema).read(log.readinto, log.size)
            return MetricTable.of_columns(
                columns, tail_status(RECORD_CODEC.schema, columns, log.size)
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
    ) -> PrunePlan:
        """What `prune_experiments` would do with these arguments, and why; nothing is touched.

        Args:
            keep_count: how many of the newest to keep; None: no limit by count.
            older_than_days: age in local calendar days beyond which none is kept; 0: no limit.
            protect: commit ids that are never pruned.
            now: the time to count from, in Unix seconds; default: the clock.

        Raises:
            RetentionPolicyError: neither limit is given, or one is negative.
            StoreNotFoundError: the root does not exist.
        """
        retention.check_limits(keep_count, older_than_days)
        return retention.plan_prune(
            self.iter_metadata(),
            keep_count,
            older_than_days,
            protect=protect,
            now=self._clock() if now is None else now,
        )

    def prune_experiments(
        self,
        keep_count: int | None = None,
        older_than_days: int = 0,
        *,
        protect: Collection[str] = (),
        now: float | None = None,
    ) -> list[str]:
        """Delete what `plan_prune` says.

        Returns:
            The commit ids deleted, newest first.

        Raises:
            As `plan_prune`.
        """
        plan = self.plan_prune(keep_count, older_than_days, protect=protect, now=now)
        return self.delete_experiments(plan.pruned)

    def delete_experiments(self, commit_ids: Iterable[str]) -> list[str]:
        """Delete experiments; each is either whole or gone, whatever interrupts.

        Returns:
            The commit ids deleted, as given.

        Raises:
            InvalidCommitIdError: nothing is deleted.
            DeletionError: some could not be deleted; all others are.
        """
        commit_ids = [layout.check_commit_id(commit_id) for commit_id in commit_ids]
        for commit_id in commit_ids:
            self._boundaries.pop(commit_id, None)
        with files.root_directory(self.root) as root:
            return delete(root, commit_ids)

    @staticmethod
    def _make_directory(path: Path) -> None:
        try:
            os.makedirs(path, mode=0o755, exist_ok=True)
        except OSError as error:
            raise files.unreadable(path, error) from error


def _build_metadata(metadata: Metadata) -> bytes:
    layout.check_commit_id(metadata.commit_id)
    return META_CODEC.build(
        timestamp=metadata.timestamp,
        commit_id=metadata.commit_id,
        job_name=metadata.job_name,
        user=metadata.user,
    )


def _read_metadata(
    name: str, directory: int, parent: Path
) -> Metadata | FormatError | ExpStoreError:
    """The metadata, or the error instead; `name` is relative to `directory`, which is `parent`."""
    try:
        values, _ = META_CODEC.parse(files.read_start(name, directory, _META_LIMIT))
    except FormatError as error:
        return error.at(source=str(parent / name))
    except FileNotFoundError:
        return MetadataNotFoundError(f"{parent / name}: no metadata; write_metadata() writes it")
    except OSError as error:
        return files.unreadable(parent / name, error)
    return Metadata(values["commit_id"], values["timestamp"], values["job_name"], values["user"])
