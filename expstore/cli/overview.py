"""The table with one row for each experiment: what tells them apart, and how good they are.

Guarantees: on a terminal nothing is cut that tells rows apart: where there is no room, columns are
left out, and named below, as is what is the same in all rows. In a pipe every column and row is
there, and ids are in full.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from expstore.cli.base import printable, tell
from expstore.cli.fitting import Candidate, fitted
from expstore.cli.render import console
from expstore.cli.shortids import ELLIPSIS, shown_ids
from expstore.cli.tables import Cell, Styled, fold, room, see_all, show, width_of
from expstore.compare.conditions import as_text
from expstore.errors import listed

if TYPE_CHECKING:
    from expstore.compare.groups import GroupSummary
    from expstore.compare.series import Extremes
    from expstore.model.values import Metadata

LONG = 1000
"""Characters of a value beyond which even a pipe gets it without its middle."""

_NARROWEST = 4  # characters that a column takes, with the gap before it
_NAMED = 8  # names of columns that are left out
_NAME = 48  # characters of each of these
_SAME = 20  # values that all rows have, such as a framework's settings
_WIDE = 24  # characters from which on a column waits for narrower ones
_UNKNOWN = "unknown"  # the status of what no run.json tells of
_COLOURS = {"running": "green", "failed": "red", "stopped": "yellow"}


class Shown(NamedTuple):
    """A metric and its statistic that have a column."""

    name: str
    aspect: str


class Row(NamedTuple):
    """What is shown of an experiment.

    Attributes:
        commit_id: its id.
        metadata: None if it cannot be read.
        status: how its run is.
        tags, params, metrics: see `compare.Summary`.
    """

    commit_id: str
    metadata: Metadata | None
    status: str
    tags: Sequence[str]
    params: Mapping[str, Any]
    metrics: Mapping[str, Extremes]


def metric_column(rows: Sequence[Row], shown: Shown, rank: int) -> Candidate:
    """A metric's values; of a minimum or maximum with its step, and the best in bold."""
    name, aspect = shown
    found = [row.metrics.get(name) for row in rows]
    values = [None if one is None else float(getattr(one, aspect)) for one in found]
    numbers = [value for value in values if value is not None and not math.isnan(value)]
    best = {"min": min, "max": max}.get(aspect)
    winner = best(numbers) if best and len(rows) > 1 and numbers else None
    texts = ["" if value is None else f"{value:.5g}" for value in values]
    steps = ["" for _ in found]
    if aspect != "last":
        steps = ["" if one is None else f" @ {getattr(one, f'{aspect}_step'):,}" for one in found]
        wide = max(map(len, steps), default=0)
        steps = [step.ljust(wide) for step in steps]
    cells: list[Cell] = [
        Styled(text + step, "bold") if value is not None and value == winner else text + step
        for text, step, value in zip(texts, steps, values, strict=True)
    ]
    title = f"{printable(name)}\n{aspect}"
    return Candidate(_column_name(shown), cells, rank, title, right=True)


def _column_name(shown: Shown) -> str:
    return f"{printable(shown.name)} {shown.aspect}"


def param_columns(rows: Sequence[Row], rank: int) -> tuple[list[Candidate], dict[str, str]]:
    """The parameters that differ, as columns; and those that do not, with their values."""
    columns, same = [], {}
    for name in dict.fromkeys(name for row in rows for name in row.params):
        values = [row.params.get(name) for row in rows]
        cells = param_cells(values)
        everywhere = all(name in row.params for row in rows)
        if everywhere and len(set(cells)) == 1:
            same[printable(name)] = cells[0]
            continue
        cells = abbreviated(cells)
        wide = max(map(width_of, cells)) > _WIDE
        number = all(value is None or is_number(value) for value in values)
        columns.append(Candidate(printable(name), cells, rank + wide, right=number))
    return columns, same


def param_cells(values: Sequence[Any]) -> list[str]:
    """Values as text: floats with six digits, unless more are needed to tell them apart."""
    exact = ["" if value is None else as_text(value) for value in values]
    brief = [
        f"{value:.6g}" if isinstance(value, float) else text
        for value, text in zip(values, exact, strict=True)
    ]
    return list(map(printable, exact if len(set(brief)) < len(set(exact)) else brief))


def is_number(value: Any) -> bool:
    """Whether it is a number, not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def abbreviated(cells: list[str], wide: int = _WIDE) -> list[str]:
    """Long texts without their middle, if that leaves different ones different.

    In a pipe, only those that nobody reads in a table.
    """
    short = [shortened(cell, wide if sys.stdout.isatty() else LONG) for cell in cells]
    return cells if len(set(short)) < len(set(cells)) else short


def fitting_names(names: list[str]) -> list[str]:
    """Names of a first column; on a terminal, long ones without their middle, as they differ.

    They take a third of the line, or as much more as tells them apart.
    """
    if (width := screen_width()) == sys.maxsize:
        return names
    for wide in range(max(width // 3, _WIDE), width, 8):
        short = [shortened(name, wide) for name in names]
        if len(set(short)) == len(set(names)):
            return short
    return names


def shortened(text: str, most: int = LONG) -> str:
    """A text of more characters than this without its middle."""
    half = most // 2
    return text if len(text) <= most else f"{text[: half - 1]}{ELLIPSIS}{text[-half:]}"


def text_column(
    name: str, rows: Sequence[Row], value: Callable[[Row], str], rank: int, style: str = ""
) -> tuple[list[Candidate], dict[str, str]]:
    """A column, if its texts differ; otherwise the text that all rows have."""
    cells = [printable(value(row)) for row in rows]
    if len(set(cells)) > 1:
        return [Candidate(name, abbreviated(cells), rank, style=style)], {}
    untold = ("", _UNKNOWN) if name == "status" else ("",)
    return [], {name: cells[0]} if cells and cells[0] not in untold else {}


def print_comparison(
    rows: Sequence[Row],
    asked: Sequence[Shown],
    others: Sequence[Shown],
    ids: Iterable[str],
    limit: int | None,
) -> None:
    """Print experiments with what tells them apart, and metrics.

    Args:
        rows: the experiments.
        asked: the metrics that were asked for.
        others: those that are shown where there is room.
        ids: all ids of the store, among which the short ones are unique.
        limit: rows that were asked for; None: as many as `tables.room` allows.
    """
    columns, same = [_id_column(rows, ids)], dict[str, str]()
    first = others[:1] if not asked else []
    for name, value, rank, style in (
        ("job", _job, 5, "dim"),
        ("status", lambda row: row.status, 4, ""),
        ("tags", lambda row: ", ".join(row.tags), 6, ""),
    ):
        found, alike = text_column(name, rows, value, rank, style)
        columns, same = columns + found, same | alike
    found, alike = param_columns(rows, 2)
    columns, same = columns + found, same | alike
    columns += [metric_column(rows, one, 1) for one in (*asked, *first)]
    # No more of a log of many metrics than may fit: each column costs time for each of its cells.
    likely = len(first) + screen_width() // _NARROWEST
    for one in others[len(first) : likely]:
        column = metric_column(rows, one, 7)
        texts = {cell if isinstance(cell, str) else cell.text for cell in column.cells}
        if len(rows) > 1 and len(texts) == 1:
            same[column.name] = texts.pop().strip()
        else:
            columns.append(column)
    left_out = [_column_name(one) for one in others[likely:]]
    print_fitted(columns, same, limit or room(), left_out)


def print_listing(
    rows: Sequence[Row],
    created: Sequence[str],
    ids: Iterable[str],
    *,
    params: bool,
    problems: Sequence[str],
    column: Candidate | None = None,
) -> None:
    """Print experiments with what `ls` says of them.

    Args:
        rows: the experiments.
        created: for each, when it was created.
        ids: see `print_comparison`.
        params: whether to show the parameters.
        column: one more, of what they are sorted by.
        problems: for each, what cannot be read; on a terminal this is printed below.
    """
    user = [printable(row.metadata.user) if row.metadata else "?" for row in rows]
    job = [printable(row.metadata.job_name) if row.metadata else "?" for row in rows]
    status = [Styled(row.status, _COLOURS.get(row.status, "")) for row in rows]
    tags = [printable(", ".join(row.tags)) for row in rows]
    columns = [
        _id_column(rows, ids),
        Candidate("created", created, 1),
        *([Candidate("status", status, 2)] if any(one.text != _UNKNOWN for one in status) else []),
        Candidate("job", abbreviated(job), 4),
        Candidate("user", abbreviated(user), 6),
        *([Candidate("tags", abbreviated(tags), 5)] if any(tags) else []),
        *([column] if column else []),
    ]
    piped = not sys.stdout.isatty()
    if piped and any(problems):
        columns.append(Candidate("problem", [printable(problem) for problem in problems], 8))
    same: dict[str, str] = {}
    if params:
        found, same = param_columns(rows, 3)
        columns += found
    print_fitted(columns, same, len(rows))
    for row, problem in zip(rows, problems, strict=True):
        if problem and not piped:
            print(printable(f"{row.commit_id}: {problem}"))


def print_groups(groups: Sequence[GroupSummary], shown: Sequence[Shown], limit: int | None) -> None:
    """Print groups with the mean and deviation of metrics."""
    columns = [
        Candidate(
            printable(name),
            abbreviated(param_cells([one.by[name] for one in groups])),
            0,
            right=all(is_number(one.by[name]) for one in groups),
        )
        for name in (groups[0].by if groups else ())
    ]
    columns.append(Candidate("runs", [f"{one.count:,}" for one in groups], 0, right=True))
    for rank, (name, aspect) in enumerate(shown, 1):
        cells = []
        for group in groups:
            metric = group.metrics.get(name)
            spread = None if metric is None else getattr(metric, aspect)
            text = "" if spread is None else f"{spread.mean:.4g}"
            if spread is not None and spread.count > 1:
                text += f" ± {spread.std:.2g}"
            cells.append(text)
        title = printable(name)
        columns.append(
            Candidate(f"{title} {aspect}", cells, rank, f"{title}\n{aspect}", right=True)
        )
    print_fitted(columns, {}, limit or room())


def print_fitted(
    columns: Sequence[Candidate],
    same: Mapping[str, str],
    most: int,
    left_out: Sequence[str] = (),
) -> None:
    """Print the columns that fit, and below what is left out, and what is the same in all rows.

    Args:
        columns: what may be shown.
        same: what all rows have, by name.
        most: rows to show.
        left_out: names of further columns, for which there is no room.
    """
    screen = console()
    count = len(columns[0].cells)
    columns = [one._replace(cells=one.cells[:most]) for one in columns]
    table, dropped = fitted(columns, screen_width())
    dropped += left_out
    show(screen, table)
    notes = []
    if same:
        notes.append(_in_all(same, count))
    if dropped:
        notes.append(f"no room for: {listed([shortened(name, _NAME) for name in dropped], _NAMED)}")
    for note in notes:
        for line in fold(note, screen.width):
            print(line)
    if count > most:
        tell(f"{count - most:,} more; {see_all(f'--limit {count}')}")


def _in_all(same: Mapping[str, str], count: int) -> str:
    """What all of so many rows have; on a terminal, what is not set only counts."""
    shortest = _brief if count > 1 else shortened
    most = _SAME if sys.stdout.isatty() else len(same)
    named = {name: text for name, text in same.items() if text or most == len(same)}
    told = [f"{name} {shortest(text)}" for name, text in islice(named.items(), most)]
    more = len(same) - len(told)
    return (
        ("all: " if count > 1 else "")
        + ", ".join(told)
        + (f" and {more} more; a pipe has them" if more else "")
    )


def screen_width() -> int:
    """The columns of the terminal; in a pipe there is no limit."""
    return console().width if sys.stdout.isatty() else sys.maxsize


def _id_column(rows: Sequence[Row], ids: Iterable[str]) -> Candidate:
    shown = shown_ids(ids, screen_width() // 2) if sys.stdout.isatty() else {}
    cells = [printable(shown.get(row.commit_id, row.commit_id)) for row in rows]
    return Candidate("experiment", cells, 0)


def _job(row: Row) -> str:
    return row.metadata.job_name if row.metadata else "?"


def _brief(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
