"""The names of a declaration's fields in another notation, where some words are taken.

Guarantees: a field keeps its name unless the notation or a language generated from it reserves the
name; then it is `<name>_field`. Two names are never merged: a clash is an `UnsupportedSchema`.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any

from formats.catalog import FORMATS, Format
from formats.errors import UnsupportedSchema


def field_names(
    names: Iterable[str],
    reserved: Set[str],
    *,
    taken: Iterable[str] = (),
    notation: str,
    suffix: str = "field",
) -> dict[str, str]:
    """Each name as the notation has it.

    Args:
        names: of fields, of parts of a field, or of labels.
        reserved: the words that none of them may be.
        taken: names that the notation adds beside them.
        notation: its name, for the error.
        suffix: what is appended to a reserved word, after an underscore.

    Raises:
        UnsupportedSchema: two names would be the same, apart from underscores and case, which
            some languages drop.
    """
    given = {name: f"{name}_{suffix}" if name in reserved else name for name in names}
    seen = {folded(name): name for name in taken}
    for field, name in given.items():
        if folded(name) in seen:
            other = seen[folded(name)]
            raise UnsupportedSchema(
                f"{name!r} clashes with {other!r} in {notation}; rename the {suffix}", field=field
            )
        seen[folded(name)] = name
    return given


def own_name(name: str, reserved: Set[str], notation: str) -> str:
    """The name of a whole value, if the notation can call it so.

    Raises:
        UnsupportedSchema: it is not plain, or reserved.
    """
    if not (name.isascii() and name.isidentifier()) or name in reserved:
        raise UnsupportedSchema(
            f"nothing can be named {name!r} in {notation}; pass another name", field=name
        )
    return name


def folded(name: str) -> str:
    """A name without what some languages drop from it."""
    return name.replace("_", "").lower()


def format_of(declaration: Any) -> Format | None:
    """The format that this is, or the one in FORMATS that has this declaration, or None."""
    if isinstance(declaration, Format):
        return declaration
    return next((f for f in FORMATS.values() if declaration is f.declaration), None)


def name_of(declaration: Any, default: str) -> str:
    """What a declaration is called: its Format's name, or its own, or the default."""
    known = format_of(declaration)
    return (known and known.name) or getattr(declaration, "name", None) or default


def docs_of(declaration: Any) -> str:
    """What a declaration's docs say, in one line; empty if there are none."""
    return " ".join((getattr(declaration, "docs", None) or "").split())
