"""Exporting by several processes: each writes a part of the output to a file of its own.

Guarantees: the output is that of one process, to the byte. Parts are appended in their order, and
their files used again, so only those of a few batches of logs are on the disk at a time, and no
text of them is in the memory of the process that joins them.

CSV and JSON lines can be joined like this. A Parquet file is encoded by one process, which takes
several times as long as reading; `expstore.cluster.export_parquet` writes many files by many.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from expstore.errors import ExpStoreError
from expstore.store.files.output import remove_stale, unfinished_directory, unfinished_name
from expstore.store.jobs import of_store
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    from expstore.store.repository import ExperimentStore

Progress = Callable[[Iterable[str]], Iterable[str]]


class Part(NamedTuple):
    """What became of some experiments.

    Attributes:
        ids: the experiments.
        rows: how many were written.
        failures, tails: see `ExportReport`.
        changes: how many values were changed, if any, by `ExportReport`'s names.
        path: the file that has the rows, if they are to be joined.
    """

    ids: list[str]
    rows: int
    failures: dict[str, ExpStoreError | FormatError]
    tails: dict[str, TailStatus]
    changes: Counter[str] | None = None
    path: Path | None = None


_JOINED = ".joined"
"""The suffix of parts that have been joined. The next parts take their files, and with them the
memory that the system has for them: to find other memory takes longer than to fill it."""

Write = Callable[[list[str], IO[bytes]], Part]
"""Writes the rows of some experiments to a file."""


@dataclass(frozen=True)
class _PartFile:
    """The work of a process: one file in a directory."""

    write: Write
    directory: Path

    def __call__(self, ids: list[str]) -> list[Part]:
        path = self.directory / unfinished_name("part")
        taken = any(_renamed(joined, path) for joined in self.directory.glob(f"*{_JOINED}"))
        with open(path, "r+b" if taken else "xb") as file:
            part = self.write(ids, file)
            file.truncate()
        return [part._replace(path=path)]


def _renamed(joined: Path, path: Path) -> bool:
    """Take a file for another part, unless another process did."""
    try:
        joined.rename(path)
    except FileNotFoundError:
        return False
    return True


def join_parts(
    store: ExperimentStore,
    ids: Collection[str],
    write: Write,
    file: IO[bytes],
    beside: Path | None,
    jobs: int,
    progress: Progress,
) -> Iterator[Part]:
    """Append the rows of experiments to a file, written by several processes.

    Args:
        store: the store.
        ids: the experiments, in the order of their rows.
        write: see `Write`; it can be pickled.
        file: open for writing.
        beside: the output's path, in whose directory the parts are put; None: where temporary files
            are.
        jobs: the number of processes, as `check_jobs` returns it.
        progress: passes the ids through.

    Raises:
        JobError: a process died.
    """
    with (
        _directory(beside) as directory,
        # No process writes to the directory any more when it is removed.
        of_store(_PartFile(write, directory), store, ids, jobs) as done,
    ):
        for part in told(done, ids, progress):
            assert part.path is not None
            with open(part.path, "rb") as written:
                shutil.copyfileobj(written, file, 1 << 20)
            part.path.rename(part.path.with_suffix(_JOINED))
            yield part


def told(parts: Iterable[Part], ids: Iterable[str], progress: Progress) -> Iterator[Part]:
    """The parts as they come, with progress in experiments."""
    passed = iter(progress(ids))
    for part in parts:
        for _ in part.ids:
            next(passed, None)
        yield part
    for _ in passed:
        pass


@contextmanager
def _directory(beside: Path | None) -> Iterator[Path]:
    """A directory for parts, of which nothing is left, or what was killed until the next export."""
    if beside is not None:
        with unfinished_directory(beside.resolve()) as directory:
            yield directory
        return
    output = Path(tempfile.gettempdir()).resolve() / "expstore-parts"
    remove_stale(output.parent, output.name)
    with unfinished_directory(output, 0o700) as directory:  # others may look there
        yield directory
