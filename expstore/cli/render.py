"""The console, and the table of a prune's plan.

Guarantees: all text from files passes through `printable`; in a pipe a table has no colour and is
as wide as its content, so that nothing is truncated before `grep` sees it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from expstore import PruneRow
from expstore.cli.base import printable
from expstore.cli.tables import Column, Styled, Table
from expstore.cli.times import relative

if TYPE_CHECKING:
    from rich.console import Console


_PIPE_WIDTH = sys.maxsize
_COLOURS = {"prune": "red", "skip": "yellow", "keep": "green"}


def console() -> Console:
    """The console on stdout; in a pipe it never wraps or truncates."""
    from rich.console import Console

    piped = not sys.stdout.isatty()
    return Console(highlight=False, markup=False, emoji=False, width=_PIPE_WIDTH if piped else None)


def plan(
    rows: Iterable[PruneRow],
    logged: Mapping[str, float | None],
    now: float,
    verb: str = "prune",
) -> Table:
    """What a prune would do, and why.

    Args:
        rows: of the plan.
        logged: the time of each experiment's last metric, if known.
        now: the present time.
        verb: what is shown for `prune`.
    """
    job = Column("job", limit=_PIPE_WIDTH)  # cut where there is no room, so that a row is a line
    table = Table("action", "experiment", "created", "last logged", job, "user", "reason")
    for row in rows:
        known, active = row.metadata, logged[row.commit_id]
        table.add_row(
            Styled(verb if row.action == "prune" else row.action, _COLOURS[row.action]),
            printable(row.commit_id),
            relative(known.timestamp, now) if known else "?",
            "?" if active is None else relative(int(active), now),
            printable(known.job_name) if known else "?",
            printable(known.user) if known else "?",
            printable(row.reason),
        )
    return table
