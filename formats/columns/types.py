"""Column types: arrays of numbers, and texts as codes into their distinct values.

Guarantees: a column's length is the number of records; texts are decoded once, on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.errors import FieldValueError


class TextColumn:
    """A text field's column: record i has `values[codes[i]]`.

    Attributes:
        codes: for each record, the index of its text in `values`.
        values: the distinct texts in order of first appearance.
    """

    def __init__(
        self, codes: NDArray[np.int32], values: tuple[str, ...] | Callable[[], tuple[str, ...]]
    ) -> None:
        self.codes, self._values = codes, values

    @cached_property
    def values(self) -> tuple[str, ...]:  # noqa: D102  described above
        # Lazy: a stream of many distinct texts would otherwise decode all of them at every feed.
        return self._values() if callable(self._values) else self._values

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, part: slice) -> TextColumn:
        return TextColumn(self.codes[part], self._values)

    def tolist(self) -> list[str]:
        """Every record's text."""
        return [self.values[code] for code in self.codes.tolist()]


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns by field name; iterates over names, but `len` is the number of records.

    Attributes:
        end: offset after the last whole record, counted from the first byte parsed.
        error: the wrong constant that ended the records there, or None.
    """

    columns: dict[str, Any]
    count: int
    end: int
    error: FieldValueError | None = None

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return self.count
