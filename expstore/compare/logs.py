"""What logs say: the statistics of their metrics, and how they end.

Guarantees: a log of which only some metrics were looked at has the names of all, so that nobody
takes what was left out for missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from expstore.compare.keyed import by_key
from expstore.compare.series import Extremes, joined, summarize
from expstore.model.chunks import gc_paused
from expstore.store.read.tables import CHUNK, MAX_NAMES, Selection, iter_tables, read_table
from formats import CLEAN, TailStatus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expstore.model.table import MetricTable
    from expstore.store.files.directory import Location
    from expstore.store.read.chosen import Chosen

_MANY = 1 << 14  # names of a log, beyond which it is read in one


class Log(NamedTuple):
    """What is known of a log.

    Attributes:
        metrics: their statistics, by name in order of first appearance.
        tail: the state of its end.
        ended: the time of the last record.
        is_readable: whether it could be read; otherwise the rest says nothing.
        all_names: of all metrics, in order of first appearance, if some may be left out.
        size: its bytes that were read, if some may be left out.
    """

    metrics: dict[str, Extremes]
    tail: TailStatus
    ended: float | None
    is_readable: bool = True
    all_names: tuple[str, ...] | None = None
    size: int | None = None

    @property
    def names(self) -> Collection[str]:
        """Of all its metrics, in order of first appearance."""
        return self.metrics if self.all_names is None else self.all_names

    @property
    def is_whole(self) -> bool:
        """Whether no metric is left out."""
        return self.all_names is None or len(self.all_names) == len(self.metrics)

    def has_all(self, names: Iterable[str]) -> bool:
        """Whether none of these metrics is left out."""
        return self.all_names is None or all(
            name in self.metrics or name not in self.all_names for name in names
        )

    def has_wanted(self, wants: Callable[[str], bool] | None) -> bool:
        """Whether no metric is left out that is wanted; None: all are."""
        return self.is_whole or (
            wants is not None and self.has_all(name for name in self.names if wants(name))
        )


def read_log(path: Location | str, end: int | None = None) -> Log:
    """What one log says, of any length; only a part of it is held at a time.

    Args:
        path: the log.
        end: only its first bytes, so many; None: all.

    Raises:
        TooManyTextsError, LogTooLargeError, ExperimentNotFoundError, UnreadableFileError
    """
    metrics: dict[str, Extremes] = {}
    ended, tail = None, CLEAN
    for table in iter_tables(path, Selection(), CHUNK, end=end, max_names=MAX_NAMES):
        for name, found in summarize(table).items():
            before = metrics.get(name)
            metrics[name] = found if before is None else joined(before, found)
        if len(metrics) > _MANY and len(metrics) == len(table.names):
            # Looking at that many names for each part takes longer than reading.
            return log_of_table(read_table(path, end=end))
        if len(table):
            ended = float(table.timestamps[-1])
        tail = table.status
    return Log(metrics, tail, ended)


def log_of_table(table: MetricTable) -> Log:
    """What a log says whose metrics are in a table."""
    ended = float(table.timestamps[-1]) if len(table) else None
    return Log(summarize(table), table.status, ended)


def logs_in(table: MetricTable, ends: list[int], tails: Iterable[TailStatus]) -> list[Log]:
    """What logs say whose metrics follow each other in a table, up to these indices."""
    import numpy as np

    metrics = _statistics(table.names, table.name_codes, table.values, table.stored_steps, ends)
    lasts: Sequence[int] = [0] * len(ends)
    if len(table):
        lasts = table.timestamps[np.maximum(ends, 1) - 1].tolist()
    return [
        Log(own, tail, float(last) if own else None)
        for own, tail, last in zip(metrics, tails, lasts, strict=True)
    ]


def logs_chosen(chosen: Chosen) -> Iterator[Log]:
    """What logs of one order say, of which only some metrics were read."""
    ends, lasts = chosen.ends.tolist(), map(float, chosen.lasts.tolist())
    metrics = _statistics(chosen.names, chosen.codes, chosen.values, chosen.steps, ends)
    known = repeat(CLEAN), lasts, repeat(True), repeat(chosen.names), chosen.sizes
    return map(Log, metrics, *known)


def _statistics(
    names: Sequence[str],
    codes: NDArray[np.integer[Any]],
    values: NDArray[np.float64],
    steps: NDArray[np.integer[Any]],
    ends: list[int],
) -> list[dict[str, Extremes]]:
    """The statistics of logs whose records follow each other, up to these indices.

    Args:
        names: of metrics.
        codes: for each record the index of its name.
        values, steps: for each record.
        ends: for each log.
    """
    import numpy as np

    count = len(ends)
    metrics: list[dict[str, Extremes]] = [{} for _ in ends]
    if not len(codes):
        return metrics
    # As if each log had its own names, so that all series are summarized at once.
    own = np.arange(count).repeat(np.diff(ends, prepend=0)) * len(names)
    found = by_key(own + codes, count * len(names), values, steps)
    with gc_paused():
        rows = list(map(tuple.__new__, repeat(Extremes), found.statistics))
        order = found.firsts.argsort(kind="stable").tolist()  # of first appearance
        logs, places = (part.tolist() for part in divmod(found.keys, len(names)))
        for i in order:
            metrics[logs[i]][names[places[i]]] = rows[i]
    return metrics
