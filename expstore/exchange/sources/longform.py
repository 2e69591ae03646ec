"""Tables in long form, a row per metric, as `export` writes them to CSV and JSON lines.

Columns, in any order: `name`, `value` and `step` are required. `timestamp` has seconds.
`commit_id` is needed only for more than one experiment. `job_name`, `user` and `created` are
optional. Names are taken as they are; only in an exported file, known by its first columns, are the
escapes of `texts.escape` undone.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import BAD, ForeignRun, Reading, Runs, check_name, shown
from expstore.exchange.sources.builder import MetricsBuilder
from expstore.exchange.sources.columns import number_of
from expstore.exchange.sources.files import modified
from expstore.exchange.sources.params import exported_info
from expstore.exchange.wide import RUN_COLUMNS
from expstore.model.paramcolumns import PARAM
from expstore.model.texts import unescape

REQUIRED = frozenset({"name", "value", "step"})
OURS = ("commit_id", "name", "value", "step", "timestamp")
"""What the columns of an exported file begin with."""

_OPTIONAL = ("commit_id", "timestamp", "job_name", "user", "created")
_POINT = REQUIRED | {"commit_id", "timestamp"}


def is_long(names: Iterable[str]) -> bool:
    """Whether columns of these names are the long form."""
    return set(names) >= REQUIRED


@dataclass
class _Run:
    """The rows of one experiment so far."""

    builder: MetricsBuilder
    facts: dict[str, Any]
    error: ImportSourceError | None = None
    names: dict[str, str] = field(default_factory=dict)


class LongReader:
    """Gathers the rows of a table in long form into runs.

    Args:
        path: the file.
        names: its columns.
        reading: how it is to be read.
    """

    def __init__(self, path: Path, names: Sequence[str], reading: Reading) -> None:
        self._path = path
        self._reading = reading
        self._columns = names
        self._ours = tuple(names[: len(OURS)]) == OURS
        self._stamp = None if "timestamp" in names else modified(path)
        self._runs: dict[str, _Run] = {}
        for name in names:
            of_run = name in RUN_COLUMNS or name.startswith(PARAM)
            if name not in REQUIRED and name not in _OPTIONAL and not of_run:
                reading.left_out[f"column {shown(name, 40)!r}"] += 1

    def add(self, cells: Mapping[str, Any], place: str) -> None:
        """Add one row; one that is bad keeps its run out, unless such values are skipped."""
        name = cells.get("commit_id")
        key = self._path.stem if name is None else str(name)
        run = self._runs.get(key)
        if run is None:
            builder = MetricsBuilder(str(self._path), self._reading.skip)
            facts = {name: cell for name, cell in cells.items() if name not in _POINT}
            run = self._runs[key] = _Run(builder, facts)
        if run.error is not None:
            return
        try:
            self._add(run, cells, place)
        except ImportSourceError as error:
            run.error = error

    def extend(self, rows: list[list[str]], place: Callable[[int], str]) -> None:
        """Add rows of a text table, with a cell for each column; most at once."""
        columns = dict(zip(self._columns, zip(*rows, strict=True), strict=True))
        ids = columns.get("commit_id", ())
        first = 0
        for row in range(1, len(rows) + 1):
            if row < len(rows) and (not ids or ids[row] == ids[first]):
                continue
            part = slice(first, row)
            if not self._extend({name: cells[part] for name, cells in columns.items()}):
                for number in range(first, row):
                    self.add(
                        {name: cells[number] for name, cells in columns.items()}, place(number)
                    )
            first = row

    def _extend(self, columns: dict[str, tuple[str, ...]]) -> bool:
        """Add rows of one run at once, if it has begun and nothing in them is odd."""
        run = self._runs.get(columns.get("commit_id", (self._path.stem,))[0])
        if run is None or run.error is not None:
            return run is not None
        try:
            names = [run.names[name] for name in columns["name"]]
            values = array("d", map(float, columns["value"]))
            steps = array("q", map(int, columns["step"]))
            times = (
                array("q", map(int, columns["timestamp"]))
                if self._stamp is None
                else array("q", [self._stamp]) * len(names)
            )
        except (KeyError, ValueError, OverflowError):
            return False
        if any("_" in "".join(columns[name]) for name in ("value", "step")):
            return False
        if not math.isfinite(sum(values)) and any(map(math.isinf, values)):
            return False
        return run.builder.extend(names, values, steps, times)

    def _add(self, run: _Run, cells: Mapping[str, Any], place: str) -> None:
        where = f"{self._path}: {place}"
        try:
            metric = str(cells.get("name") or "")
            name = run.names.get(metric)
            if name is None:
                name = unescape(metric) if self._ours else metric
                check_name(where, name, self._ours)
                run.names[metric] = name
            value = _number(where, cells.get("value"))
            step = _integer(where, "step", cells.get("step"))
            time = self._stamp
            if time is None:
                time = _integer(where, "timestamp", cells.get("timestamp"))
        except ImportSourceError as error:
            run.builder.refuse_unless_skipped(error)
            return
        run.builder.add_named(name, value, step, time, where)

    def runs(self) -> Runs:
        """The runs, in order of first appearance."""
        if not self._runs:
            raise ImportSourceError(f"{self._path}: has a header, but no rows")
        for name, run in self._runs.items():
            yield self._reading.attempt(
                name,
                lambda name=name, run=run: self._run(name, run),  # type: ignore[misc]
            )

    def _run(self, name: str, run: _Run) -> ForeignRun:
        if run.error is not None:
            raise run.error
        given = run.facts.get("created")
        where = f"{self._path}: experiment {shown(name, 80)!r}"
        created = None if given in (None, "") else _integer(where, "created", given)
        plain = unescape if self._ours else str
        job_name, user = (
            plain(str(run.facts.get(column) or "")) for column in ("job_name", "user")
        )
        table = run.builder.table()
        self._reading.advance(len(table))
        return ForeignRun(
            plain(name),
            table,
            job_name,
            user,
            created if self._stamp is None or created is not None else self._stamp,
            info=exported_info(run.facts, table),
            left_out=Counter({BAD: run.builder.bad} if run.builder.bad else {}),
            timed=self._stamp is None,
        )


def _number(where: str, cell: Any) -> float:
    try:
        if isinstance(cell, str):
            if "_" in cell:
                raise ValueError(cell)
            number = number_of(cell)
            if number is not None:
                return number
        if isinstance(cell, int | float) and not isinstance(cell, bool):
            return float(cell)
    except OverflowError:
        raise ImportSourceError(
            f"{where}: value {shown(str(cell), 40)!r} is too large for a float"
        ) from None
    except ValueError:
        pass
    raise ImportSourceError(f"{where}: value {shown(str(cell), 40)!r} is not a number")


def _integer(where: str, field_name: str, cell: Any) -> int:
    try:
        if isinstance(cell, str):
            if "_" in cell:
                raise ValueError(cell)
            return int(cell)
        if isinstance(cell, int) and not isinstance(cell, bool):
            return cell
        if isinstance(cell, float) and cell == int(cell):
            return int(cell)
    except (ValueError, OverflowError):
        pass
    try:
        if isinstance(cell, str) and float(cell) == int(float(cell)) and abs(float(cell)) < 2**53:
            return int(float(cell))
    except (ValueError, OverflowError):
        pass
    raise ImportSourceError(f"{where}: {field_name} {shown(str(cell), 40)!r} is not a whole number")
