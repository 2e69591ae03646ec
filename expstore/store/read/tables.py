"""Some of a log's metrics, chosen by name and step, and logs too long to be held whole.

Guarantees: a selection keeps file order and changes no value; one that makes no sense is refused
before a file is opened. `iter_tables` holds one table and the log's distinct names at a time,
however long the log is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from expstore.errors import LogTooLargeError, SelectionError
from expstore.model.table import MetricTable
from expstore.model.texts import escape
from expstore.model.values import RECORD_CODEC
from expstore.store.files.directory import Location
from expstore.store.files.place import open_log, read_log
from expstore.store.read.ahead import LongLogError
from expstore.store.read.parser import BRIEF, LogParser, parse_whole
from expstore.store.read.rewind import Rewind
from formats import CLEAN, TooManyTextsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 1 << 17
"""Metrics in a table of `iter_tables`: 3 MB of columns, which outweigh the cost of a call. The
memory of twice as many would go back to the system each time, and getting it anew takes a third
longer.
"""

MAX_NAMES = 1 << 20
"""Distinct names of one table at most: a few hundred MB of Python texts."""


class Selection:
    """Which metrics are wanted.

    Args:
        names: metrics of these names only, as they are or as `texts.escape` shows them; a name that
            does not occur selects nothing. None: all.
        steps: metrics of these steps only, in either direction. None: all.

    Raises:
        SelectionError: names are not a list of strings, or steps are not a range.
    """

    def __init__(self, names: Iterable[str] | None = None, steps: range | None = None) -> None:
        if isinstance(names, str):
            raise SelectionError(f"names must be a list, such as [{names!r}], got one string")
        if names is not None and not isinstance(names, Iterable):
            raise SelectionError(f"names must be a list of strings, got {type(names).__name__}")
        if steps is not None and not isinstance(steps, range):
            raise SelectionError(
                f"steps must be a range, such as range(0, 1000), got {type(steps).__name__}"
            )
        wanted = [] if names is None else list(names)
        for name in wanted:
            if not isinstance(name, str):
                raise SelectionError(f"a name must be str, got {type(name).__name__}")
        self._names = None if names is None else frozenset(wanted)
        self._steps = None if steps is None else _within_format(steps)

    @property
    def key(self) -> tuple[list[str] | None, range | None]:
        """What tells this selection from others."""
        return None if self._names is None else sorted(self._names), self._steps

    @property
    def wants(self) -> Callable[[str], bool] | None:
        """Whether metrics of a name may be selected; None: all may."""
        return None if self._names is None else self._has

    def _has(self, name: str) -> bool:
        assert self._names is not None
        # Also as other tools show it; otherwise what they show would silently select nothing.
        return name in self._names or escape(name) in self._names

    def rows(self, table: MetricTable) -> NDArray[np.bool_] | None:
        """For each metric of a table whether it is wanted; None: all are."""
        import numpy as np

        which: NDArray[np.bool_] | None = None
        if self._names is not None:
            wanted = np.fromiter((self._has(name) for name in table.names), bool)
            which = wanted[table.name_codes]
        if self._steps is not None:
            steps = self._steps
            if not steps:
                return np.zeros(len(table), bool)
            stored = table.stored_steps
            chosen = (stored >= steps[0]) & (stored <= steps[-1])
            if steps.step > 1:
                # Before the first step this wraps around, but those are not chosen.
                chosen &= (stored - stored.dtype.type(steps[0])) % steps.step == 0
            which = chosen if which is None else which & chosen
        return which


def _within_format(steps: range) -> range:
    """The same steps in ascending order, without those that no record can hold."""
    minimum, maximum = map(int, RECORD_CODEC.schema["step"].range)
    if steps.step < 0:
        steps = steps[::-1]
    first = steps.start
    if first < minimum:
        first = minimum + (first - minimum) % steps.step
    # A distance beyond all steps selects the first alone.
    return range(first, min(steps.stop, maximum + 1), min(steps.step, maximum))


def select(
    table: MetricTable, names: Iterable[str] | None = None, steps: range | None = None
) -> MetricTable:
    """The metrics of these names and steps only; see `Selection`."""
    which = Selection(names, steps).rows(table)
    return table if which is None else table.take(which)


def iter_tables(
    path: Location | str,
    selection: Selection,
    chunk: int = CHUNK,
    start: int = 0,
    end: int | None = None,
    rewind: Rewind | None = None,
    max_names: int | None = None,
) -> Iterator[MetricTable]:
    """A log table by table; see `ExperimentStore.iter_metrics`.

    Args:
        path: the log.
        selection: what is wanted of it.
        chunk: metrics in a table at most.
        start, end: only what begins a record at `start`, and lies before `end`; a record that
            `end` cuts is a torn tail.
        rewind: what is superseded, and left out; only of a log that is read from its beginning.
        max_names: distinct names beyond which reading ends with TooManyTextsError; None: no limit.
    """
    first = 0
    # The places of metrics in a log, by which some are superseded, count all of them.
    parser = LogParser(max_names, wants=None if rewind else selection.wants)
    for table, is_last in _parts(path, parser, chunk, start, end):
        which = selection.rows(table)
        if rewind and (counts := rewind.rows(table, first)) is not None:
            which = counts if which is None else which & counts
        first += len(table)
        chosen = table if which is None else table.take(which, keep_names=True)
        if is_last or len(chosen):
            yield chosen


def _parts(
    path: Location | str, parser: LogParser, chunk: int, start: int, end: int | None
) -> Iterator[tuple[MetricTable, bool]]:
    """All tables of `iter_tables` before the selection, each with whether it is the last one."""
    size = chunk * RECORD_CODEC.schema.min_size  # bytes that hold no more records than a table may
    if (short := _short_table(path, start, end, min(size, BRIEF))) is not None:
        yield short, True
        return
    with open_log(path) as log:
        parser.begin(log, start, end)
        is_last = False
        while not is_last:
            try:
                columns = parser.read(size)
            except TooManyTextsError as error:
                raise error.at(source=str(path)) from None
            is_last = log.exhausted
            status = parser.status() if is_last else CLEAN
            yield MetricTable.of_columns(columns, status), is_last


def read_table(
    path: Location | str, start: int = 0, end: int | None = None, limit: int | None = None
) -> MetricTable:
    """A log in one table; see `ExperimentStore.get_metrics`.

    Args:
        path, start, end: see `iter_tables`.
        limit: bytes that the log may have; see `ahead`. None: any number.

    Raises:
        LongLogError: it has more bytes than `limit`.
        TooManyTextsError, LogTooLargeError, ExperimentNotFoundError, UnreadableFileError
    """
    if (short := _short_table(path, start, end, BRIEF)) is not None:
        return short
    parser = LogParser(MAX_NAMES)
    with open_log(path) as log:
        if limit is not None and log.size > limit:
            raise LongLogError
        parser.begin(log, start, end)
        try:
            columns = parser.read()
        except TooManyTextsError as error:
            raise error.at(source=str(path)) from None
        except MemoryError as error:  # also of a sparse file, or of a server that exaggerates
            raise LogTooLargeError(f"{path}: {log.size:,} bytes are too many for memory") from error
        status = parser.status()
    return MetricTable.of_columns(columns, status)


def _short_table(
    path: Location | str, start: int, end: int | None, limit: int
) -> MetricTable | None:
    """A log in one table, if all of it is wanted, and it has up to `limit` bytes, but not none."""
    if start or end is not None or not (data := read_log(path, limit)):
        return None
    return MetricTable.of_columns(*parse_whole(data))
