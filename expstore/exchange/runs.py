"""What an importer hands over: runs, each with its metrics gathered into columns.

Guarantees: a value that the store's format cannot hold is refused with the place it came from,
before anything is written; nothing is cut, wrapped or rounded to fit.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

from expstore.errors import ImportSourceError
from expstore.model.table import MetricTable
from expstore.model.values import RECORD_CODEC
from formats import FormatError


@dataclass(frozen=True)
class ForeignRun:
    """One experiment to import.

    Attributes:
        name: what the source calls it; the commit id is made of it.
        table: its metrics.
        job_name, user: what the source tells, or empty.
        created: start time in seconds since 1970-01-01 UTC; None: that of the first metric.
        notes: what was left out, in words.
    """

    name: str
    table: MetricTable
    job_name: str = ""
    user: str = ""
    created: int | None = None
    notes: tuple[str, ...] = ()


class MetricsBuilder:
    """Metrics gathered one by one.

    Args:
        source: where they come from, for messages.
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


def check_range(source: str, name: str, field: str, least: int, greatest: int) -> None:
    """Raise ImportSourceError where the format's field cannot hold these values of a metric."""
    low, high = RECORD_CODEC.schema[field].range
    for value in (least, greatest):
        if not low <= value <= high:
            raise ImportSourceError(
                f"{source}: metric {name!r} has {field} {value}; a store holds {low} to {high}"
            )


def check_name(source: str, name: str) -> None:
    """Raise ImportSourceError where the format cannot hold the name whole."""
    try:
        RECORD_CODEC.build(timestamp=0, step=0, value=0.0, name=name)
    except FormatError as error:
        raise ImportSourceError(f"{source}: metric name {name[:40]!r}: {error}") from error
