"""A declaration as a Kaitai Struct schema (.ksy), the source of parsers in a dozen languages.

Guarantees: the schema is derived from the declaration alone. Field names are the declaration's; a
text `name` becomes `len_name` and `name`, as in the Kaitai style guide. Anything that Kaitai cannot
express raises `UnsupportedSchema` naming the field. Where a generated parser must differ from this
package, the schema's `doc` says so.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from formats.catalog import FORMATS
from formats.descriptions.ksy_kinds import Attributes, attributes
from formats.errors import UnsupportedSchema
from formats.kinds.base import Constant
from formats.kinds.numbers import Number
from formats.schema import Field, Schema, named

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_PLAIN = re.compile(r"[A-Za-z][^:#\n\"'&*!|>%@`{}\[\]]*(?<! )")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off"})  # not strings in YAML
_ENDIAN = {">": "be", "<": "le"}
_WIDTH = 88

_ORIGIN = "# Generated from a declaration by formats.to_ksy: edit that, not this file."
_TORN = (
    "A file may end inside a record (a torn tail). This is not corruption: readers drop that "
    "record. A generated parser reads the whole sequence or fails with its end-of-stream error; to "
    "get the records before a torn tail, parse values of type `record` one at a time."
)
_TEXT = (
    "Texts are UTF-8 by convention, but any bytes are allowed. Generated parsers treat invalid "
    "UTF-8 as their language does: Python raises UnicodeDecodeError, JavaScript inserts U+FFFD."
)
_ABSENT = (
    "A generated parser omits fields that the file ends before; their `has_` values show which."
)
_WIDE = "In JavaScript, integers beyond 2^53 lose their low bits."


def to_ksy(
    declaration: Any,
    *,
    id: str | None = None,
    title: str | None = None,
    doc: str | None = None,
    doc_ref: str | None = None,
) -> str:
    """The declaration as the text of a .ksy file.

    Args:
        declaration: a `construct` Struct, or a GreedyRange of one; or its Schema, or a Format.
        id: the schema's name; default: the declaration's name in FORMATS, or its own
            (`"id" / Struct`), or `record` or `records`.
        title, doc, doc_ref: default: as in FORMATS, or for the title the declaration's docs.

    Returns:
        YAML that kaitai-struct-compiler 0.11 accepts.

    Raises:
        UnsupportedSchema: Kaitai Struct cannot express a part; names the field.
    """
    schema = Schema.of(declaration)
    known = next(
        (f for f in FORMATS.values() if declaration is f or declaration is f.declaration), None
    )
    if known is not None:
        id, title, doc = id or known.name, title or known.title, doc or known.doc
        doc_ref = doc_ref or f"README.md in the package formats, section {known.name}"
    own_name = getattr(declaration, "name", None)
    id = id or own_name or ("records" if schema.is_sequence else "record")
    _check_names(id, schema)
    endian = _default_endian(schema)
    document: dict[str, Any] = {
        "meta": _filled(
            id=id, title=title or getattr(declaration, "docs", None), ks_version=0.9, endian=endian
        ),
        "doc": "\n\n".join(textwrap.fill(p, _WIDTH) for p in (doc, *_caveats(schema)) if p),
        "doc-ref": doc_ref,
    }
    fields = _fields(schema, endian)
    if schema.is_sequence:
        document["seq"] = [{"id": "records", "type": "record", "repeat": "eos"}]
        document["types"] = {"record": fields}
        _add_header(document, schema)
    else:
        document |= fields
    return "\n".join((_ORIGIN, *_yaml(_filled(**document)))) + "\n"


def _check_names(id: str, schema: Schema) -> None:
    names = [id_ for field in schema for id_ in _ids(field)]
    for name in (id, *names):
        if not _IDENTIFIER.fullmatch(name):
            raise UnsupportedSchema("Kaitai names may use only a-z, 0-9 and _", field=name)
        if names.count(name) > 1:
            raise UnsupportedSchema("clashes with a name used in the Kaitai schema", field=name)


def _ids(field: Field) -> Iterator[str]:
    """The names that a field uses in the schema."""
    if field.is_variable:
        yield field.length_name
    if field.has_name:
        yield field.name
    if field.default is not None:
        yield f"has_{field.name}"


def _default_endian(schema: Schema) -> str | None:
    """The byte order of the first number that has one."""
    return next((_ENDIAN[field.order] for field in schema if field.width > 1), None)


def _caveats(schema: Schema) -> Iterator[str]:
    if schema.is_sequence:
        yield _TORN
    if any(field.is_text for field in schema):
        yield _TEXT
    if any(field.default is not None for field in schema):
        yield _ABSENT
    if any(field.width == 8 and not field.is_float for field in schema):
        yield _WIDE


def _fields(schema: Schema, endian: str | None) -> dict[str, Any]:
    """`seq`, and `instances` if fields may be absent."""
    presence = {
        # Evaluated once, when the field is reached: a text is present if its length is.
        f"has_{field.name}": {
            "value": "not _io.eof",
            "doc": f"whether the file contains {field.name}",
        }
        for field in schema
        if field.default is not None
    }
    seq = [item for field in schema for item in _items(field, endian)]
    types, enums = _referred(schema, endian)
    return _filled(seq=seq, instances=presence or None, types=types, enums=enums)


def _add_header(document: dict[str, Any], schema: Schema) -> None:
    """The header before the records, as a field of its own type."""
    if schema.header is not None:
        endian = document["meta"].get("endian")
        document["seq"][:0] = [{"id": "header", "type": "header"}]
        document["types"] = {"header": _fields(schema.header, endian), **document["types"]}


def _is_number(field: Field) -> bool:
    kind = field.kind.kind if isinstance(field.kind, Constant) else field.kind
    return isinstance(kind, Number) and kind.is_raw


def _attributes(field: Field, endian: str | None) -> Attributes:
    """What a field of another kind than a number or a text has."""
    try:
        return attributes(field.kind, field.name, partial(_type_of, endian))
    except UnsupportedSchema as error:
        raise named(field.name, error) from None


def _referred(schema: Schema, endian: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The types and enums that fields refer to."""
    types: dict[str, Any] = {}
    enums: dict[str, Any] = {}
    for field in schema:
        if not field.is_variable and not _is_number(field):
            found = _attributes(field, endian)
            types |= found.types
            enums |= found.enums
    return types, enums


def _items(field: Field, endian: str | None) -> Iterator[dict[str, Any]]:
    condition = None if field.default is None else f"has_{field.name}"
    if not field.is_variable and not _is_number(field):
        name = {"id": field.name} if field.has_name else {}
        found = _attributes(field, endian).items
        yield name | found | _filled(**{"if": condition, "doc": field.doc})
        return
    number = _number_type(field, endian)
    if not field.is_variable:
        valid = field.constant
        if isinstance(valid, bool):
            valid = int(valid)
        if isinstance(valid, float) and not math.isfinite(valid):
            raise UnsupportedSchema(f"Kaitai has no constant {valid}", field=field.name)
        yield _filled(
            **{"id": field.name, "type": number, "if": condition, "valid": valid, "doc": field.doc}
        )
        return
    yield _filled(
        **{
            "id": field.length_name,
            "type": number,
            "if": condition,
            "doc": f"length of {field.name} in bytes",
        }
    )
    yield _filled(
        **{
            "id": field.name,
            "type": "str" if field.is_text else None,
            "size": field.length_name,
            "encoding": "UTF-8" if field.is_text else None,
            "if": condition,
            "doc": field.doc,
        }
    )


def _number_type(field: Field, endian: str | None) -> str:
    try:
        return _type_of(endian, field)
    except UnsupportedSchema as error:
        raise named(field.name, error) from None


def _type_of(endian: str | None, number: Number | Field) -> str:
    if number.is_float and number.width < 4:
        raise UnsupportedSchema("Kaitai has no half-precision float")
    kind = "f" if number.is_float else "s" if number.is_signed else "u"
    order = _ENDIAN[number.order]
    suffix = order if number.width > 1 and order != endian else ""
    return f"{kind}{number.width}{suffix}"


def _filled(**items: Any) -> dict[str, Any]:
    """The items that are not empty; `ks_version` becomes `ks-version`."""
    return {k.replace("_", "-"): v for k, v in items.items() if v is not None and v not in ("", {})}


def _yaml(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """A mapping of mappings, lists, strings and numbers, in block style."""
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield f"{indent}{key}:"
            yield from _yaml(item, indent + "  ")
        elif isinstance(item, list):
            yield f"{indent}{key}:"
            for element in item:
                if not isinstance(element, Mapping):
                    yield f"{indent}  - {_scalar(element)}"
                    continue
                first, *rest = _yaml(element, indent + "    ")
                yield f"{indent}  - {first.lstrip()}"
                yield from rest
        elif isinstance(item, str) and "\n" in item:
            yield f"{indent}{key}: |"
            yield from (f"{indent}  {line}".rstrip() for line in item.split("\n"))
        else:
            yield f"{indent}{key}: {_scalar(item)}"


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return repr(value)
    is_plain = _PLAIN.fullmatch(value) and value.isprintable() and value.lower() not in _RESERVED
    return value if is_plain else _quoted(value)


def _quoted(value: str) -> str:
    def escape(character: str) -> str:
        if character in '"\\':
            return "\\" + character
        return character if character.isprintable() else f"\\U{ord(character):08x}"

    return '"' + "".join(map(escape, value)) + '"'
