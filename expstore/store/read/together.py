"""Short logs, many at a time.

Guarantees: of each log this gives the metrics and the status that `read_table` gives of it. Whole
logs one after another are a log themselves, since nothing frames records, so they are parsed at
once, in a tenth of the time that they take one by one. If one of them is torn, or has anything
doubtful, that shows in where records end; then each is looked at alone, and the whole records of
all are parsed at once. A log that is long, missing or not readable is left to `read_table`.

Where only some metrics are wanted, `chosen` is asked first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from expstore.model.table import MetricTable
from expstore.model.values import METRICS_FORMAT
from expstore.store.files.directory import Location
from expstore.store.files.layout import METRICS
from expstore.store.files.place import open_root
from expstore.store.read.chosen import Chooser, Chosen, Wants, chosen
from expstore.store.read.parser import parse_whole
from formats import CLEAN, TailStatus
from formats.damage.tail import tail_status

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
        tails: for each log, the state of its end.
    """

    ids: list[str]
    table: MetricTable | None
    ends: NDArray[np.intp] | None
    tails: Sequence[TailStatus] = ()


def read_together(
    root: Location,
    commit_ids: Iterable[str],
    wants: Wants | None = None,
    sizes: Mapping[str, int] | None = None,
) -> Iterator[Together | Chosen]:
    """The logs of experiments, each once: a few at a time in this order, and those in any.

    Args:
        root: the store.
        commit_ids: checked ids.
        wants: whether a metric is wanted; others may be left out. None: all are.
        sizes: the bytes of a log that are read, where that is known.

    Raises:
        StoreNotFoundError: the root does not exist.
    """
    commit_ids, sizes = list(commit_ids), sizes or {}
    chooser = None if wants is None else Chooser(partial(chosen, wants))
    with open_root(root) as directory:
        for first in range(0, len(commit_ids), _LOGS):
            ids = commit_ids[first : first + _LOGS]
            names = [f"{commit_id}/{METRICS}" for commit_id in ids]
            batch: dict[str, bytes] = {}
            size = 0
            for commit_id, data in zip(ids, directory.read_short(names, LONG), strict=True):
                if not isinstance(data, bytes):
                    yield Together([commit_id], None, None)
                    continue
                batch[commit_id] = data[: sizes.get(commit_id)]
                size += len(data)
                if size >= _MOST:
                    yield from _parsed(batch, chooser)
                    batch, size = {}, 0
            yield from _parsed(batch, chooser)


def _parsed(
    batch: dict[str, bytes], chooser: Chooser[Chosen] | None
) -> Iterator[Together | Chosen]:
    """Some logs as one, or as a few."""
    if chooser is not None:
        groups, batch = chooser.divide(batch)
        yield from groups
    if not batch:
        return
    ids, logs = list(batch), list(batch.values())
    tails: Sequence[TailStatus] = [CLEAN] * len(logs)
    found = _table(logs)
    if found is None:
        whole, tails = zip(*map(_whole, logs), strict=True)
        found = _table(list(whole), are_whole=True)
    assert found is not None
    yield Together(ids, *found, tails)


def _whole(log: bytes) -> tuple[bytes, TailStatus]:
    """A log's whole records, and the state of its end."""
    columns, tail = parse_whole(log)
    return log[: columns.end], tail


def _table(
    logs: list[bytes], *, are_whole: bool = False
) -> tuple[MetricTable, NDArray[np.intp]] | None:
    """The metrics of logs, and where those of each end.

    None unless all are clean, or `are_whole`: they are known to end where a record does.
    """
    import numpy as np

    from formats.columns import parse_columns
    from formats.columns.ends import record_ends

    schema = METRICS_FORMAT.schema
    data = b"".join(logs)
    columns = parse_columns(schema, data)
    if not are_whole and not tail_status(schema, columns, len(data), METRICS_FORMAT.roles):
        return None
    bounds = np.append(0, record_ends(schema, columns))
    stops = np.array([len(log) for log in logs]).cumsum()
    ends = bounds.searchsorted(stops)
    # If not, a log is torn, and its rest was read with the next one's bytes.
    are_ends = (bounds.take(ends, mode="clip") == stops).all()
    return (MetricTable.of_columns(columns), ends) if are_ends else None
