"""What is kept of a log that grows: the points of each metric, and their summary.

Guarantees: adding the parts of a log one by one gives what reading it at once would; adding a part
costs time in proportion to that part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from expstore.compare.axes import TimedSeries, split_timed
from expstore.compare.series import Extremes, joined, summarize
from expstore.model.texts import escape
from expstore.report.payload import not_finite, summary_payload

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from expstore.model.table import MetricTable


class Tally:
    """The summary of a log: what a row of the list shows of it.

    Attributes:
        points: how many there are.
    """

    def __init__(self) -> None:
        self.points = 0
        self._times: tuple[int, int] | None = None
        self._found: dict[str, Extremes] = {}
        self._wrong: dict[str, tuple[int, int]] = {}

    def add(self, table: MetricTable) -> None:
        """Count the next part of the log."""
        if not len(table):
            return
        self.points += len(table)
        first, latest = int(table.timestamps.min()), int(table.timestamps.max())
        if self._times is not None:
            first, latest = min(first, self._times[0]), max(latest, self._times[1])
        self._times = first, latest
        for name, found in summarize(table).items():
            before = self._found.get(name)
            self._found[name] = found if before is None else joined(before, found)
        for name, (count, step) in not_finite(table).items():
            before_count, before_step = self._wrong.get(name, (0, step))
            self._wrong[name] = before_count + count, min(before_step, step)

    def row(self) -> dict[str, Any]:
        """The part of a row that `payload.run_payload` makes of a table."""
        if self._times is None:
            return {}
        metrics = {
            escape(name): summary_payload(found, *self._wrong.get(name, ()))
            for name, found in self._found.items()
        }
        first, latest = self._times
        return {"points": self.points, "first": first, "latest": latest, "metrics": metrics}


class GrowingSeries:
    """The points of one metric, in arrays with room for more."""

    def __init__(self) -> None:
        self.size = 0
        self._ordered = True
        self._columns: list[NDArray[Any]] = [
            np.empty(0, np.int64),
            np.empty(0, np.float64),
            np.empty(0, np.int64),
        ]

    def add(self, later: TimedSeries) -> None:
        """Append points, which are ordered by step."""
        if not len(later.steps):
            return
        if self.size and later.steps[0] < self._columns[0][self.size - 1]:
            self._ordered = False
        end = self.size + len(later.steps)
        for index, column in enumerate(later):
            room = self._columns[index]
            if end > len(room):
                # A log that is read once is not given room that it does not need.
                grown = np.empty(max(end, len(room) * 3 // 2 if self.size else end), room.dtype)
                grown[: self.size] = room[: self.size]
                self._columns[index] = room = grown
            room[self.size : end] = column
        self.size = end

    def series(self) -> TimedSeries:
        """All points, ordered by step; those at one step in the order in which they were logged."""
        if not self._ordered:
            order = self._columns[0][: self.size].argsort(kind="stable")
            for column in self._columns:
                column[: self.size] = column[: self.size][order]
            self._ordered = True
        return TimedSeries(*(column[: self.size] for column in self._columns))

    @property
    def nbytes(self) -> int:
        """The memory that the arrays take."""
        return sum(column.nbytes for column in self._columns)


class Points:
    """The points of all metrics of a log."""

    def __init__(self) -> None:
        self._series: dict[str, GrowingSeries] = {}

    def add(self, table: MetricTable) -> None:
        """Append the next part of the log."""
        for name, later in split_timed(table).items():
            self._series.setdefault(name, GrowingSeries()).add(later)

    def series(self, name: str) -> TimedSeries | None:
        """The points of one metric; None if it has none."""
        found = self._series.get(name)
        return found.series() if found is not None and found.size else None

    @property
    def nbytes(self) -> int:
        """The memory that all arrays take."""
        return sum(series.nbytes for series in self._series.values())
