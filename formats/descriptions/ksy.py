"""A declaration as a Kaitai Struct schema (.ksy), the source of parsers in a dozen languages.

Guarantees: the schema is derived from the declaration alone. Field names are the declaration's,
unless a target language reserves one: then the field is `<name>_field`, and `-orig-id` keeps the
name. A text is a value of type `text`, with `len` and `value`; a field that may be absent is read
if the file does not end before it. No schema has instances, which C#, Rust and Python's read-write
mode do not support where they read the stream. Anything that Kaitai cannot express raises
`UnsupportedSchema` naming the field. Where a generated parser must differ from this package, the
schema's `doc` says so.
"""

from __future__ import annotations

import math
import re
import struct
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from formats.catalog import FORMATS
from formats.descriptions import yamltext
from formats.descriptions.names import field_names
from formats.descriptions.reserved import KAITAI_CLASSES, KAITAI_FIELDS
from formats.errors import UnsupportedSchema
from formats.schema import Field, Schema

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_ENDIAN = {">": "be", "<": "le"}
_WIDTH = 88
_PLAIN_CONSTANTS = range(-(2**31), 2**31)
"""The integers that the compiler takes as YAML numbers; it takes others only as expressions."""

_ORIGIN = "# Generated from a declaration by formats.to_ksy: edit that, not this file."
_TORN = (
    "A file may end inside a record (a torn tail). This is not corruption: readers drop that "
    "record. A generated parser reads the whole sequence or fails with its end-of-stream error; to "
    "get the records before a torn tail, parse values of type `record` one at a time (in Rust, "
    "with a root, which may be empty)."
)
_TEXT = (
    "Texts are UTF-8 by convention, but any bytes are allowed. Generated parsers treat invalid "
    "UTF-8 as their language does: many replace it, some fail. A schema with texts as bytes "
    "(`formats.to_ksy(..., texts_as_bytes=True)`) gives them unchanged in every language."
)
_ABSENT = "Fields that the file ends before are absent: null, or whatever the language has for it."
_WIDE = "In JavaScript, integers beyond 2^53 lose their low bits."
_UNSIGNED = (
    "Java, Lua and PHP have no unsigned 64-bit integers: values of 2^63 and more are negative."
)
_CONSTANT = "Perl and Nim do not check constants."
_WIDE_CONSTANT = (
    "Rust compares constants as 32-bit integers: there, declare the module with "
    "`#[allow(overflowing_literals)]`."
)


def to_ksy(
    declaration: Any,
    *,
    id: str | None = None,
    title: str | None = None,
    doc: str | None = None,
    doc_ref: str | None = None,
    texts_as_bytes: bool = False,
) -> str:
    """The declaration as the text of a .ksy file.

    Args:
        declaration: a `construct` Struct, or a GreedyRange of one.
        id: the schema's name; default: the declaration's name in FORMATS, or its own
            (`"id" / Struct`), or `item` for a Struct and `log` for a GreedyRange.
        title, doc, doc_ref: default: as in FORMATS, or for the title the declaration's docs.
        texts_as_bytes: whether generated parsers give texts as bytes, unchanged, and not as
            strings of their language, which invalid UTF-8 may make impossible.

    Returns:
        YAML that kaitai-struct-compiler 0.11 accepts.

    Raises:
        UnsupportedSchema: Kaitai Struct cannot express a part; names the field.
    """
    schema = Schema.of(declaration)
    known = next((f for f in FORMATS.values() if f.declaration is declaration), None)
    if known is not None:
        id, title, doc = id or known.name, title or known.title, doc or known.doc
        doc_ref = doc_ref or f"README.md in the package formats, section {known.name}"
    id = id or declaration.name or ("log" if schema.is_sequence else "item")
    _check_id(id)
    types = _Types(_default_endian(schema), texts_as_bytes)
    seq = _seq(schema, id, types)
    if schema.is_sequence:
        types.declared = {"record": {"seq": seq}, **types.declared}
        seq = [{"id": "records", "type": "record", "repeat": "eos"}]
    caveats = _caveats(schema, texts_as_bytes)
    document = {
        "meta": _filled(
            {
                "id": id,
                "title": title or declaration.docs,
                "ks-version": 0.9,
                "endian": types.endian,
            }
        ),
        "doc": "\n\n".join(textwrap.fill(p, _WIDTH) for p in (doc, *caveats) if p),
        "doc-ref": doc_ref,
        "seq": seq,
        "types": types.declared or None,
    }
    return "\n".join((_ORIGIN, *yamltext.lines(_filled(document)))) + "\n"


@dataclass
class _Types:
    """What the fields of a schema share: the default byte order, and the types they declare."""

    endian: str | None
    texts_as_bytes: bool
    declared: dict[str, Any] = field(default_factory=dict)


def _check_id(id: str) -> None:
    if not _IDENTIFIER.fullmatch(id):
        raise UnsupportedSchema("Kaitai names may use only a-z, 0-9 and _", field=id)
    if id in KAITAI_CLASSES:
        raise UnsupportedSchema(
            f"a schema cannot be named {id!r}, which some languages reserve; pass another id",
            field=id,
        )


def _seq(schema: Schema, id: str, types: _Types) -> list[dict[str, Any]]:
    """The fields in order. No language allows a field to have the name of its own class."""
    for one in schema:
        if not _IDENTIFIER.fullmatch(one.name):
            raise UnsupportedSchema("Kaitai names may use only a-z, 0-9 and _", field=one.name)
    own = "record" if schema.is_sequence else id
    names = field_names(schema, KAITAI_FIELDS | {own}, taken=(own,), notation="a Kaitai schema")
    return [_item(field, names[field.name], types) for field in schema]


def _item(field: Field, id: str, types: _Types) -> dict[str, Any]:
    """One field: what all kinds have in common, around what its kind says."""
    return _filled(
        {
            "id": id,
            "-orig-id": field.name if id != field.name else None,
            **_kind(field)(field, types),
            "if": None if field.default is None else "not _io.eof",
            "doc": field.doc,
        }
    )


def _kind(field: Field) -> Callable[[Field, _Types], dict[str, Any]]:
    """The function that describes fields of this kind: their type, and what limits their values."""
    return _text if field.is_text else _number


def _number(field: Field, types: _Types) -> dict[str, Any]:
    return {"type": _number_type(field, types), "valid": _constant(field)}


def _text(field: Field, types: _Types) -> dict[str, Any]:
    """A text's type is named after its length prefix, unless that is a single byte."""
    length = _number_type(field, types)
    name = "text" if length == "u1" else f"text_{length}"
    types.declared[name] = {
        "seq": [
            {"id": "len", "type": length, "doc": "length of the value in bytes"},
            {"id": "value", "size": "len"}
            | ({} if types.texts_as_bytes else {"type": "str", "encoding": "UTF-8"}),
        ]
    }
    return {"type": name}


def _number_type(field: Field, types: _Types) -> str:
    if field.is_float and field.width < 4:
        raise UnsupportedSchema("Kaitai has no half-precision float", field=field.name)
    kind = "f" if field.is_float else "s" if field.is_signed else "u"
    order = _ENDIAN[field.order]
    suffix = order if field.width > 1 and order != types.endian else ""
    return f"{kind}{field.width}{suffix}"


def _constant(field: Field) -> int | str | None:
    """The constant as the compiler takes it: small integers as such, others as expressions."""
    value = field.constant
    if isinstance(value, float) and not math.isfinite(value):
        raise UnsupportedSchema(f"Kaitai has no constant {value}", field=field.name)
    if value is None:
        return None
    if field.is_float:
        if struct.unpack(field.format, struct.pack(field.format, value)) != (value,):
            raise UnsupportedSchema(f"{value!r} is no {field.type_name}", field=field.name)
        return repr(float(value))
    return int(value) if value in _PLAIN_CONSTANTS else repr(int(value))


def _default_endian(schema: Schema) -> str | None:
    """The byte order of the first number that has one."""
    return next((_ENDIAN[field.order] for field in schema if field.width > 1), None)


def _caveats(schema: Schema, texts_as_bytes: bool) -> Iterator[str]:
    if schema.is_sequence:
        yield _TORN
    if schema.texts and not texts_as_bytes:
        yield _TEXT
    if any(field.default is not None for field in schema):
        yield _ABSENT
    wide = [field for field in schema if field.width == 8 and not field.is_float]
    if wide:
        yield _WIDE
    if not all(field.is_signed for field in wide):
        yield _UNSIGNED
    constants = [field.constant for field in schema if field.constant is not None]
    if constants:
        yield _CONSTANT
    if any(isinstance(value, int) and value not in _PLAIN_CONSTANTS for value in constants):
        yield _WIDE_CONSTANT


def _filled(items: dict[str, Any]) -> dict[str, Any]:
    """The items that are not empty."""
    return {key: value for key, value in items.items() if value is not None and value != ""}
