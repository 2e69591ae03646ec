"""A declaration as a definition for dissect.cstruct: C structs that Python reads and writes.

Guarantees: the definition is derived from the declaration alone. Field names are the declaration's,
or `<name>_field` where the library's objects have that name, as labels are `<label>_label`; a text
is a struct with `len` and `value` (bytes), and so are bytes with a length. The library has no
optional fields: if fields may be absent, there is a struct for each place where the data may end,
and the longest that fits the data is the right one. It has one byte order for all fields, and does
not check constants. What it cannot express raises `UnsupportedSchema`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from formats.descriptions.members import Member, Notation, Types, struct
from formats.descriptions.names import name_of, own_name
from formats.descriptions.reserved import CSTRUCT_FIELDS, CSTRUCT_LABELS, CSTRUCT_NAMES
from formats.errors import UnsupportedSchema
from formats.kinds.base import Checked, Kind
from formats.kinds.composed import Array, Group
from formats.kinds.numbers import Enum, Flags, Number
from formats.kinds.texts import LengthPrefixed, PascalText
from formats.schema import Schema

_ENDIAN = {">": "big-endian", "<": "little-endian"}
_FLOATS = {2: "float16", 4: "float", 8: "double"}
_INTEGERS = (1, 2, 3, 4, 6, 8)


def to_cstruct(declaration: Any, *, name: str | None = None) -> str:
    """The declaration as text for `dissect.cstruct.cstruct(text, endian=...)`.

    The first line names the byte order to pass: `>` or `<`.

    Args:
        declaration: a `construct` Struct, or a GreedyRange of one: then the struct is one record,
            to be read until the data ends; EOFError is a torn tail. A header before the records is
            a struct `header`, to be read first. Its Schema or a Format will also do.
        name: the struct's name; default: `record` for a GreedyRange, otherwise the declaration's
            name in FORMATS, or its own, or `item`.

    Raises:
        UnsupportedSchema: the library cannot express a part; names the field.
    """
    schema = Schema.of(declaration)
    name = name or ("record" if schema.is_sequence else name_of(declaration, "item"))
    order, types = _byte_order(schema), Types(_NOTATION)
    structs: dict[str, list[str]] = {}
    if schema.header is not None:
        own_name(name, {"header"}, _NOTATION.name)
        structs |= _structs(schema.header, "header", types, "header_")
    structs |= _structs(schema, name, types)
    reserved = CSTRUCT_NAMES | types.declared.keys()
    for key in structs:
        own_name(key, reserved, _NOTATION.name)
    blocks = ["\n".join(lines) for lines in (*types.declared.values(), *structs.values())]
    head = (
        f"// Generated from a declaration by formats.to_cstruct; {_ENDIAN[order]}: endian='{order}'"
    )
    return "\n\n".join((head, *blocks)) + "\n"


def _structs(schema: Schema, name: str, types: Types, prefix: str = "") -> dict[str, list[str]]:
    """The struct of all fields first, then one for each place where the data may end."""
    fields = types.fields(schema, prefix)
    return {
        name + suffix: struct(name + suffix, [line for _, line in fields[:count]])
        for count, suffix in _endings(schema, [own for own, _ in fields])
    }


def _byte_order(schema: Schema) -> str:
    found = ""
    for field in (*(schema.header or ()), *schema):
        for order in _orders(field.kind):
            if found and order != found:
                raise UnsupportedSchema("a cstruct definition has one byte order", field=field.name)
            found = order
    return found or ">"


def _orders(kind: Kind) -> Iterator[str]:
    """The byte orders of the numbers that a kind consists of."""
    if isinstance(kind, Checked):
        yield from _orders(kind.kind)
    elif isinstance(kind, Array):
        yield from _orders(kind.item)
    elif isinstance(kind, Group):
        for part in kind.parts:
            yield from _orders(part.kind)
    else:
        number = kind.length if isinstance(kind, LengthPrefixed | PascalText) else kind
        number = number.number if isinstance(number, Enum | Flags) else number
        if isinstance(number, Number) and number.width > 1:
            yield number.order


def _endings(schema: Schema, names: list[str]) -> Iterator[tuple[int, str]]:
    """How many fields there may be, and what the struct's name then ends in; all fields first."""
    yield len(schema.fields), ""
    for count in range(len(schema.fields) - 1, 0, -1):
        if schema.fields[count].default is not None:
            yield count, f"_before_{names[count]}"


def _line(kind: Kind, name: str, doc: str, member: Member) -> str:
    """A field; what it must be, or what its bits mean, is a comment."""
    notes = (doc, kind.limits if isinstance(kind, Checked | Flags) else "")
    comment = "; ".join(note for note in notes if note).replace("*/", "* /")
    count = member.times and f"[{member.times}]"
    return f"{member.type} {name}{count};" + (f" /* {comment} */" if comment else "")


def _number(kind: Number) -> str:
    if kind.is_float:
        return _FLOATS[kind.width]
    if kind.width not in _INTEGERS:
        raise UnsupportedSchema(f"a cstruct definition has no integer of {kind.width} bytes")
    return f"{'' if kind.is_signed else 'u'}int{8 * kind.width}"


def _text(kind: LengthPrefixed) -> str:
    name = "text" if kind.is_text else "sized_bytes"
    return name if kind.width == 1 else f"{name}{8 * kind.width}"


_NOTATION = Notation(
    name="a cstruct definition",
    reserved=CSTRUCT_FIELDS,
    reserved_labels=CSTRUCT_LABELS,
    number=_number,
    text=_text,
    line=_line,
    flag="uint8",
    byte="char",
    padding="char",
)
