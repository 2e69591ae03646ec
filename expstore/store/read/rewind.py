"""Which records of a log are superseded, since the run was resumed from an earlier step.

Guarantees: the rule is that of formats/README.md: records before the `records` of a start, whose
step is its `from_step` or a later one. It goes by the place of a record in the log, which never
changes, so later appends, by whomever, are never superseded. Nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from expstore.model.runinfo import RunStart

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expstore.model.table import MetricTable


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

    def rows(self, table: MetricTable, first: int = 0) -> NDArray[np.bool_] | None:
        """For each metric of a table whether it counts; None: all do.

        Args:
            table: consecutive records of the log.
            first: the index of the first one.
        """
        import numpy as np

        which = None
        for records, step in self._rules:
            count = records - first
            if count > 0:
                which = np.ones(len(table), bool) if which is None else which
                which[:count] &= table.steps[:count] < step
        return which

    def current(self, table: MetricTable) -> MetricTable:
        """A whole log without what is superseded."""
        which = self.rows(table)
        return table if which is None or which.all() else table.take(which)
