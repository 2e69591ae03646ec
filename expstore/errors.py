"""The store's exceptions; those of the formats are `formats.FormatError` and its subclasses.

Guarantees: every exception derives from `ExpStoreError`, and also from its standard counterpart
where there is one, so that `except LookupError` and the like work. The message names the file or
the id, and says what to do.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from itertools import islice
from typing import Any, Self

_COMPARED = 5_000  # names that are compared with what was typed, which takes 20 us each


class ExpStoreError(Exception):
    """Base class of the store's exceptions."""


class InvalidCommitIdError(ExpStoreError, ValueError):
    """The commit id is not a plain, visible path component of at most 255 bytes."""


class StoreNotFoundError(ExpStoreError, LookupError):
    """The root is not a directory; `initialize` creates it."""


class ExperimentNotFoundError(ExpStoreError, LookupError):
    """No such experiment; `create_experiment` or `start_experiment` creates it."""


class ExperimentGoneError(ExperimentNotFoundError):
    """The experiment or its log was deleted, moved or replaced while it was open.

    Nothing more can be logged to it, or read from it, by what had it open.

    Attributes:
        start, end: the byte offsets, in the log that was open, between which are the records that
            a writer appended when it may no longer have been the experiment's; equal if none.
    """

    def __init__(self, message: str, start: int = 0, end: int = 0) -> None:
        super().__init__(message)
        self.start = start
        self.end = end

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.start, self.end)


class MetadataNotFoundError(ExpStoreError, LookupError):
    """The experiment has no meta.bin; `write_metadata` writes it."""


class LogNotFoundError(ExpStoreError, FileNotFoundError):
    """There is no such log of records, or no directory for it."""


class UnreadableFileError(ExpStoreError, OSError):
    """A file cannot be read: no permission, or not a regular file but a link, FIFO or directory."""


class LogTooLargeError(ExpStoreError, MemoryError):
    """A log is larger than memory, or is said to be; `iter_metrics` reads it in parts."""


class ReadOnlyStoreError(ExpStoreError, io.UnsupportedOperation):
    """The store is at a URL, and so read-only."""


class UnknownMetricError(ExpStoreError, KeyError):
    """There is no metric of this name; in an expression or order, no parameter or field either."""

    @classmethod
    def of(cls, name: str, known: Collection[str]) -> Self:
        """The error for one name, naming those that exist."""
        near = nearest(name, known)
        hint = f"{near} " if near else ""
        return cls(f"no metric {name!r}; {hint}the metrics are: {listed(known)}")

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, which suits a key but not a sentence.
        return str(self.args[0]) if self.args else ""


class WhereError(ExpStoreError, ValueError):
    """A text is not an expression that selects experiments; see `expstore.compare.where`.

    Attributes:
        text: the expression.
        column: where it is wrong, in characters from 1.
    """

    def __init__(self, problem: str, text: str, column: int) -> None:
        rest = text[column - 1 : column + 19]
        place = f"before {rest!r}" if rest else "at its end"
        super().__init__(f"where: {problem}; column {column}, {place}")
        self.problem = problem
        self.text = text
        self.column = column

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem, self.text, self.column)


class LiveWriterError(ExpStoreError):
    """The experiment has a writer, so it is not deleted, ended, or resumed a second time.

    Close the writer, or force the deletion.
    """


class SelectionError(ExpStoreError, ValueError):
    """Invalid names, steps, or chunk or batch size."""


class TornTailError(ExpStoreError):
    """metrics.bin ends inside a record and cannot be repaired while others have it open."""


class NoSpaceError(ExpStoreError, OSError):
    """The file system is full, or a quota or limit is reached; nothing was written."""


class ShortWriteError(NoSpaceError):
    """Only part of a record was written; the message says what became of that part."""


class SealError(ExpStoreError):
    """Files differ from the seal that was to be replaced, or there is nothing to seal."""


class DurabilityError(ExpStoreError, ValueError):
    """Unknown durability level, or invalid interval."""


class SyncError(ExpStoreError, OSError):
    """The system could not flush written data to disk; some records are in doubt.

    The writer can no longer be used: the system may discard what it failed to write, so a second
    sync could succeed without having written anything.

    Attributes:
        first, last: the records in doubt, among those that this writer appended, counted from 0.
        start, end: the byte offsets in the log between which they are.
    """

    def __init__(self, message: str, first: int, last: int, start: int, end: int) -> None:
        super().__init__(message)
        self.first = first
        self.last = last
        self.start = start
        self.end = end

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.first, self.last, self.start, self.end)


class SyncThreadError(ExpStoreError, RuntimeError):
    """No thread can be started to sync what is logged with `interval`; nothing was logged."""


class WriterClosedError(ExpStoreError, ValueError):
    """The writer was closed; open another."""


class RetentionPolicyError(ExpStoreError, ValueError):
    """No limit is given, or an invalid one, such as a negative number."""


class DeletionError(ExpStoreError, OSError):
    """Some experiments were not deleted, or not completely.

    Attributes:
        deleted: the commit ids that were deleted.
        failures: the reason for each failure, by commit id.
    """

    def __init__(self, deleted: list[str], failures: dict[str, str]) -> None:
        reasons = "; ".join(f"{commit_id}: {reason}" for commit_id, reason in failures.items())
        super().__init__(f"{len(failures)} not fully deleted ({len(deleted)} deleted): {reasons}")
        self.deleted = deleted
        self.failures = failures

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.deleted, self.failures)


class GitHeadError(ExpStoreError):
    """No commit id was given, and git does not provide one."""


class MissingExtraError(ExpStoreError, ImportError):
    """An optional library is not installed; the message names the extra that provides it."""


class ExportError(ExpStoreError, ValueError):
    """The export cannot be made as requested; nothing was written."""


class OutputExistsError(ExpStoreError, FileExistsError):
    """The output already exists and may not be replaced."""


class OutputInStoreError(ExpStoreError, ValueError):
    """The output would be among the store's own files in an experiment's directory."""


class ClusterError(ExpStoreError):
    """The Dask cluster is unusable or gave up: unreachable, no workers, or workers that differ."""


class JobError(ExpStoreError):
    """One of several processes that read a store died."""


class PlotError(ExpStoreError, ValueError):
    """The curves cannot be drawn: none, none above zero, or an unsupported kind of file."""


class ServeError(ExpStoreError, OSError):
    """A server cannot be run at this address: it is in use, or needs a token."""


class RunFileError(ExpStoreError, ValueError):
    """A run.json cannot be parsed, or a value cannot be kept in one."""


class ImportSourceError(ExpStoreError, ValueError):
    """The data to import is malformed, or the store's format cannot hold it."""


class ExperimentExistsError(ExpStoreError, FileExistsError):
    """The experiment already exists; an import, a salvage or a start never changes one."""


class ProgramNotFoundError(ExpStoreError, FileNotFoundError):
    """The program to run does not exist, or cannot be executed."""


class NameTruncatedWarning(UserWarning):
    """A metric name was cut to the longest prefix of whole characters that fits the format."""


class NoCommitWarning(UserWarning):
    """A run was started without an id and outside git; its id is made of the time and chance."""


def listed(names: Collection[str], most: int = 20) -> str:
    """Names as a message gives them: the first few, and how many more there are."""
    shown = ", ".join(islice(names, most)) or "none"
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def nearest(typed: str, names: Collection[str]) -> str:
    """`did you mean ...?`, with the names that are like what was typed; empty if none is."""
    from difflib import get_close_matches  # most errors need no names

    near = get_close_matches(typed, islice(names, _COMPARED), 3)
    return f"did you mean {' or '.join(near)}?" if near else ""
