"""Tables of experiments, of metrics and of a prune's plan, and the view of one experiment.

Guarantees: all text from files passes through `printable`; in a pipe a table has no colour and is
as wide as its content, so that nothing is truncated before `grep` sees it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from expstore import Metadata, MetricTable, PrunePlan
from expstore.cli.base import printable
from expstore.cli.tables import Column, Styled, Table, show
from expstore.cli.times import absolute, relative

if TYPE_CHECKING:
    from rich.console import Console

    from expstore.store.read.rewind import BackwardSteps

_PIPE_WIDTH = 10_000
_COLOURS = {"prune": "red", "skip": "yellow", "keep": "green"}


def console() -> Console:
    """The console on stdout; in a pipe it never wraps or truncates."""
    from rich.console import Console

    piped = not sys.stdout.isatty()
    return Console(highlight=False, markup=False, emoji=False, width=_PIPE_WIDTH if piped else None)


def experiments(rows: Iterable[tuple[str, Metadata | Exception]], now: float) -> Table:
    """Experiments with creation time, job and user; an unreadable one with its error."""
    table = Table("experiment", "created", "job", "user")
    for commit_id, metadata in rows:
        if isinstance(metadata, Metadata):
            table.add_row(
                printable(commit_id),
                relative(metadata.timestamp, now),
                printable(metadata.job_name),
                printable(metadata.user),
            )
        else:
            table.add_row(
                printable(commit_id), "?", Styled(printable(str(metadata)), "yellow"), "?"
            )
    return table


def plan(plan: PrunePlan, logged: Mapping[str, float | None], now: float) -> Table:
    """What a prune would do, and why; `logged` has the time of each one's last metric, if known."""
    job = Column("job", limit=_PIPE_WIDTH)  # cut where there is no room, so that a row is a line
    table = Table("action", "experiment", "created", "last logged", job, "user", "reason")
    for row in plan:
        known, active = row.metadata, logged[row.commit_id]
        table.add_row(
            Styled(row.action, _COLOURS[row.action]),
            printable(row.commit_id),
            relative(known.timestamp, now) if known else "?",
            "?" if active is None else relative(int(active), now),
            printable(known.job_name) if known else "?",
            printable(known.user) if known else "?",
            printable(row.reason),
        )
    return table


def metrics(points: MetricTable) -> Table:
    """Each metric's number of points, steps, values and sparkline."""
    from expstore.compare.series import extremes, split
    from expstore.compare.textplot import sparkline

    table = Table(
        "metric", ">points", ">steps", ">last", ">min", ">max", Column("course", limit=24)
    )
    for name, series in split(points).items():
        row = extremes(series)
        table.add_row(
            printable(name),
            f"{row.points:,}",
            f"{int(series.steps[0]):,} to {row.last_step:,}",
            number(row.last),
            number(row.min),
            number(row.max),
            sparkline(series.values, 24),
        )
    return table


def experiment(
    console: Console,
    commit_id: str,
    metadata: Metadata | Exception,
    points: MetricTable,
    logged: int | None = None,
    back: BackwardSteps | None = None,
) -> None:
    """Print one experiment: its metadata, or the error in reading it, and its metrics.

    Args:
        console: prints it.
        commit_id, metadata: of the experiment.
        points: its metrics, without superseded ones.
        logged: how many there are with those.
        back: where steps go back.
    """
    from rich.text import Text

    console.print(Text(printable(commit_id), style="bold"))
    if isinstance(metadata, Metadata):
        lines = _metadata(metadata)
        if metadata.commit_id != commit_id:
            lines.append(("commit_id", f"{printable(metadata.commit_id)} (according to the file)"))
    else:
        lines = [("metadata", printable(str(metadata)))]
    lines.append(("metrics", f"{len(points):,} points, file {points.status}"))
    if logged is not None and logged > len(points):
        lines.append(("left out", f"{logged - len(points):,} points superseded by a resume"))
    if back is not None and back.first is not None:
        record, name, before, step = back.first
        first = f"{printable(name)} from {before:,} to {step:,}, record {record:,}"
        lines.append(("note", f"steps go back {back.count:,} times; first {first}"))
    for label, text in lines:
        console.print(Text.assemble((f"  {label:<10}", "dim"), text))
    if len(points):
        console.print()
        show(console, metrics(points))


def _metadata(metadata: Metadata) -> list[tuple[str, str]]:
    """Metadata as labelled lines."""
    return [
        ("created", absolute(metadata.timestamp)),
        ("job", printable(metadata.job_name)),
        ("user", printable(metadata.user)),
    ]


def number(value: float) -> str:
    """A value with six significant digits."""
    return f"{value:.6g}"
