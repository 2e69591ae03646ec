"""The specification's tables, derived from the declarations.

Guarantees: every number (offset, size, limit) is computed from the declaration. The package's
README.md contains the `markdown` of each format between two markers, and a test checks that it is
current.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from formats.catalog import Format
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


def table(schema: Schema) -> list[Row]:
    """One row per field."""
    return [
        Row(
            field.name,
            str(offset) if base is None else f"after {base}" + (f" + {offset}" if offset else ""),
            field.type_name,
            f"{field.width} + length" if field.is_text else str(field.width),
            _limits(field),
            field.doc,
        )
        for field, base, offset in _positions(schema)
    ]


def sizes(schema: Schema) -> str:
    """A sentence about the size of a value."""
    written = sum(field.width for field in schema)
    size = f"{schema.min_size} to {schema.max_size} bytes"
    if schema.is_sequence:
        return f"A record takes {size}; a file holds zero or more records."
    if written > schema.min_size:
        return f"Readers accept {size}; writers write every field, so {written} or more."
    return f"A value takes {size}."


def markdown(format: Format) -> str:
    """The generated part of a section: the sizes and the table."""
    cells = [_COLUMNS, *(tuple(asdict(row).values()) for row in table(format.schema))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(map(str.ljust, (cell.replace("|", r"\|") for cell in row), widths)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join((sizes(format.schema), "", *lines))


def describe(format: Format) -> dict[str, Any]:
    """The same, as a JSON document; a missing limit or default is null."""
    schema = format.schema
    return {
        "name": format.name,
        "title": format.title,
        "doc": format.doc,
        "is_sequence": schema.is_sequence,
        "min_size": schema.min_size,
        "max_size": schema.max_size,
        "fields": [_describe(field, base, offset) for field, base, offset in _positions(schema)],
    }


def _describe(field: Field, base: str | None, offset: int) -> dict[str, Any]:
    minimum, maximum = field.range
    return {
        "name": field.name,
        "type": field.type_name,
        "byte_order": "little" if field.order == "<" else "big",
        "after": base,
        "offset": offset,
        "width": field.width,
        "min": None if field.is_float else minimum,
        "max": None if field.is_float else maximum,
        "constant": field.constant,
        "is_version": field.is_version,
        "may_be_absent": field.default is not None,
        "default": field.default,
        "doc": field.doc,
    }


def _positions(schema: Schema) -> Iterator[tuple[Field, str | None, int]]:
    """Each field, the name of the text before it (or None), and the offset from that text's end."""
    base, offset = None, 0
    for field in schema:
        yield field, base, offset
        offset += field.width
        if field.is_text:
            base, offset = field.name, 0


def _limits(field: Field) -> str:
    if field.constant is not None:
        limits = f"= {field.constant}"
    elif field.is_text:
        limits = f"{_power(field.range[0])} to {_power(field.range[1])} bytes"
    elif field.is_float:
        limits = f"IEEE 754 binary{8 * field.width}"
    else:
        limits = f"{_power(field.range[0])} to {_power(field.range[1])}"
    if field.default is not None:
        limits += f"; if absent, {field.default!r}"
    return limits


def _power(number: float) -> str:
    """A limit in readable form: 255, but 2^32 - 1."""
    if abs(number) < 1 << 16:
        return str(number)
    return f"-2^{int(math.log2(-number))}" if number < 0 else f"2^{int(math.log2(number + 1))} - 1"
