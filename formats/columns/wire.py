"""Kinds of values as NumPy types, and their bytes as columns and back.

Guarantees: a column has the values that `construct` reads, with three exceptions that keep more:
labelled integers (Enum, FlagsEnum) are their integers, a float keeps its bits, and bytes of a fixed
size are items of a void type, since NumPy's `S` would drop trailing NULs.

| kind                    | column                                     |
|-------------------------|--------------------------------------------|
| number                  | the number, in native byte order           |
| integer of 3 to 7 bytes | the next wider integer                     |
| Flag                    | bool                                       |
| Enum, FlagsEnum         | the integer                                |
| Bytes                   | void: `tolist()` and `bytes(item)`         |
| text of fixed size      | object: `str`                              |
| Array                   | one more dimension                         |
| Struct                  | a structured type with a field for a part  |
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.errors import FieldValueError, FormatError
from formats.kinds.base import Checked, Kind, RawBytes
from formats.kinds.composed import Array, Group
from formats.kinds.numbers import Enum, Flag, Flags, Number
from formats.kinds.texts import SizedText
from formats.schema import Field, named

Rows = NDArray[np.uint8]
"""One row of bytes for each record."""


def wire_type(kind: Kind) -> np.dtype[Any]:
    """The bytes of a kind as one item of a flat array."""
    described = kind.dtype
    return np.dtype(described if isinstance(described, str) else f"V{kind.width}")


def column_type(kind: Kind) -> np.dtype[Any]:
    """The type of a kind's column."""
    kind = _plain(kind)
    if isinstance(kind, Array):
        item = column_type(kind.item)
        # In one, as NumPy has it in an array: an array of arrays has more dimensions.
        return np.dtype((item.base, (kind.count, *item.shape)))
    if isinstance(kind, Group):
        parts = (part for part in kind.parts if part.name and part.kind.has_value)
        return np.dtype([(part.name, column_type(part.kind)) for part in parts])
    if isinstance(kind, SizedText):
        return np.dtype(object)
    if isinstance(kind, Flag):
        return np.dtype(bool)
    if isinstance(kind, Number) and not kind.is_raw:
        return np.dtype(f"{'i' if kind.is_signed else 'u'}{4 if kind.width < 4 else 8}")
    return wire_type(kind).newbyteorder("=")


def _plain(kind: Kind) -> Kind:
    """The kind without its checks and labels."""
    while isinstance(kind, Checked | Enum | Flags):
        kind = kind.kind if isinstance(kind, Checked) else kind.number
    return kind


def is_direct(kind: Kind) -> bool:
    """Whether NumPy converts the bytes by itself, in an assignment to the column."""
    kind = _plain(kind)
    return isinstance(kind, RawBytes) or (isinstance(kind, Number) and kind.is_raw)


def to_column(kind: Kind, wire: NDArray[Any]) -> NDArray[Any]:
    """The column's items, from a flat array of the wire type."""
    return wire if is_direct(kind) else _read(kind, rows_of(wire))


def rows_of(wire: NDArray[Any]) -> Rows:
    """The bytes of each item of a flat array."""
    return np.ascontiguousarray(wire).view(np.uint8).reshape(len(wire), wire.itemsize)


def _read(kind: Kind, rows: Rows) -> NDArray[Any]:
    kind = _plain(kind)
    if isinstance(kind, Array):
        items = _read(kind.item, np.ascontiguousarray(rows).reshape(-1, kind.item.width))
        shaped: NDArray[Any] = items.reshape(len(rows), kind.count, *items.shape[1:])
        return shaped
    if isinstance(kind, Group):
        whole, start = np.empty(len(rows), column_type(kind)), 0
        for part in kind.parts:
            end = start + part.kind.width
            if part.name and part.kind.has_value:
                whole[part.name] = _read(part.kind, rows[:, start:end])
            start = end
        return whole
    if isinstance(kind, Flag):
        is_set: NDArray[np.bool_] = rows[:, 0] != 0
        return is_set
    if isinstance(kind, Number) and not kind.is_raw:
        return _integers(kind, rows)
    wire = np.ascontiguousarray(rows).view(f"V{kind.width}")[:, 0]
    if isinstance(kind, SizedText):
        known: dict[bytes, str] = {}
        texts = np.empty(len(rows), object)
        texts[:] = [
            known[raw] if raw in known else known.setdefault(raw, kind.parse(raw))
            for raw in wire.tolist()
        ]
        return texts
    return wire.view(wire_type(kind)) if wire.size else np.empty(0, column_type(kind))


def _integers(kind: Number, rows: Rows) -> NDArray[Any]:
    """Integers of a width that NumPy does not have, put at the high end of one that it has."""
    dtype = column_type(kind)
    wide = np.zeros((len(rows), dtype.itemsize), np.uint8)
    # In big-endian order the number is the high bytes; shifting down again keeps the sign.
    wide[:, : kind.width] = rows if kind.order == ">" else rows[:, ::-1]
    numbers = wide.view(dtype.newbyteorder(">"))[:, 0].astype(dtype)
    shifted: NDArray[Any] = numbers >> (8 * (dtype.itemsize - kind.width))
    return shifted


def zeros(kind: Kind, column: NDArray[Any]) -> NDArray[np.bool_]:
    """Which items of a column were read from zero bytes only, as far as the column shows."""
    kind = _plain(kind)
    if isinstance(kind, Array):
        flat = column.reshape(-1, *column.shape[2:])
        return _all(zeros(kind.item, flat).reshape(-1, kind.count))
    if isinstance(kind, Group):
        parts = (part for part in kind.parts if part.name and part.kind.has_value)
        return _all(np.stack([zeros(part.kind, column[part.name]) for part in parts], axis=1))
    if isinstance(kind, SizedText):
        return np.array([text == "" for text in column.tolist()], np.bool_)
    if isinstance(kind, RawBytes):
        return _all(rows_of(column) == 0)
    # Compare bits, not values: -0.0 is not all zero bits.
    bits = column.view(f"u{column.itemsize}")
    return np.asarray(bits == 0, np.bool_)


def _all(rows: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which rows are true in every item."""
    return np.asarray(rows.all(axis=1), np.bool_)


def refused(field: Field, wire: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of the items hold bytes that the field refuses."""
    constant = field.constant
    if constant is not None and field.kind.is_raw:
        if isinstance(constant, bytes):
            return ~_all(rows_of(wire) == np.frombuffer(constant, np.uint8))
        # Compare as Python does: a constant 0.1 equals no 32-bit float.
        wrong: NDArray[np.bool_] = (wire.astype(np.float64) if field.is_float else wire) != constant
        return wrong
    known: dict[bytes, bool] = {}
    kind, items = field.kind, rows_of(wire).view(f"V{field.width}")[:, 0].tolist()
    return np.array(
        [
            known[raw] if raw in known else known.setdefault(raw, _refuses(kind, raw))
            for raw in items
        ],
        np.bool_,
    )


def _refuses(kind: Kind, raw: bytes) -> bool:
    try:
        kind.parse(raw)
    except FormatError:
        return True
    return False


def refusal(field: Field, item: NDArray[Any], offset: int, index: int) -> FormatError:
    """The error of refused bytes, the same as that of parsing the record alone."""
    try:
        field.kind.parse(item.tobytes())
    except FormatError as error:
        named(field.name, error).offset = offset
        return error.at(index=index)
    raise AssertionError(f"{field.name} was refused at byte {offset}, but is valid")


def _names_of(dtype: np.dtype[Any]) -> Any:
    """The names of a structured dtype, with those of its parts."""
    base = dtype.base
    return base.names and [(name, _names_of(base[name])) for name in base.names]


def from_column(field: Field, column: Any) -> NDArray[Any]:
    """The wire items of a column that NumPy does not convert by itself, all of them checked."""
    item, column_dtype = field.kind, column_type(field.kind)
    while isinstance(item, Array):
        item = item.item
    if isinstance(column, np.ndarray):
        if np.ma.is_masked(column):
            raise FieldValueError("has masked items", field=field.name)
        if column.dtype.names and _names_of(column.dtype) != _names_of(column_dtype):
            raise FieldValueError(
                f"has the parts {', '.join(column.dtype.names)}; expected those of the "
                "declaration, in its order",
                field=field.name,
            )
        exact = column.dtype == column_dtype.base and column.shape[1:] == column_dtype.shape
        if exact and isinstance(item, Number) and item.is_raw:
            # Through Python, a signalling NaN of 32 bits would become a quiet one.
            wire = np.ascontiguousarray(column.astype(item.dtype))
            return wire.reshape(-1).view(wire_type(field.kind))
        column = column.tolist()
    data = []
    for index, value in enumerate(column):
        try:
            data.append(field.kind.build(value))
        except FormatError as error:
            raise named(field.name, error).at(index=index) from None
    return np.frombuffer(b"".join(data), wire_type(field.kind))
