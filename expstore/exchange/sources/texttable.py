"""CSV and TSV as rows of cells, whoever wrote them.

Guarantees: the delimiter is found in the header; a byte order mark, CRLF, spaces around headers,
comment lines at the top and empty lines are understood; every row has a cell for each header. A
last line without an end may be one that is still being written: if it lacks cells, it is left out
and counted; if it has them all, it is kept, and a note says that its last number may be cut.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import (
    BadValueError,
    EmptyTableError,
    brief,
    reading_file,
    shown,
)
from expstore.exchange.sources.files import opened_text
from expstore.exchange.sources.jsontext import loads
from expstore.exchange.wide import KEYS
from formats.errors import counted

_HEADER = 1 << 22  # characters of the header
_ROWS = 1 << 12  # in a block
UNENDED = "its last line has no end; if it was still being written, its last number may be cut"
"""What is noted of a table whose last row may not be whole."""

_UNNAMED = re.compile(r"column 1|Unnamed: 0(\.\d+)?")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_QUOTED = re.compile(r'"[^"]*"')
_DELIMITERS = "\t,;|"


class _Lines:
    """The lines of a file, none of them longer than a header may be.

    Attributes:
        ended: whether the last one read has an end.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(_HEADER)
        if not line:
            raise StopIteration
        self.ended = line[-1] in "\r\n"
        return line


@dataclass
class TextTable:
    """An open table.

    Attributes:
        path: the file.
        header: distinct names, without spaces around them.
        comment: what a JSON object in a comment at the top says, as Stable-Baselines writes it.
        delimiter: between cells.
        lines: the line of each row so far that does not follow from the row before.
        left_out: what was left out, by kind.
        notes: what else is to be said of it; complete after `blocks`.
    """

    path: Path
    header: list[str]
    comment: dict[str, Any]
    delimiter: str
    skip: bool
    _reader: Any
    _offset: int
    _lines: _Lines
    lines: list[tuple[int, int]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    rows: int = 0
    _first: int = 0

    def __post_init__(self) -> None:
        self._first = self._offset + self._reader.line_num + 1

    @property
    def unnamed(self) -> list[str]:
        """The columns that have only a number, or the name that pandas gives to one without."""
        return [name for name in self.header if _UNNAMED.fullmatch(name)]

    @property
    def comma(self) -> bool:
        """Whether numbers may have a decimal comma."""
        return self.delimiter == ";"

    def place(self, row: int) -> str:
        """The line of a row, for messages."""
        known = (0, self._first)
        for first, line in self.lines:
            if first > row:
                break
            known = first, line
        return f"line {known[1] + row - known[0]}"

    def blocks(self) -> Iterator[list[list[str]]]:
        """All rows, some thousands at a time.

        Raises:
            ImportSourceError: a row has too few or too many cells, unless these are skipped; or the
                text is not CSV.
        """
        block: list[list[str]] = []
        width, expected = len(self.header), self._first
        last: list[str] = []
        with reading_file(self.path):
            try:
                for cells in self._reader:
                    line = self._offset + self._reader.line_num
                    if len(cells) == width:
                        if cells[0] == self.header[0] and self._repeats_header(cells):
                            continue
                        if line != expected:
                            self.lines.append((self.rows + len(block), line))
                        expected = line + 1
                        block.append(cells)
                        if len(block) == _ROWS:
                            yield block
                            self.rows += _ROWS
                            block = []
                    elif cells:
                        if last:
                            self._refuse(last)
                        last = [str(line), *cells]
            except csv.Error as error:
                raise ImportSourceError(
                    f"{self.path}: line {self._offset + self._reader.line_num}: {brief(error)}"
                ) from error
        self._end(last)
        if block:
            yield block
            self.rows += len(block)

    def _end(self, last: list[str]) -> None:
        """Judge the last line, and the last row that has too few or too many cells, if any."""
        cut = not self._lines.ended
        if last and cut and int(last[0]) == self._offset + self._reader.line_num:
            self.left_out["unfinished last line"] += 1
            return
        if last:
            self._refuse(last)
        if cut:
            self.notes.append(UNENDED)

    def _repeats_header(self, cells: list[str]) -> bool:
        if [cell.strip() for cell in cells] != self.header:
            return False
        self.left_out["repeated header"] += 1
        return True

    def _refuse(self, row: list[str]) -> None:
        if not self.skip:
            raise BadValueError(
                f"{self.path}: line {row[0]}: {counted(len(row) - 1, 'cell')} where the header has "
                f"{len(self.header)}"
            )
        self.left_out["rows with too few or too many cells"] += 1


@contextmanager
def opened_table(path: Path, skip: bool = False) -> Iterator[TextTable]:
    """Open a CSV or TSV file.

    Raises:
        ImportSourceError: it cannot be read, has no header, or one that names no columns.
    """
    with opened_text(path) as file, reading_file(path):
        comment: dict[str, Any] = {}
        offset = 0  # lines before the header
        line = file.readline(_HEADER)
        while line and (line.startswith("#") or not line.strip()) and offset < 1000:
            comment |= _facts(line)
            offset += 1
            line = file.readline(_HEADER)
        if len(line) >= _HEADER:
            raise ImportSourceError(f"{path}: the header is longer than {_HEADER:,} characters")
        if not line.strip():
            raise EmptyTableError(f"{path}: empty: no header")
        delimiter = max(_DELIMITERS, key=_QUOTED.sub("", line).count)
        lines = _Lines(file)
        reader = csv.reader(chain([line], lines), delimiter=delimiter, strict=True)
        try:
            first = next(reader)
        except csv.Error as error:
            raise ImportSourceError(f"{path}: line {offset + 1}: {brief(error)}") from error
        header = first if is_exported(first) else _clean(first)
        _check_header(path, header)
        yield TextTable(path, header, comment, delimiter, skip, reader, offset, lines)


def _check_header(path: Path, header: list[str]) -> None:
    """Raise ImportSourceError if these are not the names of columns."""
    fault = ""
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if any("\0" in name for name in header) and not is_exported(header):
        fault = "not a text in UTF-8, nor in UTF-16 or UTF-32 with a byte order mark"
    elif repeated:
        fault = f"more than one column is named {shown(repeated[0], 40)!r}"
    elif all(map(_NUMBER.fullmatch, header)) and header != [*map(str, range(len(header)))]:
        fault = "its first line has numbers alone; add a line before it with the columns' names"
    if fault:
        raise ImportSourceError(f"{path}: {fault}")


def is_exported(header: list[str]) -> bool:
    """Whether a table is one of `export --wide`, whose names are exact."""
    return tuple(header[: len(KEYS)]) == KEYS


def _clean(header: list[str]) -> list[str]:
    """Headers without the spaces around them; one that is empty gets its number."""
    names = [name.strip() for name in header]
    return [name or f"column {number}" for number, name in enumerate(names, 1)]


def _facts(line: str) -> dict[str, Any]:
    try:
        found = loads(line.lstrip("#"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
