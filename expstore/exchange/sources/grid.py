"""Tables in wide form, a row per step: which column has the steps, which the times.

Guarantees: a run's points are in the order of rows, then of columns. The column of steps is the one
that the user names, or the first of STEPS whose numbers are whole; where there is none, rows are
counted, and a note says so. A text column, a value that a store cannot hold, and times that are
not understood are reported by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import (
    BAD,
    BadValueError,
    ForeignRun,
    Reading,
    check_name,
    shown,
)
from expstore.exchange.sources.clock import Times, times_of
from expstore.exchange.sources.columns import Column, FractionError, steps_of
from expstore.exchange.sources.files import modified
from expstore.exchange.sources.headers import STEPS, TIMES
from expstore.exchange.sources.params import fitting
from expstore.model.runinfo import RunInfo
from expstore.model.table import MetricTable
from formats.damage.plausible import EARLIEST, LATEST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNTIMED = "it has no times; all metrics have that of the file"
"""A note."""

STEP_LIMIT = 1 << 32


class Grid:
    """The rows of a table, as columns.

    Args:
        source: the file, for messages.
        reading: how it is to be read.
        place: names the line of a row; default: counted from 1.
        comma: whether numbers may have a decimal comma.
        exact: an exported table: its `timestamp` has seconds, whatever their number, and its names
            are checked elsewhere.
        axis: the column that is likely to have the steps, whatever its name.

    Attributes:
        columns: by name, those that have neither steps nor times.
        rows: how many there are.
        left_out, notes: what a ForeignRun says of them.
        timed: after `table`, whether a column has times.
    """

    def __init__(
        self,
        source: str,
        reading: Reading,
        place: Callable[[int], str] = lambda row: f"line {row + 1}",
        comma: bool = False,
        exact: bool = False,
        axis: str | None = None,
    ) -> None:
        self._exact = exact
        self._axis = axis
        self._source = source
        self._reading = reading
        self._place = place
        self._comma = comma
        self._keys: dict[str, list[Any]] = {}  # cells of what may be steps or times
        self.columns: dict[str, Column] = {}
        self.rows = 0
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []
        self.timed = True

    def is_key(self, name: str) -> bool:
        """Whether a column may have steps or times."""
        if self._exact:
            return name in ("step", "timestamp")
        chosen = self._reading.step_column, self._reading.time_column, self._axis
        return name in chosen or name.lower() in STEPS or name.lower() in TIMES

    def extend(self, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add rows with a cell in each column."""
        for name, cells in zip(names, zip(*rows, strict=True), strict=True):
            if self.is_key(name):
                self._keys.setdefault(name, []).extend(cells)
            else:
                self._column(name).extend(self.rows, cells)
        self.rows += len(rows)

    def add(self, cells: dict[str, Any]) -> None:
        """Add a row with cells in some columns."""
        for name, cell in cells.items():
            if self.is_key(name):
                known = self._keys.setdefault(name, [])
                known += [None] * (self.rows - len(known))
                known.append(cell)
            else:
                self._column(name).add(self.rows, cell)
        self.rows += 1

    def drop_index(self, name: str) -> None:
        """Leave out a column if it only numbers the rows, from 0 or 1, as data frames write it."""
        column = self.columns.get(name)
        if column is None or column.bad_count or len(column) != self.rows:
            return
        first = column.values[0]
        if first in (0, 1) and (column.values == column.rows + first).all():
            del self.columns[name]
            self.left_out["columns that number the rows"] += 1

    def _column(self, name: str) -> Column:
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = Column(name, self._comma)
        return column

    def table(self, stamp: int, base: float | None = None) -> MetricTable:
        """All points, in the order of rows.

        Args:
            stamp: the time of every point if no column has times.
            base: when the run started, if a column `t` counts the seconds from there.

        Raises:
            ImportSourceError: a value that a store cannot hold, unless these are skipped; a column
                that the user has named is not there, or has no steps or times.
        """
        import numpy as np

        for key in self._keys.values():
            key.extend([None] * (self.rows - len(key)))
        steps, good = self._steps()
        seconds = self._seconds(base)
        self.timed = seconds is not None
        if seconds is None:
            seconds = np.full(self.rows, stamp, np.int64)
        for name in list(self._keys):  # neither the steps nor the times: a metric like any other
            self._column(name).extend(0, [*map(_text, self._keys.pop(name))])
        chosen = [column for column in self.columns.values() if self._is_metric(column)]
        rows = [column.rows for column in chosen]
        order = np.concatenate([*rows, np.zeros(0, np.int64)])
        codes = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(one) for one in rows])
        values = np.concatenate([*(column.values for column in chosen), np.zeros(0)])
        sorted_ = np.argsort(order, kind="stable")
        sorted_ = sorted_[good[order[sorted_]]]
        order = order[sorted_]
        self._reading.advance(len(order))
        return MetricTable(
            tuple(column.name for column in chosen),
            codes[sorted_],
            values[sorted_],
            steps[order],
            seconds[order],
        )

    def _is_metric(self, column: Column) -> bool:
        """Whether a column has metrics; raises or counts what is wrong with it."""
        if column.is_text:
            self.left_out[f"text column {shown(column.name, 40)!r}"] += column.bad_count
            return False
        try:
            if not self._exact:
                check_name(self._source, column.name)
            if column.bad:
                row, fault = column.bad[0]
                raise ImportSourceError(
                    f"{self._where(row)}: column {shown(column.name, 40)!r}: {fault}"
                )
        except ImportSourceError as error:
            self._reading.refuse(error)
            named = column.name.encode(errors="replace")
            if not column.bad or not 0 < len(named) < 256:  # the name is what is wrong
                self.left_out[BAD] += len(column) + column.bad_count
                return False
            self.left_out[BAD] += column.bad_count
        return len(column) > 0

    def _where(self, row: int) -> str:
        return f"{self._source}: {self._place(row)}"

    def _steps(self) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """The step of each row, and whether it has one."""
        import numpy as np

        for name in self._candidates(STEPS, self._reading.step_column):
            try:
                found, bad = steps_of(self._keys[name], self._comma)
            except FractionError as error:
                if name == self._reading.step_column:
                    raise ImportSourceError(
                        f"{self._source}: column {name!r} has {error}, which is not a whole step; "
                        "choose another with --step-column"
                    ) from None
                continue
            if not bad and all(step is None for step in found):
                continue
            del self._keys[name]
            return self._checked(name, found, bad)
        self.notes.append("no column has steps; its rows are counted from 0")
        return np.arange(self.rows, dtype=np.uint32), np.ones(self.rows, np.bool_)

    def _checked(
        self, name: str, found: list[int | None], bad: list[int]
    ) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        import numpy as np

        wrong = bad + [
            row for row, step in enumerate(found) if step is not None and not 0 <= step < STEP_LIMIT
        ]
        if wrong and not self._reading.skip:
            row = min(wrong)
            step = found[row]
            raise BadValueError(
                f"{self._where(row)}: column {shown(name, 40)!r}: "
                + ("not a step" if step is None else f"step {shown(str(step), 40)}")
                + f"; a store holds whole steps of 0 to {STEP_LIMIT - 1}"
            )
        for row in wrong:
            found[row] = None
        if wrong:
            self.left_out["rows with a bad step"] += len(wrong)
        if blank := found.count(None) - len(wrong):
            self.left_out["rows without a step"] += blank
        good = np.array([step is not None for step in found], np.bool_)
        return np.array([step or 0 for step in found], np.uint32), good

    def _seconds(self, base: float | None) -> NDArray[np.int64] | None:
        """The time of each row, if some column has them."""
        import numpy as np

        if self._exact:
            cells = self._keys.pop("timestamp")
            return np.array([int(cell) for cell in cells], np.int64)
        for name in self._candidates(TIMES, self._reading.time_column):
            times = times_of(self._keys[name])
            if times is not None:
                del self._keys[name]
                if times.note:
                    self.notes.append(times.note)
                return _filled(times)
            if name == self._reading.time_column:
                raise ImportSourceError(
                    f"{self._source}: column {name!r} has no times: neither ISO dates, nor seconds,"
                    " milli-, micro- or nanoseconds since 1970"
                )
        elapsed = self.columns.get("t")
        if base is None or elapsed is None or len(elapsed) != self.rows:
            return None
        seconds = np.floor(base + elapsed.values)
        usual = (seconds >= EARLIEST) & (seconds <= LATEST)
        return seconds.astype(np.int64) if usual.all() else None

    def _candidates(self, known: tuple[str, ...], chosen: str | None) -> list[str]:
        if chosen is not None:
            if chosen not in self._keys:
                names = ", ".join([*self._keys, *self.columns][:20])
                raise ImportSourceError(
                    f"{self._source}: no column is named {chosen!r}; the columns are: {names}"
                )
            return [chosen]
        found = [name for name in self._keys if name.lower() in known]
        found.sort(key=lambda name: known.index(name.lower()))
        if self._axis in self._keys and known is STEPS:
            found = [self._axis, *(name for name in found if name != self._axis)]
        return found


def run_of(
    grid: Grid, name: str, path: Path, params: Mapping[str, Any] | None = None, **table: Any
) -> ForeignRun:
    """A run that is all of a table; where there are no times, it has the time of its file.

    Args:
        grid: the table.
        name: the run's name.
        path: its file.
        params: its parameters.
        table: further arguments of `Grid.table`.
    """
    stamp = modified(path)
    metrics = grid.table(stamp, **table)
    if not grid.timed:
        grid.notes.append(UNTIMED)
    return ForeignRun(
        name,
        metrics,
        created=None if grid.timed else stamp,
        info=RunInfo(params=fitting(params or {}, grid.left_out)),
        left_out=grid.left_out,
        notes=tuple(grid.notes),
        timed=grid.timed,
    )


def _filled(times: Times) -> NDArray[np.int64]:
    """Every row's time; a row without one has that of the row before, or of the first that has."""
    import numpy as np

    last = next(second for second in times.seconds if second is not None)
    filled = []
    for second in times.seconds:
        last = last if second is None else second
        filled.append(last)
    return np.array(filled, np.int64)


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell)
