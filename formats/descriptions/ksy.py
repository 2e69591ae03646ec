"""A declaration as a Kaitai Struct schema (.ksy), the source of parsers in a dozen languages.

Guarantees: the schema is derived from the declaration alone. Field names are the declaration's,
unless a target language reserves one: then the field is `<name>_field`, and `-orig-id` keeps the
name. A text is a value of type `text`, with `len` and `value`, and so are bytes with a length, of
type `sized_bytes`; a field that may be absent is read if the file does not end before it. No schema
has instances, which C#, Rust and Python's read-write mode do not support where they read the
stream. Anything that Kaitai cannot express raises `UnsupportedSchema` naming the field. Where a
generated parser must differ from this package, the schema's `doc` says so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from formats.catalog import FORMATS
from formats.descriptions import yamltext
from formats.descriptions.ksy_kinds import (
    ENDIAN,
    IDENTIFIER,
    PLAIN_CONSTANTS,
    Attributes,
    Member,
    Scope,
    attributes,
    body,
    filled,
    inside,
)
from formats.descriptions.names import folded, format_of
from formats.descriptions.reserved import KAITAI_CLASSES
from formats.errors import UnsupportedSchema
from formats.kinds.base import Constant, Kind
from formats.kinds.numbers import Number, OddInteger
from formats.kinds.texts import LengthPrefixed, PaddedText, PascalText
from formats.schema import Field, Schema, named

_WIDTH = 88

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
_ODD = "In Rust, integers of 3, 5, 6 and 7 bytes do not compile with its runtime library."
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
        declaration: a `construct` Struct, a GreedyRange of one, or a header before such records;
            or its Schema, or a Format.
        id: the schema's name; default: the Format's name, or the declaration's own
            (`"id" / Struct`), or `item` for a Struct and `log` for a GreedyRange.
        title, doc, doc_ref: default: the Format's, or for the title the declaration's docs.
        texts_as_bytes: whether generated parsers give texts as bytes, unchanged, and not as
            strings of their language, which invalid UTF-8 may make impossible.

    Returns:
        YAML that kaitai-struct-compiler 0.11 accepts.

    Raises:
        UnsupportedSchema: Kaitai Struct cannot express a part; names the field.
    """
    schema = Schema.of(declaration)
    known = format_of(declaration)
    if known is not None:
        id, title, doc = id or known.name, title or known.title, doc or known.doc
    if known is not None and known in FORMATS.values():
        doc_ref = doc_ref or f"README.md in the package formats, section {known.name}"
    id = id or getattr(declaration, "name", None) or ("log" if schema.is_sequence else "item")
    _check_id(id)
    scope = Scope((id,), _default_endian(schema), texts_as_bytes)
    content = _sequence(schema, scope) if schema.is_sequence else _fields(schema, scope)
    types = content.pop("types", {}) | scope.shared
    if folded(id) in map(folded, types):
        raise UnsupportedSchema("has the name of a type in the schema; pass another id", field=id)
    document = {
        "meta": filled(
            {
                "id": id,
                "title": title or getattr(declaration, "docs", None),
                "ks-version": 0.9,
                "endian": scope.endian,
            }
        ),
        "doc": "\n\n".join(
            textwrap.fill(p, _WIDTH) for p in (doc, *_caveats(schema, texts_as_bytes)) if p
        ),
        "doc-ref": doc_ref,
        "seq": content.pop("seq"),
        "types": types,
        **content,
    }
    return "\n".join((_ORIGIN, *yamltext.lines(filled(document)))) + "\n"


def _check_id(id: str) -> None:
    if not IDENTIFIER.fullmatch(id):
        raise UnsupportedSchema("Kaitai names may use only a-z, 0-9 and _", field=id)
    if id in KAITAI_CLASSES:
        raise UnsupportedSchema(
            f"a schema cannot be named {id!r}, which some languages reserve; pass another id",
            field=id,
        )


def _sequence(schema: Schema, scope: Scope) -> dict[str, Any]:
    """The records, and the header before them if there is one, each of a type of its own."""
    seq: list[dict[str, Any]] = [{"id": "records", "type": "record", "repeat": "eos"}]
    types = {}
    if schema.header is not None:
        seq.insert(0, {"id": "header", "type": "file_header"})
        types["file_header"] = _fields(schema.header, scope.inside("file_header"))
    types["record"] = _fields(schema, scope.inside("record"))
    return {"seq": seq, "types": types}


def _fields(schema: Schema, scope: Scope) -> dict[str, Any]:
    """The fields in order, and the types and enums that they refer to."""
    return body([_member(field, scope) for field in schema], scope)


def _member(field: Field, scope: Scope) -> Member:
    name = field.name if field.has_name else ""
    return Member(name, field.doc, _attributes(field, scope), field.default is not None)


def _attributes(field: Field, scope: Scope) -> Attributes:
    try:
        return attributes(field.kind, field.name, scope)
    except UnsupportedSchema as error:
        raise named(field.name, error) from None


def _kinds(schema: Schema) -> Iterator[Kind]:
    """The kinds of all fields, and of what they consist of."""
    for field in (*(schema.header or ()), *schema):
        yield from inside(field.kind)


def _default_endian(schema: Schema) -> str | None:
    """The byte order of the first number that has one and does not always say it."""
    numbers = (kind for kind in _kinds(schema) if isinstance(kind, Number))
    ordered = (n for n in numbers if n.width > 1 and not isinstance(n, OddInteger))
    return next((ENDIAN[number.order] for number in ordered), None)


def _caveats(schema: Schema, texts_as_bytes: bool) -> Iterator[str]:
    kinds = tuple(_kinds(schema))
    if schema.is_sequence:
        yield _TORN
    if any(map(_is_text, kinds)) and not texts_as_bytes:
        yield _TEXT
    if any(field.default is not None for field in schema):
        yield _ABSENT
    wide = [k for k in kinds if isinstance(k, Number) and k.width > 6 and not k.is_float]
    if wide:
        yield _WIDE
    if any(kind.width == 8 and not kind.is_signed for kind in wide):
        yield _UNSIGNED
    if any(isinstance(kind, OddInteger) for kind in kinds):
        yield _ODD
    constants = [kind.value for kind in kinds if isinstance(kind, Constant)]
    if constants:
        yield _CONSTANT
    if any(isinstance(value, int) and value not in PLAIN_CONSTANTS for value in constants):
        yield _WIDE_CONSTANT


def _is_text(kind: Kind) -> bool:
    return isinstance(kind, PaddedText | PascalText) or (
        isinstance(kind, LengthPrefixed) and kind.is_text
    )
