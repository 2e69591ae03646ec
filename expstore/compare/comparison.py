"""Lists of summaries that are also tables: for pandas, and for a notebook.

Guarantees: they are lists in every respect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from expstore.extras import require
from expstore.model.html import table
from expstore.model.texts import shown_time

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 50  # rows in a notebook
_COLUMNS = 14  # columns there


class HasRow(Protocol):
    """What can be a row of a table."""

    def row(self) -> dict[str, Any]:
        """Its values by the names of columns."""


Row = TypeVar("Row", bound=HasRow)


class Comparison(list[Row]):
    """A list of summaries, or of groups of them.

    Attributes:
        unread: by commit id, why its metrics could not be read; of experiments that are therefore
            left out by a condition, or come last and are beyond the limit, or add nothing to their
            group.
    """

    def __init__(self, rows: Iterable[Row] = (), unread: Mapping[str, str] | None = None) -> None:
        super().__init__(rows)
        self.unread = dict(unread or {})

    def to_pandas(self) -> pd.DataFrame:
        """One row for each, in this order.

        Returns:
            Of summaries: `commit_id`, `job`, `user`, `created` (Unix seconds), `status`, `duration`
            (seconds), `tags`, `notes`; each parameter as `param.NAME`; and each metric as
            `metric.NAME:last`, `:last_step`, `:min`, `:min_step`, `:max`, `:max_step`. What a row
            does not have is missing there. See `GroupSummary.row` for groups.

        Raises:
            MissingExtraError: the extra `pandas` is not installed.
        """
        pandas = require("pandas", "pandas")
        rows = [one.row() for one in self]
        columns = dict.fromkeys(name for row in rows for name in row)
        frame: pd.DataFrame = pandas.DataFrame(rows, columns=list(columns))
        return frame

    def _repr_html_(self) -> str:
        rows = [one.row() for one in self[:_SHOWN]]
        columns = [
            name
            for name in dict.fromkeys(name for row in rows for name in row)
            if not name.endswith("_step") and any(row.get(name) not in (None, "") for row in rows)
        ]
        shown, left = columns[:_COLUMNS], len(columns) - _COLUMNS
        notes = [f"{len(self):,} rows"]
        if len(self) > _SHOWN:
            notes.append(f"the first {_SHOWN} are shown")
        if left > 0:
            notes.append(f"{left} more columns; to_pandas() has all")
        for row in rows:
            if row.get("created") is not None:
                row["created"] = shown_time(row["created"])
        return table(shown, [[row.get(name) for name in shown] for row in rows], "; ".join(notes))
