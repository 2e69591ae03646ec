"""Wide tables of several experiments in one file: those of `export --wide`, and W&B's charts.

Guarantees: a file of `export --wide` gives the names, steps and times that were exported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import ForeignRun, Reading, Runs, check_name, shown
from expstore.exchange.sources.builder import renamed
from expstore.exchange.sources.grid import Grid, run_of
from expstore.exchange.sources.params import exported_info
from expstore.exchange.sources.texttable import TextTable
from expstore.exchange.wide import KEYS, RUN_COLUMNS, metric_name
from expstore.model.paramcolumns import PARAM
from expstore.model.texts import unescape

_FACTS = ("job_name", "user", "created", *RUN_COLUMNS)
_OF_RUN = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<bound>__MIN|__MAX)?")  # W&B's headers


def is_chart(header: list[str]) -> bool:
    """Whether a table is W&B's download of a chart: a column per run, and two with its bounds."""
    return any((match := _OF_RUN.fullmatch(name)) and match["bound"] for name in header)


def _is_fact(name: str) -> bool:
    """Whether a column of `export --wide` is of the experiment."""
    return name in _FACTS or name.startswith(PARAM)


def exported_runs(path: Path, table: TextTable, reading: Reading) -> Runs:
    """The experiments in a file of `export --wide`."""
    grids: dict[str, tuple[Grid, dict[str, Any]]] = {}
    place = {name: number for number, name in enumerate(table.header)}
    facts = [name for name in table.header if _is_fact(name)]
    names = [name for name in table.header if name not in (*KEYS, *facts)]
    columns = [place[name] for name in (*KEYS[1:], *names)]
    labels = [*KEYS[1:], *names]
    numbers: dict[str, list[int]] = {}  # of each experiment's rows, in the table
    for block in table.blocks():
        number = table.rows
        for commit_id, rows in _grouped(block):
            known = numbers.setdefault(commit_id, [])
            if commit_id not in grids:
                given = {fact: rows[0][place[fact]] for fact in facts}
                line = lambda row, known=known: table.place(known[row])  # noqa: E731
                grids[commit_id] = Grid(str(path), reading, line, exact=True), given
            known += range(number, number + len(rows))
            number += len(rows)
            cells = [[row[number] for number in columns] for row in rows]
            grids[commit_id][0].extend(labels, cells)
    yield from _all_exported(path, grids, reading)


def exported_objects(
    path: Path, objects: Iterable[tuple[str, dict[str, Any]]], reading: Reading
) -> Runs:
    """The experiments in JSON lines of `export --wide`, which come with their places."""
    grids: dict[str, tuple[Grid, dict[str, Any]]] = {}
    places: dict[str, list[str]] = {}
    for place, row in objects:
        commit_id = row.get("commit_id")
        if not isinstance(commit_id, str) or not all(type(row.get(key)) is int for key in KEYS[1:]):
            fault = "no text as commit_id, or no whole number as step or timestamp"
            reading.refuse(
                ImportSourceError(f"{path}: {place}: {fault}, as lines of `export --wide` have")
            )
            reading.left_out["lines without an id, step or time"] += 1
            continue
        if commit_id not in grids:
            given = {name: row[name] for name in row if _is_fact(name) and row[name] is not None}
            known = places.setdefault(commit_id, [])
            grids[commit_id] = Grid(str(path), reading, known.__getitem__, exact=True), given
        places[commit_id].append(place)
        others = [name for name in row if name != "commit_id" and not _is_fact(name)]
        grids[commit_id][0].add({name: row[name] for name in others})
    yield from _all_exported(path, grids, reading)


def _all_exported(
    path: Path, grids: dict[str, tuple[Grid, dict[str, Any]]], reading: Reading
) -> Runs:
    for commit_id, (grid, given) in grids.items():
        yield reading.attempt(
            commit_id,
            lambda c=commit_id, g=grid, v=given: _exported(path, c, g, v),  # type: ignore[misc]
        )


def _grouped(block: list[list[str]]) -> Iterator[tuple[str, list[list[str]]]]:
    first = 0
    for row in range(1, len(block) + 1):
        if row == len(block) or block[row][0] != block[first][0]:
            yield block[first][0], block[first:row]
            first = row


def _exported(path: Path, commit_id: str, grid: Grid, given: dict[str, Any]) -> ForeignRun:
    where = f"{path}: experiment {shown(commit_id, 80)!r}"
    try:
        created = int(str(given["created"])) if given.get("created") else None
    except ValueError:
        raise ImportSourceError(f"{where}: created {given['created']!r} is not a time") from None
    table = renamed(grid.table(0), metric_name)
    for name in table.names:
        check_name(where, name, ours=True)
    job_name, user = (unescape(str(given.get(column, ""))) for column in ("job_name", "user"))
    notes = tuple(grid.notes)
    return ForeignRun(
        unescape(commit_id),
        table,
        job_name,
        user,
        created,
        exported_info(given, table),
        grid.left_out,
        notes,
    )


def chart_runs(path: Path, table: TextTable, reading: Reading) -> Runs:
    """The runs in W&B's download of a chart; the columns of bounds are left out.

    The first column, which is of no run, has the steps, whatever the chart's axis is.
    """
    split = [_OF_RUN.fullmatch(name) for name in table.header]
    axis = next((name for name, match in zip(table.header, split, strict=True) if not match), None)
    grids = {
        name: Grid(str(path), reading, table.place, axis=axis)
        for name in dict.fromkeys(match["run"] for match in split if match)
    }
    for block in table.blocks():
        columns = list(zip(*block, strict=True))
        for name, grid in grids.items():
            chosen = [
                (match["metric"] if match else header, cells)
                for match, header, cells in zip(split, table.header, columns, strict=True)
                if (match["run"] == name and not match["bound"] if match else header == axis)
            ]
            rows = list(zip(*(cells for _, cells in chosen), strict=True))
            grid.extend([label for label, _ in chosen], rows)
    reading.left_out["columns of bounds (__MIN, __MAX)"] += sum(
        bool(match and match["bound"]) for match in split
    )
    for name, grid in grids.items():
        yield reading.attempt(name, lambda n=name, g=grid: run_of(g, n, path))  # type: ignore[misc]
