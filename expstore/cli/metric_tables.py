"""`compare --by-metric`: a table for each metric, with experiments as rows.

Guarantees: numbers are always whole; a narrow terminal cuts ids and jobs only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from expstore.cli.base import printable
from expstore.cli.render import console
from expstore.cli.tables import Column, Styled, Table, show_all
from formats.errors import counted

if TYPE_CHECKING:
    from expstore.compare.summaries import Summary

_NUMBERS_WIDTH = 57  # terminal columns: four numbers at their widest, and the gaps
_GAP = 3  # terminal columns between two table columns


def print_tables(summaries: Sequence[Summary]) -> None:
    """A table for each metric, with experiments as rows, so that it fits any terminal."""
    having: dict[str, list[Summary]] = {}
    for summary in summaries:
        for name in summary.metrics:
            having.setdefault(name, []).append(summary)
    screen = console()
    columns = _columns(screen.width)
    show_all(screen, (_table(name, rows, columns) for name, rows in having.items()))
    if not having:
        print(f"no metrics in {counted(len(summaries), 'experiment')}")


def _columns(width: int) -> list[Column]:
    """The columns of a metric's table; a narrow terminal cuts ids and jobs, never a number."""
    left = max(width - _NUMBERS_WIDTH, 3)
    with_job = left >= 20
    id_width = (left - _GAP) * 2 // 3 if with_job else left
    return [
        Column("experiment", limit=id_width),
        *([Column("job", limit=left - _GAP - id_width, style="dim")] if with_job else []),
        *(Column(title, right=True) for title in ("last", "min", "max")),
        Column("at step", right=True, style="dim"),
    ]


def _table(name: str, summaries: Sequence[Summary], columns: Sequence[Column]) -> Table:
    """One metric's values."""
    with_job = columns[1].title == "job"
    table = Table(*columns, title=printable(name), heading="dim")
    metrics = [summary.metrics[name] for summary in summaries]
    minimum = maximum = None
    if len(metrics) > 1:  # otherwise nothing stands out
        minimum = min((m.min for m in metrics if m.min == m.min), default=None)
        maximum = max((m.max for m in metrics if m.max == m.max), default=None)
    for summary, metric in zip(summaries, metrics, strict=True):
        job = printable(summary.metadata.job_name) if summary.metadata else ""
        table.add_row(
            printable(summary.commit_id),
            *([job] if with_job else []),
            f"{metric.last:.5g}",
            Styled(f"{metric.min:.5g}", "bold" if metric.min == minimum else ""),
            Styled(f"{metric.max:.5g}", "bold" if metric.max == maximum else ""),
            f"{metric.last_step:,}",
        )
    return table
