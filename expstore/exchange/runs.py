"""The runs that an importer produces, each with its metrics in columns.

Guarantees: a value that the store's format cannot hold is refused before anything is written, and
the error names its source; no value is truncated, wrapped or rounded to fit.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from expstore.errors import ImportSourceError
from expstore.model.table import MetricTable
from expstore.model.values import RECORD_CODEC
from formats import FormatError

_MESSAGE = 500  # characters of a library's message


@dataclass(frozen=True)
class ForeignRun:
    """One experiment to import.

    Attributes:
        name: its name in the source; the commit id is derived from it.
        table: its metrics.
        job_name, user: as given by the source, or empty.
        created: start time in seconds since 1970-01-01 UTC; None: the earliest metric's time.
        notes: messages about what was left out.
    """

    name: str
    table: MetricTable
    job_name: str = ""
    user: str = ""
    created: int | None = None
    notes: tuple[str, ...] = ()


class MetricsBuilder:
    """Collects metrics one at a time into a table.

    Args:
        source: where the metrics come from, for error messages.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._names: dict[str, int] = {}
        self._codes = array("i")
        self._values = array("d")
        self._steps = array("q")
        self._timestamps = array("q")

    def add(self, name: str, value: float, step: int, timestamp: int) -> None:
        """Add one metric.

        Raises:
            ImportSourceError: a value that the format cannot hold.
        """
        check_range(self._source, name, "step", step, step)
        check_range(self._source, name, "timestamp", timestamp, timestamp)
        code = self._names.get(name)
        if code is None:
            check_name(self._source, name)
            code = self._names[name] = len(self._names)
        self._codes.append(code)
        self._values.append(value)
        self._steps.append(step)
        self._timestamps.append(timestamp)

    def table(self) -> MetricTable:
        """The metrics, in the order they were added."""
        import numpy as np

        return MetricTable(
            tuple(self._names),
            np.array(self._codes, np.int32),
            np.array(self._values, np.float64),
            np.array(self._steps, np.uint32),
            np.array(self._timestamps, np.int64),
        )


@contextmanager
def reading(path: Path) -> Iterator[None]:
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
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MESSAGE else f"{text[:_MESSAGE]}..."


def check_range(source: str, name: str, field: str, minimum: int, maximum: int) -> None:
    """Raise ImportSourceError if the format's field cannot hold these values of a metric."""
    low, high = RECORD_CODEC.schema[field].range
    for value in (minimum, maximum):
        if not low <= value <= high:
            raise ImportSourceError(
                f"{source}: metric {name!r} has {field} {value}; a store holds {low} to {high}"
            )


def check_name(source: str, name: str) -> None:
    """Raise ImportSourceError if the format cannot hold the full name."""
    try:
        RECORD_CODEC.build(timestamp=0, step=0, value=0.0, name=name)
    except FormatError as error:
        raise ImportSourceError(f"{source}: metric name {name[:40]!r}: {error}") from error
