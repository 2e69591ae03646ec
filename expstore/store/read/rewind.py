"""Which records of a log are superseded, since the run was resumed from an earlier step.

Guarantees: the rule is that of formats/README.md: superseded are the records before the `records`
of a start whose step is its `from_step` or a later one. It goes by the place of a record in the
log, which never changes, so later appends, by whomever, are not. Nothing is deleted. Memory does
not grow with the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from expstore.model.runinfo import RunStart

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expstore.model.table import MetricTable
    from formats.columns import Columns


class Rewind:
    """What the starts of a run supersede; false if that is nothing."""

    def __init__(self, starts: Iterable[RunStart]) -> None:
        self._rules = [
            (start.records, start.from_step)
            for start in starts
            if start.from_step is not None and start.records
        ]

    def __bool__(self) -> bool:
        return bool(self._rules)

    @property
    def rules(self) -> list[tuple[int, int]]:
        """How many records each start found, and the step from which they are superseded."""
        return list(self._rules)

    def rows(self, table: MetricTable, first: int = 0) -> NDArray[np.bool_] | None:
        """For each metric of a table whether it counts; None: all do.

        Args:
            table: consecutive records of the log.
            first: the index of the first one.
        """
        return self.rows_of(table.stored_steps, first) if self._rules else None

    def rows_of(self, steps: NDArray[np.integer[Any]], first: int) -> NDArray[np.bool_] | None:
        """As `rows`, for the steps of consecutive records."""
        import numpy as np

        which = None
        for records, step in self._rules:
            count = records - first
            if count > 0:
                which = np.ones(len(steps), bool) if which is None else which
                which[:count] &= steps[:count] < step
        return which

    def current(self, table: MetricTable) -> MetricTable:
        """A whole log without what is superseded."""
        which = self.rows(table)
        return table if which is None or which.all() else table.take(which)


class BackwardStep(NamedTuple):
    """A record whose step is below that of the same metric's record before it."""

    record: int
    name: str
    before: int
    step: int


class BackwardSteps:
    """Where the steps of a metric go back although no start of the run says so.

    That is what a resume without `from_step` leaves, and several writers of one metric; it is no
    damage. Feed it the parts of a log in order.

    Attributes:
        count: how many records there are whose step goes back.
        first: the first of them; None if there is none.
    """

    def __init__(self, starts: Iterable[RunStart] = ()) -> None:
        self._rewind = Rewind(starts)
        self._last: NDArray[np.int64] | None = None  # the step of each metric, by code; or -1
        self._highest = -1  # of all steps; a part that is in order and begins there is in order
        self.count = 0
        self.first: BackwardStep | None = None

    def look(self, columns: Columns, index: int) -> None:
        """Look at a part; `index` is that of its first record."""
        name = columns["name"]
        self._look(name.codes, columns["step"], index, lambda row: str(name[row]))

    def look_at(self, table: MetricTable) -> None:
        """Look at a whole log."""
        codes, names = table.name_codes, table.names
        self._look(codes, table.stored_steps, 0, lambda row: names[codes[row]])

    def forget(self) -> None:
        """From here on, other codes stand for the names."""
        self._last = None

    def _look(
        self,
        codes: NDArray[np.integer[Any]],
        steps: NDArray[np.integer[Any]],
        index: int,
        name_of: Callable[[int], str],
    ) -> None:
        which = self._rewind.rows_of(steps, index)
        rows = None if which is None else which.nonzero()[0]
        if rows is not None:
            codes, steps = codes[rows], steps[rows]
        if not len(codes):
            return
        last = self._last_of(codes)
        if int(steps[0]) < self._highest or (steps[1:] < steps[:-1]).any():
            before = _previous(codes, steps, last)
            wrong = (steps < before).nonzero()[0]
            self.count += len(wrong)
            if len(wrong) and self.first is None:
                at = int(wrong[0])
                row = at if rows is None else int(rows[at])
                places = index + row, name_of(row)
                self.first = BackwardStep(*places, int(before[at]), int(steps[at]))
        last[codes] = steps  # the last one of each stays
        self._highest = max(self._highest, int(steps.max()))

    def _last_of(self, codes: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """The last steps by code, with room for these codes."""
        import numpy as np

        size = int(codes.max()) + 1
        if self._last is None or len(self._last) < size:
            last = np.full(max(size, 2 * len(self._last) if self._last is not None else 0), -1)
            if self._last is not None:
                last[: len(self._last)] = self._last
            self._last = last
        return self._last


def _previous(
    codes: NDArray[np.integer[Any]], steps: NDArray[np.integer[Any]], last: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each record the step of the same metric's record before it; -1 if there is none."""
    import numpy as np

    before = np.empty(len(steps), np.int64)
    order = codes.argsort(kind="stable")
    before[order[1:]] = steps[order[:-1]]
    firsts = order[np.append(True, np.diff(codes[order]) != 0)]
    before[firsts] = last[codes[firsts]]
    return before
