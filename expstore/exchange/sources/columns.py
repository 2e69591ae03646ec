"""One column of a table that another program wrote: numbers, blanks and texts.

Guarantees: a number is what Python reads in it, or what C prints on Windows, with `,` for the point
where fields are separated by `;`; one that is too large for a float does not become infinite.
Blanks are skipped. A text among numbers is kept with its row, to be refused or counted.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from expstore.exchange.sources.base import shown
from expstore.exchange.sources.jsontext import LargeNumber

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLANKS = frozenset({"", "NA", "N/A", "None", "none", "null", "NULL", "<NA>", "n/a", "#N/A"})
_WORDS = {"true": 1.0, "false": 0.0, "1.#inf": math.inf, "-1.#inf": -math.inf}
_WORDS |= dict.fromkeys(("1.#qnan", "-1.#ind", "1.#ind", "nan(ind)", "-nan(ind)"), math.nan)
_TEXTS = 100  # kept, of those that are not numbers; the others are only counted


def float_of(text: str) -> float:
    """The number that a text is.

    Raises:
        ValueError: it is something else.
        OverflowError: it is too large for a float.
    """
    value = float(text)
    if math.isinf(value) and "inf" not in text.lower():
        raise OverflowError(f"{shown(text, 80)!r} is too large for a float")
    return value


def number_of(cell: Any, comma: bool = False) -> float | None:
    """The number in a cell; None if it has none.

    Raises:
        ValueError: it holds something else.
        OverflowError: it is too large for any float.
    """
    if cell is None:
        return None
    if not isinstance(cell, str):
        if isinstance(cell, int | float):
            return float(cell)
        raise ValueError("not a number")
    text = cell.strip()
    if text in BLANKS:
        return None
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if "_" in text:  # Python's own notation for integers, and other people's for ids
        raise ValueError("not a number")
    if comma and "," in text and "." not in text:
        text = text.replace(",", ".")
    return float_of(text)


class Column:
    """The numbers of a column, with the row of each.

    Args:
        name: its header.
        comma: whether numbers may have a decimal comma.

    Attributes:
        bad: rows of the first cells that hold no number, and what is wrong with each.
        bad_count: how many there are.
    """

    def __init__(self, name: str, comma: bool = False) -> None:
        self.name = name
        self._comma = comma
        self._rows = array("q")
        self._values = array("d")
        self.bad: list[tuple[int, str]] = []
        self.bad_count = 0
        self._is_of_numbers = False

    def __len__(self) -> int:
        return len(self._values)

    @property
    def is_text(self) -> bool:
        """Whether no cell holds a number, however large, and some hold something else."""
        return bool(self.bad_count) and not self._values and not self._is_of_numbers

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row of each number, ascending."""
        import numpy as np

        return np.array(self._rows, np.int64)

    @property
    def values(self) -> NDArray[np.float64]:
        """The numbers."""
        import numpy as np

        return np.array(self._values, np.float64)

    def extend(self, first: int, cells: Sequence[str]) -> None:
        """Add the cells of consecutive rows, the first of which is `first`."""
        joined = "".join(cells)
        if "_" not in joined and not (self._comma and "," in joined):
            try:
                values = array("d", map(float, cells))
            except ValueError:
                values = array("d")
            # A sum that is finite shows that no number was too large.
            if values and (math.isfinite(sum(values)) or not any(map(math.isinf, values))):
                self._values += values
                self._rows += array("q", range(first, first + len(cells)))
                return
        for row, cell in enumerate(cells, first):
            if cell:
                self.add(row, cell)

    def add(self, row: int, cell: Any) -> None:
        """Add one cell."""
        try:
            value = number_of(cell, self._comma)
        except (ValueError, OverflowError) as error:
            self.bad_count += 1
            self._is_of_numbers |= isinstance(cell, int | LargeNumber)
            if len(self.bad) < _TEXTS:
                large = isinstance(error, OverflowError)
                what = "is too large for a float" if large else "is not a number"
                self.bad.append((row, f"{shown(str(cell), 80)!r} {what}"))
            return
        if value is not None:
            self._rows.append(row)
            self._values.append(value)


def steps_of(cells: Sequence[Any], comma: bool = False) -> tuple[list[int | None], list[int]]:
    """Cells as steps.

    Returns:
        For each row its step, None where it is blank or bad; and the rows that are bad. A number
        with a fraction raises.

    Raises:
        FractionError: a number has a fraction, so that the column has no steps.
    """
    try:
        if "_" not in "".join(cells):
            return list(map(int, cells)), []
    except (ValueError, TypeError):
        pass
    steps: list[int | None] = []
    bad: list[int] = []
    for row, cell in enumerate(cells):
        step = None
        try:
            number = number_of(cell, comma)
            if number is not None:
                step = _whole(cell, number)
        except FractionError:
            raise
        except (ValueError, OverflowError):
            bad.append(row)
        steps.append(step)
    return steps, bad


class FractionError(ValueError):
    """A number that is meant as a step has a fraction."""


def _whole(cell: Any, number: float) -> int:
    if not math.isfinite(number):
        raise ValueError("not finite")
    if number != int(number):
        raise FractionError(str(cell))
    try:
        return int(cell)  # exact, where a float is not
    except ValueError:
        return int(number)
