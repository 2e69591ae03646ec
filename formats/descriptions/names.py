"""The names of a declaration's fields in another notation, where some words are taken.

Guarantees: a field keeps its name unless the notation or a language generated from it reserves the
name; then it is `<name>_field`. Two names are never merged: a clash is an `UnsupportedSchema`.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any

from formats.catalog import FORMATS
from formats.errors import UnsupportedSchema
from formats.schema import Schema


def field_names(
    schema: Schema, reserved: Set[str], *, taken: Iterable[str] = (), notation: str
) -> dict[str, str]:
    """Each field's name in the notation.

    Args:
        schema: the declaration.
        reserved: the words that no field may have as its name.
        taken: names that the notation adds beside the fields.
        notation: its name, for the error.

    Raises:
        UnsupportedSchema: two names would be the same, apart from underscores and case, which
            some languages drop.
    """
    names = {f.name: f"{f.name}_field" if f.name in reserved else f.name for f in schema}
    seen = {_folded(name): name for name in taken}
    for field, name in names.items():
        if _folded(name) in seen:
            other = seen[_folded(name)]
            raise UnsupportedSchema(
                f"{name!r} clashes with {other!r} in {notation}; rename the field", field=field
            )
        seen[_folded(name)] = name
    return names


def _folded(name: str) -> str:
    return name.replace("_", "").lower()


def name_of(declaration: Any, default: str) -> str:
    """What a declaration is called: its name in FORMATS, or its own, or the default."""
    known = next((f.name for f in FORMATS.values() if f.declaration is declaration), None)
    return known or declaration.name or default
