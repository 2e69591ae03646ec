"""Small tables in HTML, for notebooks.

Guarantees: text is data: it is escaped, and control characters are shown as such. Colours are those
of the page, so that light and dark ones both work; nothing is loaded, and no script runs.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from expstore.model.texts import printable

_LONGEST = 80  # characters of a cell
_CELL = "padding:.2em .6em;text-align:{};border:0;border-bottom:1px solid rgba(128,128,128,.3)"


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]], note: str = "") -> str:
    """A table; numbers are aligned to the right.

    Args:
        headings: of the columns.
        rows: each with a value for each column; None: an empty cell.
        note: a line below.
    """
    head = "".join(_cell("th", heading, "left") for heading in headings)
    body = "".join(
        "<tr>" + "".join(_cell("td", _text(value), _side(value)) for value in row) + "</tr>"
        for row in rows
    )
    below = f'<div style="opacity:.7;font-size:85%">{text(note)}</div>' if note else ""
    return (
        '<div style="overflow-x:auto"><table style="border-collapse:collapse;color:inherit;'
        f'background:none"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}</div>'
    )


def text(value: str) -> str:
    """A text, safe to be part of a page."""
    return html.escape(printable(value))


def _cell(tag: str, shown: str, side: str) -> str:
    title = ""
    if len(shown) > _LONGEST:
        title = f' title="{text(shown[:1000])}"'
        shown = shown[: _LONGEST - 1] + "…"
    return f'<{tag} style="{_CELL.format(side)}"{title}>{text(shown)}</{tag}>'


def _side(value: Any) -> str:
    return "right" if isinstance(value, int | float) and not isinstance(value, bool) else "left"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
