"""Columns to bytes: the inverse of parsing columns, derived from the same declaration.

Guarantees: the bytes equal those of building one record after another. A value that its field
cannot hold raises `FieldValueError` with field and index, and nothing is returned.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.given import coded, named_columns, numbers, refuse, sequence
from formats.columns.wire import from_column, wire_type
from formats.errors import FieldValueError, FormatError
from formats.kinds.base import Constant
from formats.kinds.numbers import Enum, Flags, Number
from formats.schema import Field, Run, Schema

_ROWS = 1 << 14  # records built at a time; they fit in the cache
_WIDE = 1 << 10  # maximum width in bytes to which all texts may be padded

_SHOWN = 60  # characters of a value in a message
_PLAIN = {int, float}

Numbers = Mapping[str, NDArray[Any]]
Texts = tuple[NDArray[np.int64], list[bytes]]


def build_columns(declaration: Any, columns: Any) -> bytes:
    """The records whose fields are the columns' items, without the header if one is declared.

    Args:
        declaration: of the records; or its Schema.
        columns: by field name, all of the same length: what `parse_columns` returns, or lists,
            arrays, or columns of Arrow, pandas or polars; or a table of one of these. A text may
            also be a `TextColumn`, or a pair of codes and texts. Fields that have a value of their
            own, such as constants, may be omitted.

    Raises:
        FieldValueError: a column is missing or unknown, has the wrong type or length, or has a
            value that its field cannot hold.
        UnsupportedSchema: a field may be absent.
    """
    schema = Schema.of(declaration)
    schema.require_columns()
    given = named_columns(columns)
    for name in given:
        if name not in (field.name for field in schema if field.is_column):
            raise FieldValueError("is not declared", field=name)
    items: dict[str, NDArray[Any]] = {}
    texts: dict[str, Texts] = {}
    for field in schema:
        if field.name in given and field.is_variable:
            texts[field.name] = _texts(field, given[field.name])
        elif field.name in given:
            items[field.name] = _items(field, given[field.name])
        elif field.is_required:
            raise FieldValueError("is missing", field=field.name)
    lengths = {name: len(column) for name, column in items.items()}
    lengths |= {name: len(codes) for name, (codes, _) in texts.items()}
    count = next(iter(lengths.values()), 0)
    for name, length in lengths.items():
        if length != count:
            raise FieldValueError(f"has {length} items, but other columns have {count}", field=name)
    if not count:
        return b""
    pieces = [_Pieces(run, texts) for run in schema.runs]
    width = max(piece.width for piece in pieces)
    for piece in pieces:
        piece.lay_out(width if width <= _WIDE else 0)
    write = _scattered if width <= _WIDE else _joined
    # Returns its bytes without a copy, so memory outside the cache is passed over once.
    stream = io.BytesIO()
    for first in range(0, count, _ROWS):
        stream.write(write(pieces, items, slice(first, min(first + _ROWS, count))))
    return stream.getvalue()


class _Pieces:
    """A run combined with each of its texts, complete except for the numbers, which are blank."""

    def __init__(self, run: Run, texts: Mapping[str, Texts]) -> None:
        self.codes: NDArray[np.int64] | None = None
        self.values = [b""]
        if run.text is not None and run.text.name in texts:
            self.codes, self.values = texts[run.text.name]
        elif run.text is not None:
            self.values = [run.text.encode(None)]
        self.sizes = np.array([run.width + len(value) for value in self.values], np.int64)
        self.width = int(self.sizes.max())
        self.numbers: list[tuple[Field, int]] = []
        blanks: list[bytes] = []
        for field in run.fields:
            if not field.is_variable:
                self.numbers.append((field, sum(len(blank) for blank in blanks)))
                blank = bytes(field.width) if field.is_required else field.kind.build(field.written)
                blanks.append(blank)
        head = b"".join(blanks)
        self.heads = [head] * len(self.values)
        if run.text is not None:
            prefix = struct.Struct(run.text.format).pack
            self.heads = [head + prefix(len(value)) for value in self.values]

    def lay_out(self, width: int) -> None:
        """Put the pieces into a table of this width; width 0 leaves out the texts."""
        wide = width or len(self.heads[0])
        whole = zip(self.heads, self.values if width else [b""] * len(self.heads), strict=True)
        joined = b"".join((head + value).ljust(wide, b"\0") for head, value in whole)
        self.table = np.frombuffer(joined, f"V{wide}")

    def fill(self, numbers: Numbers, rows: slice) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """The pieces of these records with numbers filled in, and the codes of their texts."""
        count = rows.stop - rows.start
        codes = np.zeros(count, np.int64) if self.codes is None else self.codes[rows]
        filled = self.table[codes]
        for field, offset in self.numbers:
            if field.constant is None and field.name in numbers:
                dtype = wire_type(field.kind)
                target = np.ndarray(count, dtype, filled, offset, filled.strides)
                target[:] = numbers[field.name][rows]
        return filled, codes


def _scattered(pieces: list[_Pieces], numbers: Numbers, rows: slice) -> memoryview:
    """Records from padded pieces, each written over the padding of the one before."""
    parts = [piece.fill(numbers, rows) for piece in pieces]
    items = _in_turn([filled for filled, _ in parts])
    sizes = [piece.sizes[codes] for piece, (_, codes) in zip(pieces, parts, strict=True)]
    ends = _in_turn(sizes).cumsum()
    starts = np.append(0, ends[:-1])
    data = np.empty(int(ends[-1]) + items.itemsize, np.uint8)
    # NumPy assigns in index order, so later pieces overwrite earlier padding.
    np.ndarray(int(ends[-1]) + 1, items.dtype, data, 0, (1,))[starts] = items
    return data[: ends[-1]].data


def _in_turn(columns: list[NDArray[Any]]) -> NDArray[Any]:
    """The columns interleaved: all first items, then all second items, and so on."""
    return np.stack(columns, axis=1).ravel() if len(columns) > 1 else columns[0]


def _joined(pieces: list[_Pieces], numbers: Numbers, rows: slice) -> bytes:
    """Records with a text so long that padding the others to its length would not pay."""
    parts = [piece.fill(numbers, rows) for piece in pieces]
    columns = [
        [head + piece.values[code] for head, code in zip(filled.tolist(), codes, strict=True)]
        for piece, (filled, codes) in zip(pieces, parts, strict=True)
    ]
    return b"".join(part for record in zip(*columns, strict=True) for part in record)


def _items(field: Field, column: Any) -> NDArray[Any]:
    """A column of anything but texts, checked to fit its field; numbers may be of any type."""
    constant = field.constant
    kind = field.kind.kind if isinstance(field.kind, Constant) else field.kind
    if isinstance(kind, Number) and kind.is_raw:
        values = numbers(field, column)
        if constant is not None and values.size:
            refuse(field.name, values, values != constant, f"is not {constant}")
        return values
    is_labelled = isinstance(kind, Enum | Flags) and kind.number.is_raw
    if is_labelled and isinstance(column, np.ndarray) and column.dtype.kind in "iu":
        return numbers(field, column)
    return from_column(field, sequence(field.name, column))


def _texts(field: Field, column: Any) -> Texts:
    """Codes, and the texts as bytes, checked to fit their field."""
    codes, values = coded(field.name, column)
    if np.ma.is_masked(codes):
        refuse(field.name, codes.data, np.ma.getmaskarray(codes), "is masked")
    codes = np.asarray(codes)
    if codes.size == 0:
        return np.empty(0, np.int64), []
    if codes.ndim != 1 or codes.dtype.kind not in "iu":
        raise FieldValueError(f"expected integer codes, got {codes.dtype}", field=field.name)
    refuse(field.name, codes, (codes < 0) | (codes >= len(values)), "is not the code of any text")
    used = np.zeros(len(values), bool)
    used[codes] = True
    texts = [b""] * len(values)
    for code in np.flatnonzero(used).tolist():
        try:
            texts[code] = field.encode(values[code])
        except FormatError as error:
            raise error.at(index=int((codes == code).argmax())) from None
    return codes.astype(np.int64), texts
