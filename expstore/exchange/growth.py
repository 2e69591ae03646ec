"""What a source has that an experiment imported from it does not have yet.

Guarantees: nothing that was imported is changed or repeated; a point that is in the source twice is
in the experiment twice. NaNs are all alike, since text has no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from expstore.model.table import MetricTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def stamped(table: MetricTable, second: int) -> MetricTable:
    """The table with one time for all points, which is what a source without times has."""
    import numpy as np

    stamps = np.full(len(table), second, np.int64)
    return MetricTable(table.names, table.name_codes, table.values, table.steps, stamps)


def news(known: MetricTable, source: MetricTable) -> tuple[MetricTable, int]:
    """Points to add.

    Args:
        known: what the experiment has.
        source: what the source has.

    Returns:
        The points of `source` that are not in `known`, in their order; and how many points of
        `known` are not in `source`.
    """
    import numpy as np

    names = {name: code for code, name in enumerate(dict.fromkeys(known.names + source.names))}
    ours, theirs = _keys(known, names), _keys(source, names)
    count = len(ours)
    fresh = np.arange(len(theirs)) >= count
    missing = 0
    if not np.array_equal(ours, theirs[:count]):  # not only longer: compare point by point
        _, kinds = np.unique(np.concatenate([ours, theirs]), return_inverse=True)
        had, has = _numbered(kinds[:count]), _numbered(kinds[count:])
        fresh, missing = ~np.isin(has, had), int((~np.isin(had, has)).sum())
    return source.take(fresh), missing


def _keys(table: MetricTable, names: dict[str, int]) -> NDArray[Any]:
    """Each point as one value that sorts, equal for equal points."""
    import numpy as np

    kind = [("name", "<i4"), ("step", "<u4"), ("value", "<u8"), ("time", "<i8")]
    keys = np.zeros(len(table), kind)
    codes = np.array([names[name] for name in table.names], np.int32)
    keys["name"] = codes[table.name_codes] if len(table) else 0
    keys["value"] = np.where(np.isnan(table.values), np.nan, table.values).view(np.uint64)
    keys["step"], keys["time"] = table.steps, table.timestamps
    return keys.view(np.dtype((np.void, keys.itemsize)))


def _numbered(kinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each value together with how many equal ones come before it, as one number."""
    import numpy as np

    order = np.argsort(kinds, kind="stable")
    place = np.arange(len(kinds))
    first = np.ones(len(kinds), np.bool_)
    first[1:] = np.diff(kinds[order]) != 0
    nth = np.empty(len(kinds), np.int64)
    nth[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    return (kinds.astype(np.int64) << 32) + nth
