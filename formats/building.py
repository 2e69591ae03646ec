"""Columns to bytes: the inverse of parsing columns, derived from the same declaration.

Guarantees: the bytes are those that building one record after another would give; a value that its
field cannot hold raises `FieldValueError` with field and index, and nothing is returned.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columntypes import TextColumn
from formats.errors import FieldValueError, UnsupportedSchema
from formats.fields import ENCODING, ERRORS
from formats.schema import Field, Run, Schema

_ROWS = 1 << 14  # records built at a time, so that they stay in cache
_WIDE = 1 << 10  # bytes of a text up to which all texts may be padded to the longest

Numbers = Mapping[str, NDArray[Any]]
Texts = tuple[NDArray[np.int64], list[bytes]]


def build_columns(schema: Schema, columns: Mapping[str, Any]) -> bytes:
    """The records whose fields are the columns' items.

    Args:
        columns: by field name, all of one length: an array of numbers; for a text a `TextColumn`,
            or codes and the texts they stand for. A constant may be left out.

    Raises:
        FieldValueError: a field is missing, unknown, of another kind or length, or has a value
            that it cannot hold.
    """
    for name in columns:
        if name not in (field.name for field in schema):
            raise FieldValueError("is not declared", field=name)
    numbers: dict[str, NDArray[Any]] = {}
    texts: dict[str, Texts] = {}
    for field in schema:
        if field.absent is not None:
            raise UnsupportedSchema("may be absent, which columns cannot say", field=field.name)
        if field.name in columns and field.is_text:
            texts[field.name] = _texts(field, columns[field.name])
        elif field.name in columns:
            numbers[field.name] = _numbers(field, columns[field.name])
        elif field.constant is None:
            raise FieldValueError("is missing", field=field.name)
    lengths = {name: len(column) for name, column in numbers.items()}
    lengths |= {name: len(codes) for name, (codes, _) in texts.items()}
    count = next(iter(lengths.values()), 0)
    for name, length in lengths.items():
        if length != count:
            raise FieldValueError(f"has {length} items where others have {count}", field=name)
    pieces = [_Pieces(run, texts) for run in schema.runs]
    width = max(piece.width for piece in pieces)
    blocks = [slice(first, min(first + _ROWS, count)) for first in range(0, count, _ROWS)]
    if width > _WIDE:
        return b"".join(_joined(pieces, numbers, rows) for rows in blocks)
    for piece in pieces:
        piece.pad(width)
    data = np.empty(sum(piece.total(count) for piece in pieces) + width, np.uint8)
    end = 0
    for rows in blocks:
        end = _scatter(pieces, numbers, rows, data, end)
    return data[:end].tobytes()


class _Pieces:
    """A run with each text that may follow it: whole but for the numbers, which are blank."""

    def __init__(self, run: Run, texts: Mapping[str, Texts]) -> None:
        codes, self.values = texts[run.text.name] if run.text else (None, [b""])
        self.codes = codes
        self.sizes = np.array([run.width + len(value) for value in self.values] or [0], np.int64)
        self.width = int(self.sizes.max())
        self.numbers: list[tuple[Field, int]] = []
        blanks = []
        for field in run.fields:
            if not field.is_text:
                self.numbers.append((field, sum(len(blank) for blank in blanks)))
                blanks.append(struct.pack(field.format, field.constant or 0))
        head = b"".join(blanks)
        prefix = struct.Struct(run.text.format).pack if run.text else lambda _: b""
        self.heads = [head + prefix(len(value)) for value in self.values]

        self.pad(0)

    def pad(self, width: int) -> None:
        """Lay the pieces out in a table of that width; without texts for width 0."""
        wide = width or max(map(len, self.heads), default=0)
        whole = zip(self.heads, self.values if width else [b""] * len(self.heads), strict=True)
        joined = b"".join((head + value).ljust(wide, b"\0") for head, value in whole)
        self.table = np.frombuffer(joined, f"V{wide}")

    def total(self, count: int) -> int:
        """Bytes of all records' pieces."""
        if self.codes is None:
            return count * self.width
        return int((np.bincount(self.codes, minlength=len(self.values)) * self.sizes).sum())

    def fill(self, numbers: Numbers, rows: slice) -> tuple[NDArray[np.void], NDArray[np.int64]]:
        """The pieces of these records with their numbers, and the codes of their texts."""
        count = rows.stop - rows.start
        codes = np.zeros(count, np.int64) if self.codes is None else self.codes[rows]
        filled = self.table[codes]
        for field, offset in self.numbers:
            if field.constant is None:
                target = np.ndarray(count, field.dtype, filled, offset, filled.strides)
                target[:] = numbers[field.name][rows]
        return filled, codes


def _scatter(
    pieces: list[_Pieces], numbers: Numbers, rows: slice, data: NDArray[np.uint8], begin: int
) -> int:
    """Write records to `data`, pieces padded and each over the padding of the one before."""
    parts = [piece.fill(numbers, rows) for piece in pieces]
    items = np.stack([filled for filled, _ in parts], axis=1).ravel()
    sizes = [piece.sizes[codes] for piece, (_, codes) in zip(pieces, parts, strict=True)]
    ends = begin + np.stack(sizes, axis=1).ravel().cumsum()
    starts = np.append(begin, ends[:-1])
    # NumPy assigns in the order of the index, so that what is written last stays.
    width = items.itemsize
    np.ndarray(data.size - width + 1, items.dtype, data, 0, (1,))[starts] = items
    return int(ends[-1])


def _joined(pieces: list[_Pieces], numbers: Numbers, rows: slice) -> bytes:
    """Records with texts too long to pad all others to their length."""
    parts = [piece.fill(numbers, rows) for piece in pieces]
    columns = [
        [head + piece.values[code] for head, code in zip(filled.tolist(), codes, strict=True)]
        for piece, (filled, codes) in zip(pieces, parts, strict=True)
    ]
    return b"".join(part for record in zip(*columns, strict=True) for part in record)


def _numbers(field: Field, column: Any) -> NDArray[Any]:
    """A column of numbers, each of which its field can hold."""
    values = np.asarray(column)
    if values.size == 0:
        return np.empty(0, field.dtype)
    if values.ndim != 1 or values.dtype.kind not in ("iuf" if field.is_float else "iu"):
        raise FieldValueError(
            f"expected one number of kind {field.type_name} a record, got {values.dtype}",
            field=field.name,
        )
    if field.constant is not None:
        _refuse(field, values, values != field.constant, f"is not {field.constant}")
    if field.is_float:
        with np.errstate(over="ignore"):
            narrow = values.astype(field.dtype)
        _refuse(field, values, np.isinf(narrow) & ~np.isinf(values), "is out of range")
        return narrow
    low, high = field.range
    if values.min() < low or values.max() > high:
        _refuse(field, values, (values < low) | (values > high), "is out of range")
    return values


def _texts(field: Field, column: Any) -> Texts:
    """Codes, and the texts as bytes, each of which its field can hold."""
    codes, values = (
        (column.codes, column.values) if isinstance(column, TextColumn) else column
    )
    codes = np.asarray(codes)
    if codes.size == 0:
        return np.empty(0, np.int64), []
    if codes.ndim != 1 or codes.dtype.kind not in "iu":
        raise FieldValueError(f"expected one code a record, got {codes.dtype}", field=field.name)
    _refuse(field, codes, (codes < 0) | (codes >= len(values)), "is no text's code")
    used = np.zeros(len(values), bool)
    used[codes] = True
    texts = [b""] * len(values)
    for code in np.flatnonzero(used).tolist():
        value = values[code]
        try:
            texts[code] = value.encode(ENCODING, ERRORS)
            wrong = f"is longer than {field.range[1]} bytes"
        except (UnicodeEncodeError, AttributeError) as error:
            wrong = f"is not a text: {error}"
        if not isinstance(value, str) or len(texts[code]) > field.range[1]:
            _refuse(field, codes, codes == code, wrong)
    return codes.astype(np.int64), texts


def _refuse(field: Field, values: NDArray[Any], wrong: NDArray[np.bool_], reason: str) -> None:
    """Raise for the first wrong value."""
    if wrong.any():
        index = int(wrong.argmax())
        raise FieldValueError(f"{values[index]} {reason}", field=field.name, index=index)
