"""Kinds of fields in a Kaitai Struct schema: what a field of each has, beside its name.

Guarantees: a generated parser reads the same bytes. What Kaitai gives is its own: the integer of a
flag or of labelled bits, an object for a nested Struct and for a text of fixed size with a length.
What it cannot express raises `UnsupportedSchema`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from formats.errors import UnsupportedSchema
from formats.kinds.base import Choice, Constant, Kind, Padding, RawBytes
from formats.kinds.composed import Array, Group
from formats.kinds.numbers import Enum, Flag, Flags, Number, OddInteger
from formats.kinds.texts import PaddedText, PascalText

TypeOf = Callable[[Number], str]
"""The name of a number's type."""


class Attributes(NamedTuple):
    """What a field has in the schema.

    Attributes:
        items: of the field itself.
        types, enums: that it refers to, by name.
    """

    items: dict[str, Any]
    types: dict[str, Any] = {}  # noqa: RUF012 - never changed
    enums: dict[str, Any] = {}  # noqa: RUF012 - never changed


def attributes(kind: Kind, name: str, type_of: TypeOf) -> Attributes:
    """What a field of this kind has, except for its name and doc."""
    if isinstance(kind, OddInteger):
        return Attributes({"type": _odd(kind)})
    if isinstance(kind, Number):
        return Attributes({"type": type_of(kind)})
    if isinstance(kind, RawBytes | Padding):
        return Attributes({"size": kind.width})
    if isinstance(kind, Flag):
        return Attributes({"type": "u1"})
    if isinstance(kind, Flags):
        return attributes(kind.number, name, type_of)
    if isinstance(kind, PaddedText):
        text = {"type": "str", "size": kind.width, "pad-right": 0, "encoding": _encoding(kind)}
        return Attributes(text)
    for known, write in _WRITERS.items():
        if isinstance(kind, known):
            result: Attributes = write(kind, name, type_of)
            return result
    raise UnsupportedSchema(f"Kaitai has no {kind.type_name}")


def _odd(kind: OddInteger) -> str:
    if kind.is_signed:
        raise UnsupportedSchema(f"Kaitai has no signed integer of {kind.width} bytes")
    return f"b{8 * kind.width}{'be' if kind.order == '>' else 'le'}"


def _encoding(kind: PaddedText | PascalText) -> str:
    return kind.encoding.upper()


def _constant(kind: Constant, name: str, type_of: TypeOf) -> Attributes:
    if isinstance(kind.value, bytes):
        return Attributes({"size": kind.width, "valid": _bytes(kind.value)})
    if not isinstance(kind.kind, Number):
        raise UnsupportedSchema("Kaitai compares only numbers and bytes with a constant")
    return Attributes(attributes(kind.kind, name, type_of).items | {"valid": kind.value})


def _bytes(data: bytes) -> str:
    return f"[{', '.join(f'{byte:#04x}' for byte in data)}]"


def _choice(kind: Choice, name: str, type_of: TypeOf) -> Attributes:
    if not isinstance(kind.kind, Number) or kind.kind.is_float:
        raise UnsupportedSchema("Kaitai checks only integers against a list")
    if not kind.allowed or not kind.values:  # an expression, which the compiler has not for Nim
        raise UnsupportedSchema("Kaitai has lists of allowed values, but not of excluded ones")
    valid = {"any-of": [int(value) for value in kind.values]}
    return Attributes(attributes(kind.kind, name, type_of).items | {"valid": valid})


def _enum(kind: Enum, name: str, type_of: TypeOf) -> Attributes:
    labels = {value: label for label, value in kind.labels}
    for label in labels.values():
        if not label.isascii() or not label.islower() or not label.isidentifier():
            raise UnsupportedSchema(f"Kaitai labels may use only a-z, 0-9 and _, not {label!r}")
    items = attributes(kind.number, name, type_of).items
    return Attributes(items | {"enum": f"{name}_label"}, {}, {f"{name}_label": labels})


def _array(kind: Array, name: str, type_of: TypeOf) -> Attributes:
    inner = attributes(kind.item, name, type_of)
    if "repeat" in inner.items:
        raise UnsupportedSchema("Kaitai has no array of arrays")
    items = inner.items | {"repeat": "expr", "repeat-expr": kind.count}
    return Attributes(items, inner.types, inner.enums)


def _group(kind: Group, name: str, type_of: TypeOf) -> Attributes:
    return Attributes({"type": f"{name}_type"}, {f"{name}_type": body(_parts(kind, type_of))})


def _parts(kind: Group, type_of: TypeOf) -> Iterator[tuple[str, str, Attributes]]:
    for part in kind.parts:
        try:
            yield part.name, part.doc, attributes(part.kind, part.name, type_of)
        except UnsupportedSchema as error:
            error.field = part.name if error.field is None else f"{part.name}.{error.field}"
            raise


def _pascal(kind: PascalText, name: str, type_of: TypeOf) -> Attributes:
    text = {"type": "str", "size": "len_value", "encoding": _encoding(kind)}
    fields = [
        ("len_value", "", Attributes({"type": type_of(kind.length)})),
        ("value", "", Attributes(text)),
    ]
    items = {"type": f"{name}_type", "size": kind.width}
    return Attributes(items, {f"{name}_type": body(iter(fields))})


def body(fields: Iterator[tuple[str, str, Attributes]]) -> dict[str, Any]:
    """A type with these fields, each with a name and a doc, either of which may be empty."""
    written: dict[str, Any] = {"seq": []}
    for name, doc, each in fields:
        given = {"id": name} | each.items | {"doc": doc}
        written["seq"].append({key: item for key, item in given.items() if item != ""})
        for key, found in (("types", each.types), ("enums", each.enums)):
            if found:
                written.setdefault(key, {}).update(found)
    return written


_WRITERS: dict[type[Kind], Any] = {
    Constant: _constant,
    Choice: _choice,
    Enum: _enum,
    Array: _array,
    Group: _group,
    PascalText: _pascal,
}
