"""A declaration as a list of fields, read from `construct`'s classes.

Guarantees: `Schema.of` lists a Struct's fields in order, by walking its subcons, or raises
`UnsupportedSchema` naming the field it cannot express. Every derived part (scalar codec, columns,
Kaitai schema, specification table) is built from this list alone.

The list is split into *runs*: fixed-width fields up to and including the length prefix of the next
text. Within a run every offset is known; a text of variable length can only come at its end.
"""

from __future__ import annotations

import keyword
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from construct import Const, FormatField, GreedyRange, Renamed, Struct

from formats.errors import UnsupportedSchema
from formats.fields import AbsentAtEnd, LengthPrefixedText, Version

_BYTE_ORDERS = {">": "big-endian", "<": "little-endian"}


@dataclass(frozen=True)
class Field:
    """One declared field.

    Attributes:
        name, doc: as declared.
        format: `struct` format, with byte order, of the number or of a text's length prefix.
        is_text: whether the field is a length prefix, then that many bytes of UTF-8.
        constant: the only value allowed, or None.
        is_version: whether `constant` is the format's version.
        default: the value if the data ends before the field; None if the field is required.
    """

    name: str
    doc: str
    format: str
    is_text: bool = False
    constant: int | float | None = None
    is_version: bool = False
    default: Any = None

    @property
    def code(self) -> str:
        """The `struct` format character."""
        return self.format[-1]

    @property
    def order(self) -> str:
        """`>` or `<`; one-byte fields count as big-endian."""
        return self.format[0]

    @cached_property
    def width(self) -> int:
        """Size of the fixed-width part in bytes."""
        return struct.calcsize(self.format)

    @property
    def length_name(self) -> str:
        """The name of a text's length prefix, where it needs one."""
        return f"len_{self.name}"

    @property
    def is_float(self) -> bool:
        """Whether the field is an IEEE 754 number, not an integer or a text."""
        return self.code in "efd"

    @property
    def is_signed(self) -> bool:
        """Whether the number may be negative."""
        return self.is_float or self.code.islower()

    @property
    def dtype(self) -> str:
        """The fixed-width part as a NumPy dtype string, such as `>i8`."""
        kind = "f" if self.is_float else "i" if self.is_signed else "u"
        return f"{self.order}{kind}{self.width}"

    @property
    def range(self) -> tuple[int | float, int | float]:
        """Minimum and maximum value; for a text, of its length in bytes."""
        if self.is_float:
            return -math.inf, math.inf
        bits = 8 * self.width
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if self.is_signed else (0, (1 << bits) - 1)

    @property
    def type_name(self) -> str:
        """The type's name in the specification: `u8`, `i64`, `f64`, `text`."""
        kind = "f" if self.is_float else "i" if self.is_signed else "u"
        number = f"{kind}{8 * self.width}"
        if self.width > 1 and self.order == "<":
            number += "le"
        if not self.is_text:
            return number
        return "text" if number == "u8" else f"text[{number}]"


@dataclass(frozen=True)
class Run:
    """Consecutive fixed-width fields of one byte order; the last may be a text's length prefix."""

    fields: tuple[Field, ...]

    @property
    def format(self) -> str:
        """The `struct` format of the whole run."""
        return self.fields[0].order + "".join(field.code for field in self.fields)

    @cached_property
    def width(self) -> int:
        """Size of the run in bytes, without the text."""
        return struct.calcsize(self.format)

    @property
    def text(self) -> Field | None:
        """The text that follows the run, or None at the end of the declaration."""
        return self.fields[-1] if self.fields[-1].is_text else None


@dataclass(frozen=True)
class Schema:
    """A declaration as a list of fields.

    Attributes:
        fields: in the order of their bytes.
        is_sequence: whether values repeat to the end of the data (`GreedyRange`).
    """

    fields: tuple[Field, ...]
    is_sequence: bool = False

    @classmethod
    def of(cls, declaration: Any) -> Schema:
        """Read a Struct, or the Struct inside a GreedyRange.

        Raises:
            UnsupportedSchema: the declaration is neither, or has a field that cannot be expressed.
        """
        declaration = _unnamed(declaration)
        is_sequence = isinstance(declaration, GreedyRange)
        if is_sequence:
            declaration = _unnamed(declaration.subcon)
        if not isinstance(declaration, Struct):
            raise UnsupportedSchema(f"{type(declaration).__name__} is not a Struct")
        fields = tuple(_field(subcon) for subcon in declaration.subcons)
        if not fields:
            raise UnsupportedSchema("a Struct without fields takes no bytes")
        for position, field in enumerate(fields):
            if field.name in (earlier.name for earlier in fields[:position]):
                raise UnsupportedSchema("declared twice", field=field.name)
            if field.name in (text.length_name for text in fields if text.is_text):
                raise UnsupportedSchema("clashes with the length of a text", field=field.name)
            if field.default is None and position and fields[position - 1].default is not None:
                raise UnsupportedSchema("follows a field that may be absent", field=field.name)
        return cls(fields, is_sequence)

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __hash__(self) -> int:
        return self._hash  # what is derived from a schema is kept by it, and asked for at each call

    @cached_property
    def _hash(self) -> int:
        return hash((self.fields, self.is_sequence))

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The fields, split after each text, before each field that may be absent, and where the
        byte order changes."""
        runs: list[list[Field]] = []
        for field in self.fields:
            if (
                not runs
                or runs[-1][-1].is_text
                or field.default is not None
                or field.order != runs[-1][-1].order
            ):
                runs.append([])
            runs[-1].append(field)
        return tuple(Run(tuple(run)) for run in runs)

    @property
    def texts(self) -> tuple[Field, ...]:
        """The fields of variable length."""
        return tuple(field for field in self.fields if field.is_text)

    @property
    def min_size(self) -> int:
        """Size in bytes of the shortest whole value: optional fields absent, texts empty."""
        return sum(field.width for field in self.fields if field.default is None)

    @property
    def max_size(self) -> int:
        """Size in bytes of the longest whole value."""
        longest = sum(int(field.range[1]) for field in self.texts)
        return sum(field.width for field in self.fields) + longest


def _unnamed(declaration: Any) -> Any:
    while isinstance(declaration, Renamed):
        declaration = declaration.subcon
    return declaration


def _field(subcon: Any) -> Field:
    """One subcon of a Struct, unwrapped from the outside in."""
    name, doc, constant, default, is_version = subcon.name, subcon.docs or "", None, None, False
    if not name or not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise UnsupportedSchema("a field needs a plain name", field=str(name))
    while isinstance(subcon, (Renamed, Const, AbsentAtEnd)):
        if isinstance(subcon, Const):
            constant, is_version = subcon.value, isinstance(subcon, Version)
        elif isinstance(subcon, AbsentAtEnd):
            default = subcon.default
            if default is None:
                raise UnsupportedSchema("a field that may be absent needs a default", field=name)
        subcon = subcon.subcon
    is_text = isinstance(subcon, LengthPrefixedText)
    number = subcon.length if is_text else subcon
    if not isinstance(number, FormatField):
        raise UnsupportedSchema(f"{type(number).__name__} has no fixed width", field=name)
    format = str(number.fmtstr)
    if format[0] not in _BYTE_ORDERS or format[1] not in "bBhHiIlLqQefd":
        raise UnsupportedSchema(f"struct format {format!r} is not portable", field=name)
    if is_text and (constant is not None or format[1] not in "BHIL"):
        raise UnsupportedSchema("a text needs an unsigned length of 1 to 4 bytes", field=name)
    if constant is not None:
        try:
            struct.pack(format, constant)
        except (struct.error, OverflowError):
            raise UnsupportedSchema(f"constant {constant!r} does not fit", field=name) from None
    return Field(name, " ".join(doc.split()), format, is_text, constant, is_version, default)
