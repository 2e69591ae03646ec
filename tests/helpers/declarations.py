"""A declaration unlike those of the formats, and strategies and comparison for its values."""

from __future__ import annotations

import struct
from typing import Any

from construct import (
    Const,
    Float32b,
    Float64l,
    Int8sb,
    Int16ub,
    Int16ul,
    Int32sl,
    Int64ul,
    Struct,
)
from hypothesis import strategies as st

from formats import (
    LengthPrefixedText,
    Text,
)
from formats.schema import Field, Schema

# Two texts (one first, one in the middle), a wide length prefix, a constant, floats of both widths,
# and mixed byte orders: no field is at the same offset as in RECORD.
EVENT = Struct(
    "tag" / Text,
    "magic" / Const(0xBEEF, Int16ub),
    "count" / Int32sl,
    "note" / LengthPrefixedText(Int16ul),
    "ratio" / Float64l,
    "level" / Int8sb,
    "gain" / Float32b,
    "serial" / Int64ul,
)


def same(one: Any, other: Any) -> bool:
    """Bitwise equality: NaN equals itself, and 0.0 differs from -0.0."""
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    return bool(one == other)


def value_of(field: Field) -> st.SearchStrategy[Any]:
    """Any value that a field can hold; text may be any bytes."""
    if field.constant is not None:
        return st.just(field.constant)
    if field.is_text:
        longest = min(int(field.range[1]), 300)
        return st.binary(max_size=longest).map(lambda b: b.decode("utf-8", "surrogateescape"))
    if field.is_float:
        return st.floats(width=64 if field.width == 8 else 32)
    return st.integers(int(field.range[0]), int(field.range[1]))


def values_of(declaration: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Any values that a declaration can hold."""
    return st.fixed_dictionaries({f.name: value_of(f) for f in Schema.of(declaration)})
