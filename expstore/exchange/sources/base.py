"""What every source gives: runs, each with its metrics in columns, and counts of what was left out.

Guarantees: a value that the store's format cannot hold is never truncated, wrapped or rounded to
fit. It keeps its whole run out, with its place in the source, or is left out itself and counted if
that was asked for. Other runs come in all the same.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from expstore.errors import ExpStoreError, ImportSourceError
from expstore.model.runinfo import RunInfo
from expstore.model.table import MetricTable
from expstore.model.times import unit_fault
from expstore.model.values import RECORD_CODEC
from formats import FormatError

BAD = "values that a store cannot hold"
"""What `left_out` counts where bad values are skipped."""

EMPTY = "files without rows"
"""What it counts where a directory has tables without any."""

MALFORMED = (OSError, ValueError, TypeError, OverflowError, RecursionError)
"""What libraries, and the system, raise for data that is not as it should be."""

_MESSAGE = 500  # characters of a library's message


@dataclass(frozen=True)
class ForeignRun:
    """One experiment to import.

    Attributes:
        name: its name in the source, the same each time; the commit id is derived from it.
        table: its metrics.
        job_name, user: as given by the source, or empty.
        created: start time in seconds since 1970-01-01 UTC; None: the earliest metric's time.
        info: its parameters, tags, notes and starts.
        left_out: number of things that a store has no place for, by kind.
        notes: other messages about what was understood, and how.
        timed: whether the source has times; if not, those in `table` are all `created`, the time of
            the file, which differs between copies.
    """

    name: str
    table: MetricTable
    job_name: str = ""
    user: str = ""
    created: int | None = None
    info: RunInfo = field(default_factory=RunInfo)
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    timed: bool = True


class BadValueError(ImportSourceError):
    """A value that a store cannot hold, which `skip` leaves out."""


class EmptyTableError(ImportSourceError):
    """A file of a table that has no rows."""


@dataclass(frozen=True)
class RefusedRun:
    """A run that stays out as a whole.

    Attributes:
        name: its name in the source.
        error: why; the message names the file, and the line or byte.
    """

    name: str
    error: ExpStoreError | FormatError


@dataclass
class Reading:
    """How a source is to be read, and what is found on the way that belongs to no run.

    Attributes:
        skip: leave bad values out instead of refusing their run.
        step_column, time_column: names chosen by the user, for sources that have columns.
        advance: called with the number of points read since the last call.
        left_out: number of things left out of the source as a whole, by kind.
        notes: messages about the source as a whole.
    """

    skip: bool = False
    step_column: str | None = None
    time_column: str | None = None
    advance: Callable[[int], object] = lambda points: None
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def attempt(self, name: str, read: Callable[[], ForeignRun]) -> ForeignRun | RefusedRun:
        """One run; or why it stays out."""
        try:
            return read()
        except (ImportSourceError, FormatError) as error:
            return RefusedRun(name, error)
        except MALFORMED as error:
            return RefusedRun(name, ImportSourceError(f"run {shown(name, 80)!r}: {brief(error)}"))

    def refuse(self, error: ImportSourceError) -> None:
        """Raise the error of a bad value, unless such values are skipped."""
        if not self.skip:
            raise BadValueError(str(error)) from error

    def refuse_columns(self, path: Path) -> None:
        """Raise ImportSourceError if the user names columns of a table that has its own names."""
        if self.step_column is not None or self.time_column is not None:
            raise ImportSourceError(
                f"{path}: exported by this program, with its steps in `step` and its times in "
                "`timestamp`; --step-column and --time-column are for other tables"
            )

    def spare(self, name: str, runs: Runs) -> Runs:
        """The runs of one file of several, which keeps no other out; without rows, it is counted.

        Args:
            name: what to call a run of it that cannot be read.
            runs: what the file has.
        """
        try:
            for run in runs:
                if isinstance(run, RefusedRun) and isinstance(run.error, EmptyTableError):
                    self.left_out[EMPTY] += 1
                else:
                    yield run
        except EmptyTableError:
            self.left_out[EMPTY] += 1
        except ImportSourceError as error:
            yield RefusedRun(name, error)


Runs = Iterator[ForeignRun | RefusedRun]


class Source(Protocol):
    """A module of this package that reads one kind of source."""

    def recognise(self, path: Path) -> bool:
        """Whether a path, which exists, is such a source, from its names and first bytes.

        Raises:
            ImportSourceError: it cannot be read.
        """

    def runs(self, path: Path, reading: Reading) -> Runs:
        """The runs of a source, in an order that does not change.

        Raises:
            MissingExtraError: an extra is not installed.
            ImportSourceError: there is nothing of this kind at the path, or it cannot be read.
        """


@contextmanager
def reading_file(path: Path) -> Iterator[None]:
    """Turn what malformed data raises in the block, or the system, into ImportSourceError."""
    try:
        yield
    except ImportSourceError:
        raise
    except OSError as error:
        raise ImportSourceError(f"{path}: {error.strerror or error}") from error
    except RecursionError as error:
        raise ImportSourceError(f"{path}: nested too deeply") from error
    except (ValueError, TypeError, OverflowError) as error:
        raise ImportSourceError(f"{path}: {brief(error)}") from error


def brief(error: Exception) -> str:
    """A library's message on one line, without the whole of a long value that it quotes."""
    if "set_int_max_str_digits" in str(error):
        return f"a whole number of more than {sys.get_int_max_str_digits():,} digits"
    return shown(" ".join(str(error).split()) or type(error).__name__)


def shown(text: str, limit: int = _MESSAGE) -> str:
    """A text for a message, cut if it is long."""
    return text if len(text) <= limit else f"{text[:limit]}..."


def check_point(source: str, name: str, step: int, time: float) -> None:
    """Raise ImportSourceError if the format cannot hold them, or the time is not in seconds."""
    if isinstance(time, float) and not math.isfinite(time):
        raise ImportSourceError(f"{source}: metric {name!r} has a wall time that is not finite")
    timestamp = math.floor(time)
    check_range(source, name, "step", step)
    check_range(source, name, "timestamp", timestamp)
    if fault := unit_fault(timestamp):
        raise ImportSourceError(f"{source}: metric {name!r} at step {step}: {fault}")


def check_range(source: str, name: str, field: str, value: int) -> None:
    """Raise ImportSourceError if the format's field cannot hold this value of a metric."""
    low, high = RECORD_CODEC.schema[field].range
    if not low <= value <= high:
        raise ImportSourceError(
            f"{source}: metric {shown(name, 40)!r} has {field} {value}; a store holds {low} to "
            f"{high}"
        )


def check_name(source: str, name: str, ours: bool = False) -> None:
    """Raise ImportSourceError if the format cannot hold the full name, or `check` would object.

    Args:
        source: where the name comes from.
        name: a metric's name.
        ours: the file was exported from a store, which may hold any bytes as a name.
    """
    fault = ""
    try:
        RECORD_CODEC.build(timestamp=0, step=0, value=0.0, name=name)
        if not ours:
            fault = "" if name else "is empty"
            name.encode()
    except FormatError as error:
        fault = str(error)
    except UnicodeEncodeError:
        fault = "is not UTF-8"
    if fault:
        raise ImportSourceError(f"{source}: metric name {shown(name, 40)!r}: {fault}")
