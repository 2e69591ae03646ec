"""JSON lines: an object per step or per metric, as detectron2, nanoGPT-like scripts and Ray write.

A JSON document that is an array of such objects is read likewise. Objects below a step are
flattened with `/`. Ray's `config` becomes the parameters. A last line that is not whole is one that
is still being written: it is left out and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import (
    EmptyTableError,
    ForeignRun,
    Reading,
    Runs,
    brief,
    reading_file,
)
from expstore.exchange.sources.files import (
    bare,
    encoding_of,
    files_below,
    first_unpacked,
    opened_text,
    read_document,
)
from expstore.exchange.sources.grid import Grid, run_of
from expstore.exchange.sources.headers import STEPS
from expstore.exchange.sources.jsontext import DECODER
from expstore.exchange.sources.longform import LongReader, is_long
from expstore.exchange.sources.params import typed
from expstore.exchange.sources.severalruns import exported_objects
from expstore.exchange.sources.texttable import is_exported

LINE = 1 << 24
"""The longest line that is read, in characters."""

_SPACE = re.compile(r"\s*")
_NEXT = re.compile(r"\s*(?:,\s*)?")  # between the elements of an array
_DEPTH = 8  # of objects in objects
_SUFFIXES = (".jsonl", ".ndjson")
_NAMES = ("metrics.json", "result.json", "scalars.json")


def recognise(path: Path) -> bool:
    """Whether it has JSON lines, or is a directory with files that are named so."""
    if path.is_dir():
        return bool(_files(path))
    return bare(path).suffix in _SUFFIXES or _has_objects(path)


def _has_objects(path: Path) -> bool:
    """Whether a file that may have any name has objects of steps."""
    start = first_unpacked(path, 1 << 20)
    text = start.decode(encoding_of(start), "replace").lstrip()
    array = text.startswith("[")
    text = text[1:].lstrip() if array else text
    try:
        if not text.startswith("{"):
            return False
        found, end = DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return False
    # A single object, or an array of some, may be anything, unless they have steps.
    with_steps = any(key.lower() in STEPS for key in found)
    if array:
        return with_steps
    rest = text[end:].lstrip()
    alone = not rest and with_steps and bare(path).name in _NAMES
    return "\n" not in text[:end] and (alone or rest[:1] == "{")


def _files(path: Path) -> list[Path]:
    found = files_below(path, lambda name: name.removesuffix(".gz").endswith(_SUFFIXES + _NAMES))
    return [
        file
        for file in found
        if bare(file).suffix in _SUFFIXES or (bare(file).name in _NAMES and _has_objects(file))
    ]


def runs(path: Path, reading: Reading) -> Runs:
    """The runs of a file, or of the files below a directory: each is one, unless it is long form.

    Raises:
        ImportSourceError: no such file.
    """
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise ImportSourceError(f"{path}: no JSON lines (.jsonl, metrics.json) found")
    for file in files:
        plain = bare(file)
        name = plain.stem
        if path.is_dir():
            inner = plain.relative_to(path)
            name = str(inner.with_suffix("") if plain.suffix in _SUFFIXES else inner.parent)
            name = path.resolve().name if name == "." else name
        elif plain.name in _NAMES:
            name = f"{file.resolve().parent.name}-{plain.stem}"
        found = _runs_of_file(file, name, reading)
        yield from reading.spare(name, found) if path.is_dir() else found


def _runs_of_file(file: Path, name: str, reading: Reading) -> Runs:
    objects = _Objects(file, reading)
    first = next(iter(objects), None)
    if first is None:
        raise EmptyTableError(f"{file}: empty")
    rows = chain([first], objects)
    if is_long(first[1]) and isinstance(first[1]["name"], str):
        reading.refuse_columns(file)
        gatherer = LongReader(file, list(first[1]), reading)
        for number, cells in rows:
            gatherer.add(cells, objects.place(number))
        yield from gatherer.runs()
    elif is_exported(list(first[1])):
        reading.refuse_columns(file)
        places = ((objects.place(number), flat(cells)) for number, cells in rows)
        yield from exported_objects(file, places, reading)
    else:
        yield reading.attempt(name, lambda: _read_run(file, name, objects, rows, reading))


def _read_run(
    file: Path,
    name: str,
    objects: _Objects,
    rows: Iterable[tuple[int, dict[str, Any]]],
    reading: Reading,
) -> ForeignRun:
    numbers: list[int] = []
    grid = Grid(str(file), reading, lambda row: objects.place(numbers[row]))
    config: Any = {}
    for number, cells in rows:
        given = cells.pop("config", None)
        config = given if isinstance(given, dict) else config
        numbers.append(number)
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


class _Objects:
    """The objects of a file, each with its line or, in an array, its number, from 1; read once."""

    def __init__(self, file: Path, reading: Reading) -> None:
        start = first_unpacked(file)
        self._file = file
        self._reading = reading
        self._array = start.decode(encoding_of(start), "replace").lstrip().startswith("[")
        self._rows = self._elements() if self._array else self._lines()

    def __iter__(self) -> Iterator[tuple[int, dict[str, Any]]]:
        return self._rows

    def place(self, number: int) -> str:
        """What messages call the place of an object."""
        return f"{'object' if self._array else 'line'} {number}"

    def _elements(self) -> Iterator[tuple[int, dict[str, Any]]]:
        data = read_document(self._file)
        with reading_file(self._file):
            text = data.decode(encoding_of(data))
            position = _SPACE.match(text, text.index("[") + 1).end()  # type: ignore[union-attr]
            number = 0
            while text[position : position + 1] != "]":
                number += 1
                try:
                    found, position = DECODER.raw_decode(text, position)
                except (ValueError, RecursionError) as error:
                    raise ImportSourceError(
                        f"{self._file}: object {number}: not JSON: {brief(error)}"
                    ) from error
                position = _NEXT.match(text, position).end()  # type: ignore[union-attr]
                if isinstance(found, dict):
                    yield number, found
                else:
                    self._refuse(number, "not an object")

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        with opened_text(self._file) as lines, reading_file(self._file):
            for number, line in enumerate(iter(lambda: lines.readline(LINE), ""), 1):
                if not line.strip():
                    continue
                try:
                    if not line.isascii() and _has_bytes(line):
                        raise ValueError("not UTF-8")
                    found = DECODER.decode(line)
                    if not isinstance(found, dict):
                        raise ValueError("not an object")  # noqa: TRY004
                except (ValueError, RecursionError) as error:
                    if not line.endswith("\n") and len(line) < LINE and number > 1:
                        self._reading.left_out["unfinished last line"] = 1
                        return
                    self._refuse(number, brief(error))
                    continue
                yield number, found

    def _refuse(self, number: int, fault: str) -> None:
        self._reading.refuse(
            ImportSourceError(f"{self._file}: {self.place(number)}: not a JSON object: {fault}")
        )
        self._reading.left_out[f"{'objects' if self._array else 'lines'} that are not JSON"] += 1
