"""Where records that were parsed into columns end.

Guarantees: the offsets are those that reading one record after another would visit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from formats.columns.types import Columns
from formats.schema import Schema


def record_ends(declaration: Any, columns: Columns) -> NDArray[np.int64]:
    """The offset after each record, counted like `columns.end`.

    Args:
        declaration: of the records; or its Schema.
        columns: what was parsed by it.
    """
    schema = Schema.of(declaration)
    sizes = np.full(columns.count, schema.min_size, np.int64)
    for field in schema.texts:
        text = columns[field.name]
        lengths = np.array([len(value) for value in text.raw], np.int64)
        if columns.count:
            sizes += lengths[text.codes]
    ends: NDArray[np.int64] = sizes.cumsum()
    ends += columns.start
    return ends
