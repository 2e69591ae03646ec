"""The specification's tables, derived from the declarations.

Guarantees: every number (offset, size, limit) is computed from the declaration. The package's
README.md contains the `markdown` of each format between two markers, and a test checks that it is
current.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from formats.descriptions.names import format_of
from formats.kinds.base import Checked, Choice, Constant, Kind
from formats.kinds.composed import Array, Group
from formats.kinds.numbers import Enum, Flags, Number
from formats.kinds.texts import LengthPrefixed
from formats.schema import Field, Schema

_COLUMNS = ("field", "offset", "type", "size", "limits", "meaning")


@dataclass(frozen=True)
class Row:
    """One field's row in the specification; every column is text.

    Attributes:
        offset: in bytes from the beginning of the value, or from the end of the preceding text.
    """

    field: str
    offset: str
    type: str
    size: str
    limits: str
    meaning: str


def table(declaration: Any) -> list[Row]:
    """One row per field of a value, or of a record."""
    return [
        Row(
            field.name if field.has_name else "-",
            str(offset) if base is None else f"after {base}" + (f" + {offset}" if offset else ""),
            field.type_name,
            f"{field.width} + length" if field.is_variable else str(field.width),
            _limits(field),
            field.doc,
        )
        for field, base, offset in _positions(Schema.of(declaration))
    ]


def sizes(declaration: Any) -> str:
    """A sentence about the size of a value."""
    schema = Schema.of(declaration)
    written = sum(field.width for field in schema)
    size = f"{schema.min_size} to {schema.max_size} bytes"
    if schema.header is not None:
        header = f"{schema.header.min_size} to {schema.header.max_size} bytes"
        size = f"A header takes {header}. A record takes {size}"
        return f"{size}; a file holds the header, then zero or more records."
    if schema.is_sequence:
        return f"A record takes {size}; a file holds zero or more records."
    if written > schema.min_size:
        return f"Readers accept {size}; writers write every field, so {written} or more."
    return f"A value takes {size}."


def markdown(declaration: Any) -> str:
    """The generated part of a section: the sizes, and the table of the header and the records."""
    schema = Schema.of(declaration)
    tables = [_markdown(part) for part in (schema.header, schema) if part is not None]
    return "\n\n".join((sizes(schema), *tables))


def _markdown(schema: Schema) -> str:
    cells = [_COLUMNS, *(tuple(asdict(row).values()) for row in table(schema))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(map(str.ljust, (cell.replace("|", r"\|") for cell in row), widths)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def describe(declaration: Any) -> dict[str, Any]:
    """The same, as a JSON document; a missing limit or default is null, and bytes are hexadecimal.

    Numbers that JSON does not have are the texts `NaN`, `Infinity` and `-Infinity`.

    Args:
        declaration: a Format, a `construct` declaration, or its Schema. Only a Format, or a
            declaration in FORMATS, has a name, a title and a doc.
    """
    schema = Schema.of(declaration)
    format = format_of(declaration)
    document: dict[str, Any] = {
        "name": format and format.name,
        "title": format and format.title,
        "doc": format and format.doc,
        "is_sequence": schema.is_sequence,
        "min_size": schema.min_size,
        "max_size": schema.max_size,
        "fields": [_describe(field, base, offset) for field, base, offset in _positions(schema)],
    }
    if schema.header is not None:
        document["header"] = {
            "name": schema.header_name or None,
            "min_size": schema.header.min_size,
            "max_size": schema.header.max_size,
            "fields": [_describe(*place) for place in _positions(schema.header)],
        }
    return document


def _describe(field: Field, base: str | None, offset: int) -> dict[str, Any]:
    return {
        "name": field.name if field.has_name else None,
        **_describe_kind(field.kind),
        "after": base,
        "offset": offset,
        "may_be_absent": field.default is not None,
        "default": _plain(field.default),
        "written": _plain(field.written),
        "doc": field.doc,
    }


def _describe_kind(kind: Kind) -> dict[str, Any]:
    """What the bytes are; of a checked or labelled kind, the number and what is checked of it."""
    checked = kind
    kind = kind.kind if isinstance(kind, Checked) else kind
    has_range = isinstance(kind, Number | Enum | Flags | LengthPrefixed) and not kind.is_float
    minimum, maximum = kind.range if has_range else (None, None)
    described: dict[str, Any] = {
        "type": kind.type_name,
        "byte_order": "little" if kind.order == "<" else "big",
        "width": kind.width,
        "min": minimum,
        "max": maximum,
        "constant": _plain(checked.value) if isinstance(checked, Constant) else None,
        "is_version": isinstance(checked, Constant) and checked.is_version,
    }
    if isinstance(checked, Choice):
        described["one_of" if checked.allowed else "none_of"] = _plain(checked.values)
    if isinstance(kind, Enum | Flags):
        described["labels"] = dict(kind.labels)
    elif isinstance(kind, Array):
        described |= {"count": kind.count, "item": _describe_kind(kind.item)}
    elif isinstance(kind, Group):
        described["parts"] = [
            {"name": part.name or None, **_describe_kind(part.kind), "doc": part.doc}
            for part in kind.parts
        ]
    return described


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _positions(schema: Schema) -> Iterator[tuple[Field, str | None, int]]:
    """Each field, the name of the text before it (or None), and the offset from that text's end."""
    base, offset = None, 0
    for field in schema:
        yield field, base, offset
        offset += field.width
        if field.is_variable:
            base, offset = field.name, 0


def _limits(field: Field) -> str:
    kind = field.kind
    if isinstance(kind, LengthPrefixed):
        limits = f"{_power(field.range[0])} to {_power(field.range[1])} bytes"
    elif isinstance(kind, Number) and field.is_float:
        limits = f"IEEE 754 binary{8 * field.width}"
    elif isinstance(kind, Number):
        limits = f"{_power(field.range[0])} to {_power(field.range[1])}"
    else:
        limits = kind.limits
    if field.default is not None:
        limits += f"; if absent, {field.default!r}"
    if field.written is not None:
        limits += f"; if not given, {field.written!r}"
    return limits


def _power(number: float) -> str:
    """A limit in readable form: 255, but 2^32 - 1."""
    if abs(number) < 1 << 16:
        return str(number)
    return f"-2^{int(math.log2(-number))}" if number < 0 else f"2^{int(math.log2(number + 1))} - 1"
