"""Short logs, many at a time.

Guarantees: of each log this gives the metrics that `read_table` gives of it. Whole logs one after
another are a log themselves, since nothing frames records, so they are parsed at once, in a tenth
of the time that they take one by one. A log that is torn, or has anything doubtful, is told by
where records end, and left to `read_table`; so is one that is long, missing or not readable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from expstore.model.table import MetricTable
from expstore.model.values import METRICS_FORMAT
from expstore.store.files.directory import Location
from expstore.store.files.layout import METRICS
from expstore.store.files.place import open_root
from formats.damage.tail import TailWatch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONG = 1 << 16
"""Bytes of a log beyond which it is read alone: there is little to gain then."""

_MOST = 1 << 20  # bytes parsed at once
_LOGS = 128  # read at a time


class Together(NamedTuple):
    """Some logs, one after another.

    Attributes:
        ids: of their experiments.
        table: the metrics of all; None: each is to be read alone.
        ends: intp; for each log, the index in the table after its last metric.
    """

    ids: list[str]
    table: MetricTable | None
    ends: NDArray[np.intp] | None


def read_together(root: Location, commit_ids: Iterable[str]) -> Iterator[Together]:
    """The logs of experiments, in this order.

    Args:
        root: the store.
        commit_ids: checked ids.

    Raises:
        StoreNotFoundError: the root does not exist.
    """
    commit_ids = list(commit_ids)
    with open_root(root) as directory:
        for first in range(0, len(commit_ids), _LOGS):
            ids = commit_ids[first : first + _LOGS]
            names = [f"{commit_id}/{METRICS}" for commit_id in ids]
            batch: dict[str, bytes] = {}
            size = 0
            for commit_id, data in zip(ids, directory.read_short(names, LONG), strict=True):
                if not isinstance(data, bytes):
                    yield from _parsed(batch)
                    batch, size = {}, 0
                    yield Together([commit_id], None, None)
                    continue
                batch[commit_id] = data
                size += len(data)
                if size >= _MOST:
                    yield from _parsed(batch)
                    batch, size = {}, 0
            yield from _parsed(batch)


def _parsed(batch: dict[str, bytes]) -> Iterator[Together]:
    """Some logs as one; those that cannot be part of one are found by halving."""
    if not batch:
        return
    ids = list(batch)
    found = _table(list(batch.values()))
    if found is not None:
        yield Together(ids, *found)
    elif len(ids) == 1:
        yield Together(ids, None, None)
    else:
        for half in ids[: len(ids) // 2], ids[len(ids) // 2 :]:
            yield from _parsed({commit_id: batch[commit_id] for commit_id in half})


def _table(logs: list[bytes]) -> tuple[MetricTable, NDArray[np.intp]] | None:
    """The metrics of logs, and where those of each end; None unless all are clean."""
    import numpy as np

    from formats.columns import parse_columns
    from formats.columns.ends import record_ends

    schema = METRICS_FORMAT.schema
    data = b"".join(logs)
    columns = parse_columns(schema, data)
    watch = TailWatch(schema, METRICS_FORMAT.roles)
    watch.feed(columns, columns.end)
    if not watch.status(len(data)):
        return None
    bounds = np.append(0, record_ends(schema, columns))
    stops = np.array([len(log) for log in logs]).cumsum()
    ends = bounds.searchsorted(stops)
    if (bounds[ends] != stops).any():  # a torn log, whose rest was read with the next one's bytes
        return None
    return MetricTable.of_columns(columns), ends
