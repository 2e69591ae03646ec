"""JSON lines: an object per step or per metric, as detectron2, nanoGPT-like scripts and Ray write.

Objects below a step are flattened with `/`. Ray's `config` becomes the parameters. A last line
that is not whole is one that is still being written: it is left out and counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import (
    BadValueError,
    EmptyTableError,
    ForeignRun,
    Reading,
    Runs,
    brief,
    reading_file,
)
from expstore.exchange.sources.files import encoding_of, files_below, first_bytes, opened_text
from expstore.exchange.sources.grid import STEPS, Grid, run_of
from expstore.exchange.sources.longform import LongReader, is_long
from expstore.exchange.sources.params import typed
from expstore.exchange.sources.severalruns import exported_objects
from expstore.exchange.sources.texttable import is_exported

LINE = 1 << 24
"""The longest line that is read, in characters."""

_DEPTH = 8  # of objects in objects
_SUFFIXES = (".jsonl", ".ndjson")
_NAMES = ("metrics.json", "result.json", "scalars.json")


def recognise(path: Path) -> bool:
    """Whether it has JSON lines, or is a directory with files that are named so."""
    if path.is_dir():
        return bool(_files(path))
    return path.suffix in _SUFFIXES or _has_lines(path)


def _has_lines(path: Path) -> bool:
    start = first_bytes(path, 1 << 20)
    line, _, rest = start.decode(encoding_of(start), "replace").partition("\n")
    try:
        found = json.loads(line)
        if not isinstance(found, dict):
            return False
        # A single object may be anything, unless it has a step and a known name.
        alone = path.name in _NAMES and any(str(key).lower() in STEPS for key in found)
        return rest.lstrip()[:1] == "{" or (not rest.strip() and alone)
    except (ValueError, RecursionError):
        return False


def _files(path: Path) -> list[Path]:
    found = files_below(path, lambda name: name.endswith(_SUFFIXES) or name in _NAMES)
    return [file for file in found if file.suffix in _SUFFIXES or _has_lines(file)]


def runs(path: Path, reading: Reading) -> Runs:
    """The runs of a file, or of the files below a directory: each is one, unless it is long form.

    Raises:
        ImportSourceError: no such file.
    """
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise ImportSourceError(f"{path}: no JSON lines (.jsonl, metrics.json) found")
    for file in files:
        name = file.stem
        if path.is_dir():
            inner = file.relative_to(path)
            name = str(inner.with_suffix("") if file.suffix in _SUFFIXES else inner.parent)
            name = path.resolve().name if name == "." else name
        elif file.name in _NAMES:
            name = f"{file.resolve().parent.name}-{file.stem}"
        found = _runs_of_file(file, name, reading)
        yield from reading.spare(name, found) if path.is_dir() else found


def _runs_of_file(file: Path, name: str, reading: Reading) -> Runs:
    first = next(_objects(file, reading), None)
    if first is None:
        raise EmptyTableError(f"{file}: empty")
    if is_long(first[1]) and isinstance(first[1]["name"], str):
        reading.refuse_columns(file)
        gatherer = LongReader(file, list(first[1]), reading)
        for line, cells in _objects(file, reading):
            gatherer.add(cells, line)
        yield from gatherer.runs()
    elif is_exported(list(first[1])):
        reading.refuse_columns(file)
        rows = ((line, flat(cells)) for line, cells in _objects(file, reading))
        yield from exported_objects(file, rows, reading)
    else:
        yield reading.attempt(name, lambda: _read_run(file, name, reading))


def _read_run(file: Path, name: str, reading: Reading) -> ForeignRun:
    lines: list[int] = []
    grid = Grid(str(file), reading, lines.__getitem__)
    config: Any = {}
    for line, cells in _objects(file, reading):
        given = cells.pop("config", None)
        config = given if isinstance(given, dict) else config
        lines.append(line)
        grid.add(flat(cells))
    return run_of(grid, name, file, typed(config))


def flat(cells: dict[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Objects in objects under names with `/`; lists are texts."""
    found: dict[str, Any] = {}
    for key, value in cells.items():
        if isinstance(value, dict) and depth < _DEPTH:
            found |= flat(value, f"{prefix}{key}/", depth + 1)
        else:
            found[prefix + key] = value if isinstance(value, int | float | str | None) else "[...]"
    return found


def _has_bytes(line: str) -> bool:
    """Whether a line has bytes that are no characters."""
    return any("\udc80" <= character <= "\udcff" for character in line)


def _objects(file: Path, reading: Reading) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each object with its line, counted from 1."""
    with opened_text(file) as lines, reading_file(file):
        for number, line in enumerate(iter(lambda: lines.readline(LINE), ""), 1):
            if not line.strip():
                continue
            try:
                if not line.isascii() and _has_bytes(line):
                    raise ValueError("not UTF-8")
                found = json.loads(line)
                if not isinstance(found, dict):
                    raise ValueError("not an object")  # noqa: TRY004
            except (ValueError, RecursionError) as error:
                if not line.endswith("\n") and len(line) < LINE and number > 1:
                    reading.left_out["unfinished last line"] = 1
                    return
                if not reading.skip:
                    raise BadValueError(
                        f"{file}: line {number}: not a JSON object: {brief(error)}"
                    ) from error
                reading.left_out["lines that are not JSON"] += 1
                continue
            yield number, found
