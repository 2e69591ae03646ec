"""StoreReader: the verbs that read a store, wherever it lies.

Guarantees: constructing one opens nothing; every id and value is checked before any file call;
nothing is written or locked; one bad experiment never breaks a listing.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial, reduce
from operator import truediv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.errors import ExperimentNotFoundError, ReadOnlyStoreError, SelectionError
from expstore.extras import require
from expstore.model.table import MetricTable
from expstore.model.values import Metadata
from expstore.store import metafile as meta
from expstore.store.care import check
from expstore.store.care.check import CheckReport
from expstore.store.files import layout, system
from expstore.store.files.directory import Location
from expstore.store.files.place import absolute, locate, open_root
from expstore.store.read.follow import Follower
from expstore.store.read.tables import CHUNK, Selection, iter_tables, read_table

if TYPE_CHECKING:
    import pyarrow as pa


class StoreReader:
    """What can be read of experiments that lie as `<commit_id>/{files/, meta.bin, metrics.bin}`.

    Args:
        root: the directory; it need not exist yet. Or a URL that fsspec reads, such as
            `s3://bucket/experiments` (extra `remote`).
        storage_options: of a URL, what its file system takes, such as credentials.

    Raises:
        MissingExtraError: a URL, and what reads it is not installed.
        StoreNotFoundError: no such kind of URL.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._location = locate(root, storage_options)
        self._storage_options = storage_options

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._location)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process knows the place, and nothing of what is open here.
        # Its working directory may be another.
        place = str(absolute(self._location))
        return partial(type(self), storage_options=self._storage_options), (place,)

    @property
    def root(self) -> Path:
        """The store's directory.

        Raises:
            ReadOnlyStoreError: it lies at a URL, and has no path.
        """
        if isinstance(self._location, Path):
            return self._location
        raise ReadOnlyStoreError(f"{self._location}: a store at a URL can only be read")

    @property
    def location(self) -> Location:
        """Where the store lies: a Path; at a URL an object whose `str` is the URL."""
        return self._location

    def locate(self, commit_id: str, *names: str) -> Location:
        """Where an experiment, or a file of it, lies; see `location`.

        Raises:
            InvalidCommitIdError: not one plain path component.
        """
        return reduce(truediv, names, self._location / layout.check_commit_id(commit_id))

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
            UnreadableFileError: the system does not tell.
        """
        path = self.locate(commit_id)
        try:
            return path.is_dir() and not path.is_symlink()
        except OSError as error:
            raise system.unreadable(path, error) from error

    def read_metadata(self, commit_id: str) -> Metadata:
        """The metadata in meta.bin.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
            MetadataNotFoundError: the experiment has no meta.bin.
            TruncatedError, UnsupportedVersionError: the file is cut, or not of this format.
            UnreadableFileError: no regular file, or no permission.
        """
        return meta.read(self.locate(commit_id, layout.METADATA))

    def list_experiments(self) -> list[str]:
        """The commit ids of all experiments, sorted.

        A file, a link, and a directory whose name is no commit id are none.

        Raises:
            StoreNotFoundError: the root does not exist.
        """
        with open_root(self._location) as root:
            return layout.commit_ids(root.directories())

    def iter_metadata(self) -> Iterator[tuple[str, meta.Outcome]]:
        """Each experiment's id with its metadata, or with the error that reading it gave; sorted.

        Raises:
            StoreNotFoundError: the root does not exist.
        """
        return meta.read_all(self._location, self.list_experiments())

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
        return read_table(self.locate(commit_id, layout.METRICS))

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
        return iter_tables(self.locate(commit_id, layout.METRICS), Selection(names, steps), chunk)

    def check(self, commit_id: str) -> CheckReport:
        """What is wrong with an experiment's files, and where; nothing is written.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
        """
        return check.check_experiment(self.locate(commit_id))

    def check_all(self) -> Iterator[CheckReport]:
        """A report on the root itself, then one on each experiment, by commit id.

        Raises:
            StoreNotFoundError: the root does not exist.
        """
        return check.check_store(self._location, self.list_experiments())

    def follow(self, commit_id: str, offset: int = 0, *, interval: float = 0.5) -> Follower:
        """An iterator over tables of metrics as they are written; see `Follower`.

        Args:
            commit_id: the experiment.
            offset: where to begin: 0, or an earlier follower's `offset`.
            interval: seconds between two looks.

        Raises:
            InvalidCommitIdError: not one plain path component.
            ExperimentNotFoundError: no such experiment.
        """
        return Follower(self.locate(commit_id, layout.METRICS), offset, interval=interval)

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
        from expstore.store import stream

        pa = require("pyarrow", "arrow")
        ids = self.select_ids(ids)
        source = stream.TableStream(self.location, ids, names, steps, metadata)
        return pa.RecordBatchReader.from_batches(
            stream.long_schema(metadata), stream.long_batches(source)
        )

    def select_ids(self, ids: Iterable[str] | None = None) -> list[str]:
        """The commit ids, each once, where each is an experiment; None: all, sorted.

        Raises:
            InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
        """
        if ids is None:
            return self.list_experiments()
        chosen = list(dict.fromkeys(layout.check_commit_ids(ids)))
        for commit_id in chosen:
            if not self.experiment_exists(commit_id):
                raise ExperimentNotFoundError(f"{self.locate(commit_id)}: no such experiment")
        return chosen

    def log_sizes(self, commit_ids: Iterable[str]) -> dict[str, int | None]:
        """Bytes of each experiment's metrics.bin at this moment.

        0 where there is none, or no regular file; None where that cannot be told: reading the log
        says why.

        Raises:
            InvalidCommitIdError: nothing was asked.
            StoreNotFoundError: the root does not exist.
        """
        commit_ids = layout.check_commit_ids(commit_ids)
        names = [f"{commit_id}/{layout.METRICS}" for commit_id in commit_ids]
        with open_root(self._location) as root:
            return {
                commit_id: None if isinstance(size, OSError) else size or 0
                for commit_id, size in zip(commit_ids, root.sizes(names), strict=True)
            }
