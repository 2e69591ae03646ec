"""The declaration of run.json as a table for the specification.

Guarantees: the table has every declared key; nothing is added that is not in the declaration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from formats.run import RUN


def run_table() -> str:
    """The keys of run.json as a Markdown table."""
    rows = [("key", "type", "meaning"), *_rows(RUN, "")]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "| "
        + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _rows(schema: Mapping[str, Any], above: str) -> Iterator[tuple[str, str, str]]:
    for name, inner in schema.get("properties", {}).items():
        key, items = f"{above}{name}", inner.get("items", {})
        yield f"`{key}`", _type(inner), inner["description"]
        yield from _rows(inner, f"{key}.")
        yield from _rows(items, f"{key}[].")


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        return f"array of {_type(schema['items'])}s"
    low, high = schema.get("minimum"), schema.get("maximum")
    limits = "" if low is None else f", {low} or more" if high is None else f", {low} to {high}"
    return f"{schema['type']}{limits}"
