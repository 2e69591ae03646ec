"""Metrics as they are gathered into a table, one at a time or some at once."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import BadValueError, check_name, check_point
from expstore.model.table import MetricTable


class MetricsBuilder:
    """Collects metrics one at a time into a table.

    Args:
        source: where the metrics come from, for error messages.
        skip: leave bad values out, and count them.

    Attributes:
        bad: number of values left out.
    """

    def __init__(self, source: str, skip: bool = False) -> None:
        self._source = source
        self._skip = skip
        self._names: dict[str, int] = {}
        self._codes = array("i")
        self._values = array("d")
        self._steps = array("q")
        self._timestamps = array("q")
        self.bad = 0

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, name: str, value: float, step: int, timestamp: int, where: str = "") -> None:
        """Add one metric.

        Args:
            name, value, step, timestamp: see `Metric`.
            where: its place in the source, if more is known than `source`.

        Raises:
            ImportSourceError: a value that the format cannot hold, unless these are skipped.
        """
        if name not in self._names:
            try:
                check_name(where or self._source, name)
            except ImportSourceError as error:
                self.refuse_unless_skipped(error)
                return
        self.add_named(name, value, step, timestamp, where)

    def add_named(
        self, name: str, value: float, step: int, timestamp: int, where: str = ""
    ) -> None:
        """Add one metric whose name is known to fit; otherwise as `add`."""
        if not 0 <= step < 1 << 32 or timestamp >> 36:
            try:
                check_point(where or self._source, name, step, timestamp)
            except ImportSourceError as error:
                self.refuse_unless_skipped(error)
                return
        self._codes.append(self._names.setdefault(name, len(self._names)))
        self._values.append(value)
        self._steps.append(step)
        self._timestamps.append(timestamp)

    def add_row(
        self, values: Mapping[str, float], step: int, timestamp: int, where: str = ""
    ) -> None:
        """Add metrics of one step, by name; otherwise as `add`."""
        known = self._names
        if not 0 <= step < 1 << 32 or timestamp >> 36 or not values.keys() <= known.keys():
            for name, value in values.items():
                self.add(name, float(value), step, timestamp, where)
            return
        self._values += array("d", values.values())  # raises before anything is added
        self._codes.extend(map(known.__getitem__, values))
        self._steps.extend([step] * len(values))
        self._timestamps.extend([timestamp] * len(values))

    def extend(
        self, names: Sequence[str], values: array[float], steps: array[int], times: array[int]
    ) -> bool:
        """Add metrics whose names are known to fit, if all numbers do; otherwise none is added."""
        if not (min(steps) >= 0 and max(steps) < 1 << 32):
            return False
        if not (min(times) >= 0 and max(times) < 1 << 36):
            return False
        for name in dict.fromkeys(names):
            self._names.setdefault(name, len(self._names))
        self._codes.extend(map(self._names.__getitem__, names))
        self._values += values
        self._steps += steps
        self._timestamps += times
        return True

    def refuse_unless_skipped(self, error: ImportSourceError) -> None:
        """Count a bad value if such values are skipped; otherwise raise the error."""
        if not self._skip:
            raise BadValueError(str(error)) from error
        self.bad += 1

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


def renamed(table: MetricTable, rename: Callable[[str], str]) -> MetricTable:
    """The same metrics with other names, which must be as distinct."""
    columns = table.name_codes, table.values, table.steps, table.timestamps
    return MetricTable([rename(name) for name in table.names], *columns)
