"""A declaration as a pattern for the hex editor ImHex (.hexpat), which colours and names its bytes.

Guarantees: the pattern is derived from the declaration alone. Field names are the declaration's, or
`<name>_field` where the language reserves the name. A torn tail is not an error: records are placed
while a whole one is left, and the bytes after them are `torn_tail`. A wrong constant is a warning
in the console. What the language cannot express raises `UnsupportedSchema`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from formats.catalog import FORMATS
from formats.descriptions.names import field_names, name_of
from formats.descriptions.reserved import HEXPAT_FIELDS
from formats.errors import UnsupportedSchema
from formats.schema import Field, Schema

_ENDIAN = {">": "be", "<": "le"}
_ENDIAN_VALUE = {">": "Big", "<": "Little"}
_FLOATS = {4: "float", 8: "double"}


def to_hexpat(declaration: Any, *, name: str | None = None, description: str | None = None) -> str:
    """The declaration as the text of a .hexpat file.

    Args:
        declaration: a `construct` Struct, or a GreedyRange of one.
        name: what the file's value is called; default: the declaration's name in FORMATS, or its
            own, or `item` for a Struct and `log` for a GreedyRange.
        description: what it holds; default: as in FORMATS, or the declaration's docs.

    Raises:
        UnsupportedSchema: the pattern language cannot express a part; names the field.
    """
    schema = Schema.of(declaration)
    known = next((f for f in FORMATS.values() if f.declaration is declaration), None)
    name = name or name_of(declaration, "log" if schema.is_sequence else "item")
    description = description or (known.title if known else " ".join(declaration.docs.split()))
    names = field_names(schema, HEXPAT_FIELDS, notation="an ImHex pattern")
    texts = {_text_type(field): _text(field) for field in schema.texts}
    blocks = ["\n".join(block) for block in texts.values()]
    struct = "Record" if schema.is_sequence else "Value"
    blocks.append("\n".join(_struct(schema, names, struct)))
    if schema.is_sequence:
        blocks += ["\n".join(_is_whole(schema)), "\n".join(_log(name))]
    else:
        blocks.append(f"Value {name} @ std::mem::base_address();")
    head = ["// Generated from a declaration by formats.to_hexpat: edit that, not this file."]
    if description:
        head.append(f"#pragma description {description}")
    head.append("import std.io;" if _constants(schema) else "")
    head.append("import std.mem;")
    return "\n".join((*filter(None, head), "", "\n\n".join(blocks))) + "\n"


def _constants(schema: Schema) -> list[Field]:
    return [field for field in schema if field.constant is not None]


def _struct(schema: Schema, names: dict[str, str], struct: str) -> Iterator[str]:
    yield f"struct {struct} {{"
    for field in schema:
        line = f"{_type(field)} {names[field.name]}"
        if field.doc:
            line += f" [[comment({_string(field.doc)})]]"
        yield f"    {'' if field.default is None else 'if (!std::mem::eof()) '}{line};"
        if field.constant is not None:
            yield (
                f"    if ({names[field.name]} != {_literal(field)}) "
                f"std::warning({_string(f'{field.name} is not {field.constant}')});"
            )
    yield "};"


def _text(field: Field) -> Iterator[str]:
    yield f"struct {_text_type(field)} {{"
    yield f"    {_number_type(field)} len;"
    yield "    char value[len];"
    yield "};"


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


def _log(name: str) -> Iterator[str]:
    yield "struct Log {"
    yield "    Record records[while(!std::mem::eof() && is_whole_record())];"
    yield "    if (!std::mem::eof()) u8 torn_tail[while(!std::mem::eof())];"
    yield "};"
    yield ""
    yield f"Log {name} @ std::mem::base_address();"


def _type(field: Field) -> str:
    return _text_type(field) if field.is_text else _number_type(field)


def _number_type(field: Field) -> str:
    order = f"{_ENDIAN[field.order]} " if field.width > 1 else ""
    if not field.is_float:
        return f"{order}{'s' if field.is_signed else 'u'}{8 * field.width}"
    if field.width not in _FLOATS:
        raise UnsupportedSchema("ImHex has no half-precision float", field=field.name)
    return order + _FLOATS[field.width]


def _text_type(field: Field) -> str:
    if field.width == 1:
        return "Text"
    return f"Text{8 * field.width}{_ENDIAN[field.order]}"


def _literal(field: Field) -> str:
    value = field.constant
    if isinstance(value, float) and not math.isfinite(value):
        raise UnsupportedSchema(f"ImHex has no constant {value}", field=field.name)
    if field.is_float and value is not None:
        return f"{float(value):.17f}".rstrip("0").ljust(3, "0")
    return str(int(value or 0))


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
