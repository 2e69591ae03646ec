"""A declaration as a definition for dissect.cstruct: C structs that Python reads and writes.

Guarantees: the definition is derived from the declaration alone. Field names are the declaration's,
or `<name>_field` where the library's objects have that name; a text is a struct with `len` and
`value` (bytes). The library has no optional fields: if fields may be absent, there is a struct for
each place where the data may end, and the longest that fits the data is the right one. It has one
byte order for all fields, and does not check constants. What it cannot express raises
`UnsupportedSchema`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from formats.descriptions.names import field_names, name_of
from formats.descriptions.reserved import CSTRUCT_FIELDS
from formats.errors import UnsupportedSchema
from formats.schema import Field, Schema

_ENDIAN = {">": "big-endian", "<": "little-endian"}
_FLOATS = {2: "float16", 4: "float", 8: "double"}


def to_cstruct(declaration: Any, *, name: str | None = None) -> str:
    """The declaration as text for `dissect.cstruct.cstruct(text, endian=...)`.

    The first line names the byte order to pass: `>` or `<`.

    Args:
        declaration: a `construct` Struct, or a GreedyRange of one: then the struct is one record,
            to be read until the data ends; EOFError is a torn tail.
        name: the struct's name; default: `record` for a GreedyRange, otherwise the declaration's
            name in FORMATS, or its own, or `item`.

    Raises:
        UnsupportedSchema: the library cannot express a part; names the field.
    """
    schema = Schema.of(declaration)
    name = name or ("record" if schema.is_sequence else name_of(declaration, "item"))
    order = _byte_order(schema)
    names = field_names(schema, CSTRUCT_FIELDS, notation="a cstruct definition")
    structs = {}
    for field in schema.texts:
        number = _number_type(field)
        structs[_text_type(field)] = [f"{number} len;", "char value[len];"]
    if name in structs or not name.isidentifier():
        raise UnsupportedSchema(f"a struct cannot be named {name!r}; pass another name", field=name)
    for count, suffix in _endings(schema, names):
        lines = [_line(field, names[field.name]) for field in schema.fields[:count]]
        structs[name + suffix] = lines
    blocks = [_struct(struct, lines) for struct, lines in structs.items()]
    head = (
        f"// Generated from a declaration by formats.to_cstruct; {_ENDIAN[order]}: endian='{order}'"
    )
    return "\n\n".join((head, *blocks)) + "\n"


def _byte_order(schema: Schema) -> str:
    orders = {field.order: field for field in reversed(schema.fields) if field.width > 1}
    if len(orders) > 1:
        field = max(orders.values(), key=schema.fields.index)
        raise UnsupportedSchema("a cstruct definition has one byte order", field=field.name)
    return next(iter(orders), ">")


def _endings(schema: Schema, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    """How many fields there may be, and what the struct's name then ends in; all fields first."""
    yield len(schema.fields), ""
    for count in range(len(schema.fields) - 1, 0, -1):
        if schema.fields[count].default is not None:
            yield count, f"_before_{names[schema.fields[count].name]}"


def _line(field: Field, name: str) -> str:
    kind = _text_type(field) if field.is_text else _number_type(field)
    notes = [field.doc, "" if field.constant is None else f"= {field.constant}"]
    comment = "; ".join(note for note in notes if note).replace("*/", "* /")
    return f"{kind} {name};" + (f" /* {comment} */" if comment else "")


def _number_type(field: Field) -> str:
    if field.is_float:
        return _FLOATS[field.width]
    return f"{'' if field.is_signed else 'u'}int{8 * field.width}"


def _text_type(field: Field) -> str:
    return "text" if field.width == 1 else f"text{8 * field.width}"


def _struct(name: str, lines: list[str]) -> str:
    return "\n".join((f"struct {name} {{", *(f"    {line}" for line in lines), "};"))
