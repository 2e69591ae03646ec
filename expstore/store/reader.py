"""StoreReader: the operations that read a store, local or remote.

Guarantees: constructing one opens nothing; every id and argument is validated before any file
access; nothing is written, and no lock is kept; one bad experiment never breaks a listing.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.errors import ExperimentNotFoundError, SelectionError, UnreadableFileError
from expstore.extras import require
from expstore.model.runinfo import RunInfo, RunState, Status
from expstore.model.table import MetricTable
from expstore.model.values import Metadata, is_whole_number
from expstore.store import metafile as meta
from expstore.store import runfile, views
from expstore.store.artifacts import ArtifactReader
from expstore.store.files import layout, system, waiting
from expstore.store.files.place import log_of, open_root
from expstore.store.jobs import check_jobs
from expstore.store.read.follow import Follower
from expstore.store.read.rewind import Rewind
from expstore.store.read.tables import CHUNK, Selection, iter_tables, read_table

if TYPE_CHECKING:
    import pyarrow as pa

    from expstore.store.care.findings import CheckReport


class StoreReader(ArtifactReader):
    """Reads experiments stored as `<commit_id>/{files/, meta.bin, metrics.bin}`.

    Args:
        root: the directory, which need not exist yet; or a URL that fsspec can read, such as
            `s3://bucket/experiments` (extra `remote`). A relative path is made absolute here, once;
            `~` and variables are not expanded (see `defaults.expand`).
        storage_options: for a URL, the options of its file system, such as credentials.

    Raises:
        MissingExtraError: the root is a URL, and the package that reads it is not installed.
        StoreNotFoundError: unknown kind of URL.
    """

    def experiment_exists(self, commit_id: str) -> bool:
        """Whether the experiment has a directory.

        Raises:
            InvalidCommitIdError: not a single plain path component.
            UnreadableFileError: the file system cannot say.
        """
        path = self.locate(commit_id)
        try:
            return path.is_dir() and not path.is_symlink()
        except UnreadableFileError:
            raise
        except OSError as error:
            raise system.unreadable(path, error) from error

    def _repr_html_(self) -> str:
        from expstore.store.notebook import store_html

        return store_html(self._location)

    def read_metadata(self, commit_id: str) -> Metadata:
        """The metadata in meta.bin.

        Raises:
            InvalidCommitIdError: not a single plain path component.
            ExperimentNotFoundError: no such experiment.
            MetadataNotFoundError: the experiment has no meta.bin.
            TruncatedError, UnsupportedVersionError: the file is cut short, or in another format.
            UnreadableFileError: not a regular file, or no permission.
        """
        return meta.read(self.locate(commit_id, layout.METADATA))

    def read_run(self, commit_id: str) -> RunInfo:
        """The parameters, tags, notes and starts in run.json; empty if there is none.

        Raises:
            InvalidCommitIdError: not a single plain path component.
            ExperimentNotFoundError: no such experiment.
            RunFileError: the file cannot be parsed.
            UnreadableFileError: not a regular file, or no permission.
        """
        return runfile.read(self.locate(commit_id, layout.RUN))

    def run_state(self, commit_id: str) -> RunState:
        """How a run is, since when, and how that is known; see `Status`.

        Running while a writer has the experiment open; else as its last start says; else stopped
        when it last logged. Of a run on another host, or at a URL, no lock can be seen: if it does
        not say that it ended, it is running unless its log has not changed for ten minutes, and
        the note says so.

        Raises:
            InvalidCommitIdError: not a single plain path component.
            ExperimentNotFoundError: no such experiment.
            UnreadableFileError: no permission.
        """
        from expstore.store.care.state import run_state

        return run_state(self.locate(commit_id))

    def status(self, commit_id: str) -> Status:
        """How a run is, in one word; see `run_state`."""
        return self.run_state(commit_id).status

    def list_experiments(self) -> list[str]:
        """The commit ids of all experiments, sorted.

        Files, links (see `linked_experiments`), and directories whose names are not commit ids are
        not experiments.

        Raises:
            StoreNotFoundError: the root does not exist.
        """
        with open_root(self._location) as root:
            return layout.commit_ids(root.directories())

    def linked_experiments(self) -> list[str]:
        """The names of links to directories, sorted: these are not experiments, and not listed.

        Always empty at a URL, where no file system reports links.

        Raises:
            StoreNotFoundError: the root does not exist.
        """
        if not isinstance(self._location, Path):
            return []
        with open_root(self._location) as root:
            links = [entry.name for entry in root.entries() if entry.kind == "link"]
        return [name for name in layout.commit_ids(links) if (self._location / name).is_dir()]

    def iter_metadata(self) -> Iterator[tuple[str, meta.Outcome]]:
        """Yield each experiment's id with its metadata, or the error that reading it gave; sorted.

        Raises:
            StoreNotFoundError: the root does not exist.
        """
        return meta.read_all(self._location, self.list_experiments())

    def get_metrics(self, commit_id: str, *, superseded: bool = True) -> MetricTable:
        """All whole metrics in file order; empty if there is no file.

        A torn tail is left out; the table's `status` reports it. The `status` also reports
        misaligned records, with the offset from which they are implausible.

        Args:
            commit_id: the experiment.
            superseded: whether to include what was logged at or after a step from which the run was
                later resumed; see `from_step` of `start`.

        Raises:
            InvalidCommitIdError: not a single plain path component.
            RunFileError: without `superseded`, if run.json cannot be parsed.
            TooManyTextsError: more than 1,048,576 distinct names, far beyond any real log of
                metrics; `follow` can still read it in parts.
            LogTooLargeError: its size, as stated, is too large for memory; see `iter_metrics`.
            UnreadableFileError: not a regular file, or no permission.
        """
        log = log_of(self.location, layout.check_commit_id(commit_id))
        if superseded:
            return read_table(log)
        rewind = Rewind(self.read_run(commit_id).starts)
        return rewind.current(read_table(log))

    def iter_metrics(
        self,
        commit_id: str,
        names: Iterable[str] | None = None,
        steps: range | None = None,
        *,
        chunk: int = CHUNK,
        superseded: bool = True,
    ) -> Iterator[MetricTable]:
        """Read a log of any length, table by table in file order; together they are `get_metrics`.

        Only one table (24 bytes per metric) and the log's distinct names are held at a time. A
        table's `names` are all names seen so far, so a code means the same name in every table.
        There is at least one table, and only the last may be empty. The last table's `status`
        describes the end of the file; the `status` of every earlier one is clean.

        Args:
            commit_id: the experiment.
            names: select metrics with these names; a name that does not occur selects nothing.
            steps: select metrics with these steps, such as `range(1000, 2000)`.
            chunk: the maximum number of metrics per table, before selection; 1 or more.
            superseded: see `get_metrics`.

        Raises:
            InvalidCommitIdError, SelectionError: immediately; so are the errors of `read_run`,
                without `superseded`.
            ExperimentNotFoundError, UnreadableFileError: when the first table is requested.
        """
        if not is_whole_number(chunk) or chunk < 1:
            raise SelectionError(f"chunk must be an integer above 0, got {chunk!r}")
        path, selection = self.locate(commit_id, layout.METRICS), Selection(names, steps)
        rewind = Rewind(() if superseded else self.read_run(commit_id).starts)
        return iter_tables(path, selection, chunk, rewind=rewind)

    def check(self, commit_id: str) -> CheckReport:
        """Report what is wrong with an experiment's files, and where; nothing is written.

        Raises:
            InvalidCommitIdError: not a single plain path component.
            ExperimentNotFoundError: no such experiment.
        """
        from expstore.store.care import check

        return check.check_experiment(self.locate(commit_id))

    def check_all(self, jobs: int = 1) -> Generator[CheckReport]:
        """Yield a report on the root itself, then one on each experiment, by commit id.

        Other processes end with the iteration, or when it is given up: by its `close`, or when
        nothing refers to it.

        Args:
            jobs: the number of processes that read; 0: one for each processor. A script that uses
                more than one must do so under `if __name__ == "__main__":`.

        Raises:
            StoreNotFoundError: the root does not exist.
            SelectionError: `jobs` is not a whole number.
            JobError: a process died.
        """
        from expstore.store.care.whole import check_store

        jobs = check_jobs(jobs)
        return check_store(self, self.list_experiments(), jobs)

    def follow(self, commit_id: str, offset: int = 0, *, interval: float = 0.5) -> Follower:
        """An iterator over tables of metrics as they are written; see `Follower`.

        Args:
            commit_id: the experiment.
            offset: where to begin: 0, or an earlier follower's `offset`.
            interval: seconds between reads.

        Raises:
            InvalidCommitIdError: not a single plain path component.
            ExperimentNotFoundError: no such experiment.
            SelectionError: an invalid offset or interval.
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
        """Many experiments' metrics as one stream; each experiment is read when it is reached.

        Args:
            ids: the experiments, in the desired order; None: all, sorted.
            names: select metrics with these names.
            steps: select metrics with these steps.
            metadata: add the columns `job_name`, `user` and `created` (seconds); null where it
                cannot be read.

        Returns:
            Batches with `commit_id`, a dictionary of strings, followed by the columns of
            `MetricTable.to_arrow`. Each batch has its own dictionaries; `Table.unify_dictionaries`
            merges them.

        Raises:
            MissingExtraError: the extra `arrow` is not installed.
            InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError: nothing was read.
            ExpStoreError, FormatError: an experiment's metrics are unreadable; raised as the stream
                is read.
        """
        from expstore.model import longform
        from expstore.store import stream

        pa = require("pyarrow", "arrow")
        ids = self.select_ids(ids)
        source = stream.TableStream(self.location, ids, names, steps, metadata)
        return pa.RecordBatchReader.from_batches(
            longform.long_schema(metadata), stream.long_batches(source)
        )

    def view(self, ids: Iterable[str] | None = None, **options: Any) -> object:
        """Show the store in a notebook, as a page at the end of a cell; see `expstore.live.view`.

        Raises:
            InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError, MissingExtraError
        """
        return views.view(self, ids, options)

    def select_ids(self, ids: Iterable[str] | None = None) -> list[str]:
        """The given commit ids without duplicates, each checked to exist; None: all, sorted.

        Raises:
            InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError
        """
        if ids is None:
            return self.list_experiments()
        chosen = list(dict.fromkeys(layout.check_commit_ids(ids)))
        there = waiting.each(self._location, chosen, self.experiment_exists)
        for commit_id, is_there in zip(chosen, there, strict=True):
            if not is_there:
                raise ExperimentNotFoundError(f"{self.locate(commit_id)}: no such experiment")
        return chosen

    def log_sizes(self, commit_ids: Iterable[str]) -> dict[str, int | None]:
        """The current size of each experiment's metrics.bin in bytes.

        0 if it is missing or not a regular file; None if the size cannot be determined, in which
        case reading the log raises the reason.

        Raises:
            InvalidCommitIdError: no file was accessed.
            StoreNotFoundError: the root does not exist.
        """
        commit_ids = layout.check_commit_ids(commit_ids)
        names = [f"{commit_id}/{layout.METRICS}" for commit_id in commit_ids]
        with open_root(self._location) as root:
            return {
                commit_id: None if isinstance(size, OSError) else size or 0
                for commit_id, size in zip(commit_ids, root.sizes(names), strict=True)
            }
