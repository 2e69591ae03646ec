"""Tables that fit the terminal by leaving columns out, never by cutting what is in them.

Guarantees: the first column is always there; which others are depends on their ranks alone, and the
caller learns which are not.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from expstore.cli.tables import GAP, Cell, Column, Table, width_of

_TITLE = 12  # characters of a heading that are not folded
_LINES = 2  # of a heading that is brief


class Candidate(NamedTuple):
    """A column that may be in a table.

    Attributes:
        name: what it is called where it is left out.
        cells: one for each row.
        rank: the lower, the sooner it is in; equals in their order.
        title: the heading, if that is not the name.
        right: whether it is aligned to the right.
        style: of its cells.
        brief: whether the beginning of a long heading may be left out.
    """

    name: str
    cells: Sequence[Cell]
    rank: int
    title: str | None = None
    right: bool = False
    style: str = ""
    brief: bool = False


def fitted(candidates: Sequence[Candidate], width: int) -> tuple[Table, list[str]]:
    """A table of the columns for which there is room, and the names of the others.

    Args:
        candidates: the columns, in the order in which they are shown.
        width: columns of the terminal.
    """
    if width == sys.maxsize:
        return _table(candidates), []
    candidates = _with_brief_headings(candidates)
    needed = [max(_text_width(one), *map(width_of, _heading(one))) for one in candidates]
    kept: set[int] = set()
    left = width
    for place in sorted(range(len(candidates)), key=lambda place: candidates[place].rank):
        space = needed[place] + (len(GAP) if kept else 0)
        if space <= left or not kept:
            kept.add(place)
            left -= space
    table = _table([one for place, one in enumerate(candidates) if place in kept])
    return table, [one.name for place, one in enumerate(candidates) if place not in kept]


def _table(shown: Sequence[Candidate]) -> Table:
    table = Table(*(Column("\n".join(_heading(one)), one.right, style=one.style) for one in shown))
    for row in zip(*(one.cells for one in shown), strict=True):
        table.add_row(*row)
    return table


def _with_brief_headings(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The columns, with brief headings where these differ from all others."""
    brief = [one._replace(brief=True) for one in candidates]
    counts = Counter(tuple(_heading(one)) for one in brief)
    return [
        short if counts[tuple(_heading(short))] == 1 else one
        for one, short in zip(candidates, brief, strict=True)
    ]


def _text_width(candidate: Candidate) -> int:
    texts = (cell if isinstance(cell, str) else cell.text for cell in candidate.cells)
    return max(map(width_of, texts), default=0)


def _heading(candidate: Candidate) -> list[str]:
    """The lines of a heading, which is folded rather than make a column wide."""
    title = candidate.name if candidate.title is None else candidate.title
    width = max(_text_width(candidate), _TITLE)
    name, *rest = title.split("\n")
    lines = list(_folded(name, width))
    if len(lines) > _LINES and candidate.brief:
        lines = [f"…{lines[-_LINES]}", *lines[1 - _LINES :]]
    return lines + rest


def _folded(line: str, width: int) -> Iterable[str]:
    if width_of(line) <= width:
        return [line]
    lines = [""]
    for part in re.findall(r"[^/._ -]*[/._ -]|[^/._ -]+", line):
        if lines[-1] and width_of(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return lines
