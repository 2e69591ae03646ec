"""The specification's tables, derived from the declarations.

Guarantees: every figure (offset, size, limit) is computed from the declaration; README.md in this
package holds `markdown` of each format between two markers, and a test holds it to that.
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
    """One field as the specification lists it; each column a text.

    Attributes:
        offset: in bytes from the value's beginning, or from the end of the text before.
    """

    field: str
    offset: str
    type: str
    size: str
    limits: str
    meaning: str


def table(schema: Schema) -> list[Row]:
    """A row a field."""
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
    """How many bytes a value takes, in words."""
    written = sum(field.width for field in schema)
    said = f"{schema.min_size} to {schema.max_size} bytes"
    if schema.is_sequence:
        said = f"A record takes {said}; a file holds any number of records, also none."
    elif written > schema.min_size:
        said = f"Readers accept {said}; writers write every field, so {written} or more."
    else:
        said = f"A value takes {said}."
    return said


def markdown(format: Format) -> str:
    """The section's generated part: the sizes, and the table."""
    cells = [_COLUMNS, *(tuple(asdict(row).values()) for row in table(format.schema))]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(map(str.ljust, (cell.replace("|", r"\|") for cell in row), widths)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join((sizes(format.schema), "", *lines))


def describe(format: Format) -> dict[str, Any]:
    """The same as a document for JSON; what has no limit or no default is null."""
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
    least, greatest = field.range
    return {
        "name": field.name,
        "type": field.type_name,
        "byte_order": "little" if field.order == "<" else "big",
        "after": base,
        "offset": offset,
        "width": field.width,
        "min": None if field.is_float else least,
        "max": None if field.is_float else greatest,
        "constant": field.constant,
        "is_version": field.is_version,
        "may_be_absent": field.default is not None,
        "default": field.default,
        "doc": field.doc,
    }


def _positions(schema: Schema) -> Iterator[tuple[Field, str | None, int]]:
    """Each field with the text before it (None: there is none) and its offset from there."""
    base, offset = None, 0
    for field in schema:
        yield field, base, offset
        offset += field.width
        if field.is_text:
            base, offset = field.name, 0


def _limits(field: Field) -> str:
    if field.constant is not None:
        said = f"= {field.constant}"
    elif field.is_text:
        said = f"{_power(field.range[0])} to {_power(field.range[1])} bytes"
    elif field.is_float:
        said = f"IEEE 754 binary{8 * field.width}"
    else:
        said = f"{_power(field.range[0])} to {_power(field.range[1])}"
    if field.default is not None:
        said += f"; if absent, {field.default!r}"
    return said


def _power(number: float) -> str:
    """A limit as people read it: 255, but 2^32 - 1."""
    if abs(number) < 1 << 16:
        return str(number)
    return f"-2^{int(math.log2(-number))}" if number < 0 else f"2^{int(math.log2(number + 1))} - 1"
