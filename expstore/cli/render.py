"""The console, and the table of a prune's plan.

Guarantees: all text from files passes through `printable`; in a pipe a table has no colour and is
as wide as its content, so that nothing is truncated before `grep` sees it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from expstore import PruneRow
from expstore.cli.base import printable
from expstore.cli.tables import GAP, Column, Styled, Table, width_of
from expstore.cli.times import relative

if TYPE_CHECKING:
    from rich.console import Console


_PIPE_WIDTH = sys.maxsize
_REASON, _JOB = 22, 12  # columns that these keep at least
_COLOURS = {"prune": "red", "skip": "yellow", "keep": "green"}


def console() -> Console:
    """The console on stdout; in a pipe it never wraps or truncates."""
    from rich.console import Console

    piped = not sys.stdout.isatty()
    return Console(highlight=False, markup=False, emoji=False, width=_PIPE_WIDTH if piped else None)


def plan(
    plan: Sequence[PruneRow],
    logged: Mapping[str, float | None],
    now: float,
    verb: str = "prune",
    ids: Mapping[str, str] | None = None,
    width: int = _PIPE_WIDTH,
) -> tuple[Table, list[str]]:
    """What a prune would do, and why; and the names of columns for which there is no room.

    Args:
        plan: its rows.
        logged: the time of each experiment's last metric, if known.
        now: the present time.
        verb: what is shown for `prune`.
        ids: the ids as they are shown.
        width: columns of the terminal.
    """
    ids = ids or {}
    columns = [
        ("action", [verb if row.action == "prune" else row.action for row in plan]),
        ("experiment", [printable(ids.get(row.commit_id, row.commit_id)) for row in plan]),
        ("created", [relative(r.metadata.timestamp, now) if r.metadata else "?" for r in plan]),
        ("last logged", [_ago(logged[row.commit_id], now) for row in plan]),
        ("job", [printable(row.metadata.job_name) if row.metadata else "?" for row in plan]),
        ("user", [printable(row.metadata.user) if row.metadata else "?" for row in plan]),
        ("reason", [printable(row.reason) for row in plan]),
    ]
    # Where there is no room, whole columns go, the least telling first; the reason is folded.
    dropped: list[str] = []
    for name in ("user", "job", "last logged", "created"):
        if _needed(columns) > width:
            columns = [column for column in columns if column[0] != name]
            dropped.insert(0, name)
    # A job's name is cut, so that a row is a line.
    table = Table(
        *(
            Column(name, limit=_PIPE_WIDTH if name == "job" else 0, whole=name == "experiment")
            for name, _ in columns
        )
    )
    for row, cells in zip(plan, zip(*(cells for _, cells in columns), strict=True), strict=True):
        table.add_row(Styled(cells[0], _COLOURS[row.action]), *cells[1:])
    return table, dropped


def _needed(columns: list[tuple[str, list[str]]]) -> int:
    """The columns of the terminal that a plan takes, with a reason or job folded or cut."""
    limits = {"reason": _REASON, "job": _JOB}
    widths = (
        min(max(map(width_of, [name, *cells])), limits.get(name, _PIPE_WIDTH))
        for name, cells in columns
    )
    return sum(widths) + len(GAP) * (len(columns) - 1)


def _ago(timestamp: float | None, now: float) -> str:
    return "?" if timestamp is None else relative(int(timestamp), now)
