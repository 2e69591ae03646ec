"""Kinds of fields in a Kaitai Struct schema: what a field of each has, beside its name.

Guarantees: a generated parser reads the same bytes. What Kaitai gives is its own: the integer of a
flag or of labelled bits, an object for a nested Struct, and one with `len` and `value` for a text
or bytes with a length. What it cannot express raises `UnsupportedSchema`.
"""

from __future__ import annotations

import keyword
import math
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from formats.descriptions.names import field_names, folded
from formats.descriptions.reserved import KAITAI_FIELDS, KAITAI_LABELS
from formats.errors import UnsupportedSchema
from formats.kinds.base import Checked, Choice, Constant, Kind, Padding, RawBytes
from formats.kinds.composed import Array, Group
from formats.kinds.numbers import Enum, Flag, Flags, Number, OddInteger
from formats.kinds.texts import LengthPrefixed, PaddedText, PascalText

PLAIN_CONSTANTS = range(-(2**31), 2**31)
"""The integers that the compiler takes as YAML numbers; it takes others only as expressions."""

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
ENDIAN = {">": "be", "<": "le"}


@dataclass(frozen=True)
class Scope:
    """What the fields of a type share.

    Attributes:
        classes: the names of the types that they are in, from the outside in.
        endian: the default byte order.
        texts_as_bytes: whether texts are given as bytes.
        shared: types that any field may use; those that the fields need are added.
    """

    classes: tuple[str, ...]
    endian: str | None
    texts_as_bytes: bool
    shared: dict[str, Any] = field(default_factory=dict)

    def inside(self, name: str) -> Scope:
        """The scope of a type in this one, whose name must be another than those around it."""
        if folded(name) in map(folded, self.classes):
            reason = f"its type {name!r} has the name of one around it; rename the field"
            raise UnsupportedSchema(reason)
        return replace(self, classes=(*self.classes, name))

    def number(self, kind: Number) -> str:
        """The name of a number's type."""
        if isinstance(kind, OddInteger):
            if kind.is_signed:
                raise UnsupportedSchema(f"Kaitai has no signed integer of {kind.width} bytes")
            return f"b{8 * kind.width}{ENDIAN[kind.order]}"
        if kind.is_float and kind.width < 4:
            raise UnsupportedSchema("Kaitai has no half-precision float")
        letter = "f" if kind.is_float else "s" if kind.is_signed else "u"
        order = ENDIAN[kind.order]
        suffix = order if kind.width > 1 and order != self.endian else ""
        return f"{letter}{kind.width}{suffix}"

    def text(self, encoding: str) -> dict[str, Any]:
        """What makes bytes a text."""
        return {} if self.texts_as_bytes else {"type": "str", "encoding": encoding.upper()}


class Attributes(NamedTuple):
    """What a field has in the schema.

    Attributes:
        items: of the field itself.
        types, enums: that it refers to, by name.
    """

    items: dict[str, Any]
    types: dict[str, Any] = {}  # noqa: RUF012 - never changed
    enums: dict[str, Any] = {}  # noqa: RUF012 - never changed


class Member(NamedTuple):
    """One field of a type; an empty name if it has none."""

    name: str
    doc: str
    attributes: Attributes
    may_be_absent: bool = False


def inside(kind: Kind) -> Iterator[Kind]:
    """A kind, and all that it consists of."""
    yield kind
    if isinstance(kind, Checked):
        yield from inside(kind.kind)
    elif isinstance(kind, Enum | Flags):
        yield kind.number
    elif isinstance(kind, Array):
        yield from inside(kind.item)
    elif isinstance(kind, LengthPrefixed | PascalText):
        yield kind.length
    elif isinstance(kind, Group):
        for part in kind.parts:
            yield from inside(part.kind)


def attributes(kind: Kind, name: str, scope: Scope) -> Attributes:
    """What a field of this kind has, except for its name and doc."""
    for known, write in _WRITERS.items():
        if isinstance(kind, known):
            return write(kind, name, scope)
    raise UnsupportedSchema(f"Kaitai has no {kind.type_name}")


def body(members: Iterable[Member], scope: Scope) -> dict[str, Any]:
    """A type with these fields. No language allows one to have the name of its own class."""
    members, own = tuple(members), scope.classes[-1]
    types = {key: item for each in members for key, item in each.attributes.types.items()}
    enums = {key: item for each in members for key, item in each.attributes.enums.items()}
    given = [each.name for each in members if each.name]
    for name in given:
        if not IDENTIFIER.fullmatch(name):
            raise UnsupportedSchema("Kaitai names may use only a-z, 0-9 and _", field=name)
    taken = (own, *types, *enums, *scope.shared)
    names = field_names(given, KAITAI_FIELDS | {own}, taken=taken, notation="a Kaitai schema")
    seq = [_item(each, names.get(each.name)) for each in members]
    return filled({"seq": seq, "types": types, "enums": enums})


def _item(member: Member, id: str | None) -> dict[str, Any]:
    """One field: what all kinds have in common, around what its kind says."""
    return filled(
        {
            "id": id,
            "-orig-id": member.name if id != member.name else None,
            **member.attributes.items,
            "if": "not _io.eof" if member.may_be_absent else None,
            "doc": member.doc,
        }
    )


def filled(items: dict[str, Any]) -> dict[str, Any]:
    """The items that are not empty."""
    return {
        key: value for key, value in items.items() if value is not None and value not in ("", {})
    }


def _number(kind: Number, name: str, scope: Scope) -> Attributes:
    return Attributes({"type": scope.number(kind)})


def _flag(kind: Flag, name: str, scope: Scope) -> Attributes:
    return Attributes({"type": "u1"})


def _flags(kind: Flags, name: str, scope: Scope) -> Attributes:
    return Attributes({"type": scope.number(kind.number)})


def _raw(kind: RawBytes | Padding, name: str, scope: Scope) -> Attributes:
    return Attributes({"size": kind.width})


def _padded(kind: PaddedText, name: str, scope: Scope) -> Attributes:
    return Attributes({"size": kind.width, "pad-right": 0, **scope.text(kind.encoding)})


def _constant(kind: Constant, name: str, scope: Scope) -> Attributes:
    if isinstance(kind.value, bytes):
        return Attributes({"size": kind.width, "valid": _bytes(kind.value)})
    if not isinstance(kind.kind, Number):
        raise UnsupportedSchema("Kaitai compares only numbers and bytes with a constant")
    return Attributes({"type": scope.number(kind.kind), "valid": _valid(kind.kind, kind.value)})


def _bytes(data: bytes) -> str:
    return f"[{', '.join(f'{byte:#04x}' for byte in data)}]"


def _valid(kind: Number, value: Any) -> int | str:
    """The constant as the compiler takes it: small integers as such, others as expressions."""
    if not kind.is_float:
        return int(value) if value in PLAIN_CONSTANTS else repr(int(value))
    value = float(value)
    if not math.isfinite(value):
        raise UnsupportedSchema(f"Kaitai has no constant {value}")
    if struct.unpack(kind.format, struct.pack(kind.format, value)) != (value,):
        raise UnsupportedSchema(f"{value!r} is no {kind.type_name}")
    return repr(value)


def _choice(kind: Choice, name: str, scope: Scope) -> Attributes:
    number = kind.kind
    if not isinstance(number, Number) or number.is_float:
        raise UnsupportedSchema("Kaitai checks only integers against a list")
    low, high = map(int, number.range)
    possible = [value for value in kind.values if value in range(low, high + 1)]
    if not kind.allowed or not possible:  # an expression, which the compiler has not for Nim
        raise UnsupportedSchema("Kaitai has lists of allowed values, but not of excluded ones")
    valid = {"any-of": [_valid(number, value) for value in possible]}
    return Attributes({"type": scope.number(number), "valid": valid})


def _enum(kind: Enum, name: str, scope: Scope) -> Attributes:
    labels, type_name = {value: label for label, value in kind.labels}, f"{name}_label"
    for label in labels.values():
        if not IDENTIFIER.fullmatch(label):
            raise UnsupportedSchema(f"Kaitai labels may use only a-z, 0-9 and _, not {label!r}")
    reserved = KAITAI_LABELS | set(keyword.kwlist)
    scope.inside(type_name)
    try:
        given = field_names(labels.values(), reserved, notation="a Kaitai schema", suffix="label")
    except UnsupportedSchema as error:
        error.field = None  # it is the field's label, and not a part of it
        raise
    items = {"type": scope.number(kind.number), "enum": type_name}
    return Attributes(items, {}, {type_name: {v: given[label] for v, label in labels.items()}})


def _array(kind: Array, name: str, scope: Scope) -> Attributes:
    inner = attributes(kind.item, name, scope)
    if "repeat" in inner.items:
        raise UnsupportedSchema("Kaitai has no array of arrays")
    items = inner.items | {"repeat": "expr", "repeat-expr": kind.count}
    return Attributes(items, inner.types, inner.enums)


def _group(kind: Group, name: str, scope: Scope) -> Attributes:
    own = f"{name}_type"
    within = scope.inside(own)
    return Attributes({"type": own}, {own: body(_parts(kind, within), within)})


def _parts(kind: Group, scope: Scope) -> Iterator[Member]:
    for part in kind.parts:
        try:
            yield Member(part.name, part.doc, attributes(part.kind, part.name, scope))
        except UnsupportedSchema as error:
            error.field = part.name if error.field is None else f"{part.name}.{error.field}"
            raise


def _pascal(kind: PascalText, name: str, scope: Scope) -> Attributes:
    own = f"{name}_type"
    scope.inside(own)
    sized = _sized(kind.length, scope.text(kind.encoding), scope)
    return Attributes({"type": own, "size": kind.width}, {own: sized})


def _prefixed(kind: LengthPrefixed, name: str, scope: Scope) -> Attributes:
    """Its type is named after the length, unless that is a single byte, and shared by all."""
    length = scope.number(kind.length)
    own = "text" if kind.is_text else "sized_bytes"
    own = own if length == "u1" else f"{own}_{length}"
    text = scope.text("utf-8") if kind.is_text else {}
    scope.shared[own] = _sized(kind.length, text, scope)
    return Attributes({"type": own})


def _sized(length: Number, text: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """A type of a length, and a value of that many bytes."""
    doc = "length of the value in bytes"
    return {
        "seq": [
            {"id": "len", "type": scope.number(length), "doc": doc},
            {"id": "value", "size": "len", **text},
        ]
    }


_WRITERS: dict[type[Kind], Callable[[Any, str, Scope], Attributes]] = {
    Number: _number,
    Flag: _flag,
    Flags: _flags,
    Enum: _enum,
    RawBytes: _raw,
    Padding: _raw,
    Constant: _constant,
    Choice: _choice,
    PaddedText: _padded,
    PascalText: _pascal,
    LengthPrefixed: _prefixed,
    Array: _array,
    Group: _group,
}
