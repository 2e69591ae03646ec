"""What a store refuses, beside what the formats refuse (`formats.FormatError` and its kinds).

Guarantees: every error of the store is an `ExpStoreError`, and also the standard library's twin, so
that `except LookupError` and the like work; its text names the file or the id, and what to do.
"""

from __future__ import annotations

import io
from typing import Any


class ExpStoreError(Exception):
    """Base of all that an experiment store refuses."""


class InvalidCommitIdError(ExpStoreError, ValueError):
    """A commit id that is not one plain, visible path component of at most 255 bytes."""


class StoreNotFoundError(ExpStoreError, LookupError):
    """The root is no directory; `initialize` creates it."""


class ExperimentNotFoundError(ExpStoreError, LookupError):
    """No such experiment; `create_experiment` or `start_experiment` creates it."""


class ExperimentGoneError(ExperimentNotFoundError):
    """The experiment was deleted while a writer had it open; nothing more can be logged to it."""


class MetadataNotFoundError(ExpStoreError, LookupError):
    """The experiment has no meta.bin; `write_metadata` writes it."""


class UnreadableFileError(ExpStoreError, OSError):
    """A file that cannot be read or is no regular file: a link, a FIFO, a directory, no rights."""


class ReadOnlyStoreError(ExpStoreError, io.UnsupportedOperation):
    """The store lies at a URL, where it can be read only."""


class UnknownMetricError(ExpStoreError, KeyError):
    """A metric name that the table does not have."""

    def __str__(self) -> str:
        # KeyError shows its argument's repr, which suits a key and not a sentence.
        return str(self.args[0]) if self.args else ""


class LiveWriterError(ExpStoreError):
    """The experiment has a writer, so it is not deleted; close the writer, or force it."""


class SelectionError(ExpStoreError, ValueError):
    """Names, steps or a size of tables that cannot be meant."""


class TornTailError(ExpStoreError):
    """metrics.bin ends inside a record and cannot be mended now, since others have it open."""


class NoSpaceError(ExpStoreError, OSError):
    """The file system, a quota or a limit leaves no room; nothing was written."""


class ShortWriteError(NoSpaceError):
    """The file system took only part of a record; the text says what became of the part."""


class DurabilityError(ExpStoreError, ValueError):
    """A durability level that does not exist, or an interval that cannot be."""


class SyncError(ExpStoreError, OSError):
    """The system could not bring what was written to the disk: some records are in doubt.

    The writer is of no use any more: the system may forget what it could not write, so that asking
    again would only seem to succeed.

    Attributes:
        first, last: which of the records that this writer appended are in doubt, counted from 0.
        start, end: byte offsets in the log between which they lie.
    """

    def __init__(self, message: str, first: int, last: int, start: int, end: int) -> None:
        super().__init__(message)
        self.first = first
        self.last = last
        self.start = start
        self.end = end

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.first, self.last, self.start, self.end)


class WriterClosedError(ExpStoreError, ValueError):
    """The writer was closed; open another."""


class RetentionPolicyError(ExpStoreError, ValueError):
    """Limits that say nothing, or cannot be: none given, or a negative one."""


class DeletionError(ExpStoreError, OSError):
    """Some experiments could not be deleted, or not wholly.

    Attributes:
        deleted: the commit ids that are gone.
        failures: what went wrong, by commit id.
    """

    def __init__(self, deleted: list[str], failures: dict[str, str]) -> None:
        reasons = "; ".join(f"{commit_id}: {reason}" for commit_id, reason in failures.items())
        super().__init__(f"{len(failures)} not wholly deleted ({len(deleted)} gone): {reasons}")
        self.deleted = deleted
        self.failures = failures

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.deleted, self.failures)


class GitHeadError(ExpStoreError):
    """No commit id was given and git does not tell one."""


class MissingExtraError(ExpStoreError, ImportError):
    """An optional library is not installed; the text names the extra that brings it."""


class ExportError(ExpStoreError, ValueError):
    """An export that cannot be made as asked for; nothing was written."""


class OutputExistsError(ExpStoreError, FileExistsError):
    """The output of an export is there already, and may not be replaced."""


class ClusterError(ExpStoreError):
    """Dask's cluster cannot be used, or gave up: not reached, no workers, workers that differ."""


class PlotError(ExpStoreError, ValueError):
    """Curves that cannot be drawn as asked for: none, none above zero, or no such kind of file."""


class ImportSourceError(ExpStoreError, ValueError):
    """Data to import that is not what it should be, or that the store's format cannot hold."""


class ExperimentExistsError(ExpStoreError, FileExistsError):
    """The experiment is there already; neither an import, a salvage nor a start changes one."""


class NameTruncatedWarning(UserWarning):
    """A metric name was cut to the longest prefix of whole characters that the format holds."""
