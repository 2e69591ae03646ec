"""A declaration as a pattern for the hex editor ImHex (.hexpat), which colours and names its bytes.

Guarantees: the pattern is derived from the declaration alone. Field names are the declaration's, or
`<name>_field` where the language reserves the name. A torn tail is not an error: records are placed
while a whole one is left, and the bytes after them are `torn_tail`. A number that is not its
constant is a warning in the console; other limits are comments. What the language cannot express
raises `UnsupportedSchema`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from formats.descriptions.members import Member, Notation, Types, struct
from formats.descriptions.names import docs_of, format_of, name_of, own_name
from formats.descriptions.reserved import HEXPAT_FIELDS
from formats.errors import UnsupportedSchema
from formats.kinds.base import Checked, Constant, Kind, Padding
from formats.kinds.numbers import Flags, Number
from formats.kinds.texts import LengthPrefixed
from formats.schema import Field, Schema

_ENDIAN = {">": "be", "<": "le"}
_ENDIAN_VALUE = {">": "Big", "<": "Little"}
_FLOATS = {4: "float", 8: "double"}
_INTEGERS = (1, 2, 3, 4, 6, 8)


def to_hexpat(declaration: Any, *, name: str | None = None, description: str | None = None) -> str:
    """The declaration as the text of a .hexpat file.

    Args:
        declaration: a `construct` Struct, a GreedyRange of one, or a header before such records; or
            its Schema, or a Format.
        name: what the file's value is called; default: the declaration's name in FORMATS, or its
            own, or `item` for a Struct and `log` for a GreedyRange.
        description: what it holds; default: as in FORMATS, or the declaration's docs.

    Raises:
        UnsupportedSchema: the pattern language cannot express a part; names the field.
    """
    schema = Schema.of(declaration)
    known = format_of(declaration)
    name = name or name_of(declaration, "log" if schema.is_sequence else "item")
    description = description or (known.title if known else docs_of(declaration))
    types = Types(_NOTATION)
    own_name(name, HEXPAT_FIELDS | {"Header", "Log", "Record", "Value"}, _NOTATION.name)
    structs = []
    if schema.header is not None:
        structs.append(_struct(schema.header, "Header", types, "header_"))
    structs.append(_struct(schema, "Record" if schema.is_sequence else "Value", types))
    blocks = ["\n".join(lines) for lines in (*types.declared.values(), *structs)]
    if schema.is_sequence:
        blocks += ["\n".join(_is_whole(schema)), "\n".join(_log(schema, name))]
    else:
        blocks.append(f"Value {name} @ std::mem::base_address();")
    head = ["// Generated from a declaration by formats.to_hexpat: edit that, not this file."]
    if description:
        head.append(f"#pragma description {' '.join(description.split())}")
    warns = any(_constant(field) for field in (*(schema.header or ()), *schema))
    head.append("import std.io;" if warns else "")
    head.append("import std.mem;")
    return "\n".join((*filter(None, head), "", "\n\n".join(blocks))) + "\n"


def _constant(field: Field) -> Constant | None:
    """The constant of a field that is a number; others are not compared."""
    kind = field.kind
    return kind if isinstance(kind, Constant) and isinstance(kind.kind, Number) else None


def _struct(schema: Schema, own: str, types: Types, prefix: str = "") -> list[str]:
    lines = []
    for field, (name, line) in zip(schema, types.fields(schema, prefix), strict=True):
        lines.append(line if field.default is None else f"if (!std::mem::eof()) {line}")
        constant = _constant(field)
        if constant is not None:
            warning = _string(f"{field.name} is not {constant.value}")
            lines.append(f"if ({name} != {_literal(field, constant)}) std::warning({warning});")
    return struct(own, lines)


def _line(kind: Kind, name: str, doc: str, member: Member) -> str:
    """A field; what it must be and is not compared with, or what its bits mean, is a comment."""
    if isinstance(kind, Padding):
        return f"{member.type}[{member.times}];"
    is_compared = isinstance(kind, Constant) and isinstance(kind.kind, Number)
    says = isinstance(kind, Checked | Flags) and not is_compared
    comment = "; ".join(note for note in (doc, kind.limits if says else "") if note)
    count = member.times and f"[{member.times}]"
    return f"{member.type} {name}{count}" + (
        f" [[comment({_string(comment)})]];" if comment else ";"
    )


def _is_whole(schema: Schema) -> Iterator[str]:
    """A function that adds up the sizes of the parts of a record, reading only its lengths."""
    yield "fn is_whole_record() {"
    yield "    u128 stop = std::mem::base_address() + std::mem::size();"
    yield "    u128 end = $;"
    for run in schema.runs:
        yield f"    end = end + {run.width};"
        yield "    if (end > stop) return false;"
        if run.text is not None:
            width, order = run.text.width, _ENDIAN_VALUE[run.text.order]
            yield (
                f"    end = end + std::mem::read_unsigned(end - {width}, {width}, "
                f"std::mem::Endian::{order});"
            )
    yield "    return end <= stop;"
    yield "};"


def _log(schema: Schema, name: str) -> Iterator[str]:
    yield "struct Log {"
    if schema.header is not None:
        yield "    Header header;"
    yield "    Record records[while(!std::mem::eof() && is_whole_record())];"
    yield "    if (!std::mem::eof()) u8 torn_tail[while(!std::mem::eof())];"
    yield "};"
    yield ""
    yield f"Log {name} @ std::mem::base_address();"


def _number(kind: Number) -> str:
    order = f"{_ENDIAN[kind.order]} " if kind.width > 1 else ""
    if kind.is_float:
        if kind.width not in _FLOATS:
            raise UnsupportedSchema("ImHex has no half-precision float")
        return order + _FLOATS[kind.width]
    if kind.width not in _INTEGERS:
        raise UnsupportedSchema(f"ImHex has no integer of {kind.width} bytes")
    return f"{order}{'s' if kind.is_signed else 'u'}{8 * kind.width}"


def _text(kind: LengthPrefixed) -> str:
    name = "Text" if kind.is_text else "SizedBytes"
    return name if kind.width == 1 else f"{name}{8 * kind.width}{_ENDIAN[kind.order]}"


def _literal(field: Field, constant: Constant) -> str:
    value = constant.value
    if not constant.is_float:
        return str(int(value))
    if not math.isfinite(value):
        raise UnsupportedSchema(f"ImHex has no constant {value}", field=field.name)
    return f"{float(value):.17f}".rstrip("0").ljust(3, "0")


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_NOTATION = Notation(
    name="an ImHex pattern",
    reserved=HEXPAT_FIELDS,
    reserved_labels=HEXPAT_FIELDS,
    number=_number,
    text=_text,
    line=_line,
    flag="bool",
    byte="u8",
    padding="padding",
)
