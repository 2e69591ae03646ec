"""MetricTable: many metrics as columns.

Guarantees: a table is immutable. It holds NumPy columns, not objects: each Metric is made on
access. Equality compares records bit by bit: a NaN equals the same NaN, and 0.0 differs from -0.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, overload

from expstore.errors import UnknownMetricError
from expstore.model.chunks import chunks, gc_paused
from expstore.model.values import Metric
from formats import CLEAN, TailStatus

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

    from formats.columns import Columns

# Metrics made at a time when iterating: few at first, for code that stops early; then enough to
# outweigh the cost of a chunk (about 40 MB of objects at most).
_FIRST = 1 << 10
_CHUNK = 1 << 18
_SHOWN = 10  # metrics in a notebook


class MetricTable(Sequence[Metric]):
    """Many metrics in file order, as columns of equal length.

    Args:
        names: distinct metric names.
        name_codes: int32; for each metric, the index of its name in `names`.
        values: float64.
        steps: int64, or uint32 as a file has them.
        timestamps: int64, seconds since 1970-01-01 UTC.
        status: the state of the file's end.
    """

    __slots__ = ("_codes", "_compact", "_names", "_status", "_steps", "_timestamps", "_values")

    def __init__(
        self,
        names: Sequence[str],
        name_codes: NDArray[np.int32],
        values: NDArray[np.float64],
        steps: NDArray[np.uint32 | np.int64],
        timestamps: NDArray[np.int64],
        status: TailStatus = CLEAN,
    ) -> None:
        self._names = tuple(names)
        self._codes = name_codes
        self._compact = False  # whether `names` has exactly the names that occur
        self._values = values
        self._steps: NDArray[Any] = steps
        self._timestamps = timestamps
        self._status = status
        if not len(name_codes) == len(values) == len(steps) == len(timestamps):
            raise ValueError("columns differ in length")
        for column in (name_codes, values, steps, timestamps):
            column.setflags(write=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # Through the constructor, so that a copy is read-only too.
        columns = self._codes, self._values, self._steps, self._timestamps
        return MetricTable, (self._names, *columns, self._status)

    @classmethod
    def of_columns(cls, columns: Columns, status: TailStatus = CLEAN) -> MetricTable:
        """Make a table of the columns that `formats.RECORD` declares.

        Args:
            columns: the parser's result.
            status: the state of the file's end.
        """
        name = columns["name"]
        table = cls(
            name.values,
            name.codes,
            columns["value"],
            columns["step"],
            columns["timestamp"],
            status,
        )
        # A parser lists each name when it first occurs, so the names of a whole file are exact.
        table._compact = True
        return table

    @property
    def names(self) -> tuple[str, ...]:
        """The distinct metric names that occur, in order of first appearance."""
        self._make_compact()
        return self._names

    @property
    def name_codes(self) -> NDArray[np.int32]:
        """For each metric, the index of its name in `names`."""
        self._make_compact()
        return self._codes

    @property
    def values(self) -> NDArray[np.float64]:
        """The measured values."""
        return self._values

    @property
    def steps(self) -> NDArray[np.int64]:
        """The training steps, signed: differences of the file's type would wrap around."""
        if self._steps.dtype.kind == "u":  # converted when it is first needed, and kept
            steps = self._steps.astype("i8")
            steps.setflags(write=False)
            self._steps = steps
        return self._steps

    @property
    def stored_steps(self) -> NDArray[np.uint32 | np.int64]:
        """The same as the file has them, perhaps unsigned; without the cost of converting them."""
        return self._steps

    @property
    def timestamps(self) -> NDArray[np.int64]:
        """The times of logging, in seconds since 1970-01-01 UTC."""
        return self._timestamps

    @property
    def status(self) -> TailStatus:
        """The state of the file's end: clean, torn, or zeros, with the offset."""
        return self._status

    def _make_compact(self) -> None:
        """Drop the names that no longer occur after a selection, and order the rest."""
        if self._compact:
            return
        import numpy as np

        first = np.full(len(self._names), len(self._codes), np.int64)
        first[self._codes[::-1]] = np.arange(len(self._codes) - 1, -1, -1)  # the last one stays
        order = np.argsort(first, kind="stable")
        order = order[first[order] < len(self._codes)]
        if len(order) < len(self._names) or (order[1:] < order[:-1]).any():
            renumber = np.zeros(len(self._names), np.int32)
            renumber[order] = np.arange(len(order), dtype=np.int32)
            codes = renumber[self._codes]
            codes.flags.writeable = False
            self._codes = codes
            self._names = tuple(self._names[code] for code in order)
        self._compact = True

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, key: int) -> Metric: ...
    @overload
    def __getitem__(self, key: slice | str) -> MetricTable: ...
    def __getitem__(self, key: int | slice | str) -> Metric | MetricTable:
        if isinstance(key, str):
            return self._named(key)
        if isinstance(key, slice):
            return self.take(key)
        return Metric(
            self._names[self._codes[key]],
            float(self.values[key]),
            int(self._steps[key]),
            int(self.timestamps[key]),
        )

    def select(self, names: Iterable[str]) -> MetricTable:
        """The metrics with any of these names, in file order.

        Raises:
            UnknownMetricError: the table has no metric of one of the names.
        """
        import numpy as np

        codes = {name: code for code, name in enumerate(self.names)}
        wanted = np.zeros(len(codes), np.bool_)
        for name in names:
            if name not in codes:
                raise UnknownMetricError.of(name, self.names)
            wanted[codes[name]] = True
        return self.take(wanted[self._codes])

    def _code(self, name: str) -> int:
        if name not in self.names:
            raise UnknownMetricError.of(name, self.names)
        return self._names.index(name)

    def _named(self, name: str) -> MetricTable:
        return self.take(self._codes == self._code(name))

    def take(
        self, which: slice | NDArray[np.bool_ | np.intp], *, keep_names: bool = False
    ) -> MetricTable:
        """Some of the metrics.

        Args:
            which: a slice, or a boolean mask with one element per metric.
            keep_names: leave `names` as it is, so that codes keep their meaning.
        """
        if not isinstance(which, slice):
            which = which.nonzero()[0]  # indexing by a mask is many times slower
        table = MetricTable(
            self._names,
            self._codes[which],
            self.values[which],
            self._steps[which],
            self.timestamps[which],
            self.status,
        )
        table._compact = keep_names
        return table

    def __iter__(self) -> Iterator[Metric]:
        import numpy as np

        names = np.array(self._names, dtype=object)
        for part in chunks(len(self), _FIRST, _CHUNK):
            yield from self._make_metrics(names, part)

    def _make_metrics(self, names: NDArray[np.object_], part: slice) -> list[Metric]:
        """The metrics of a slice."""
        rows = zip(
            names.take(self._codes[part]).tolist(),
            self.values[part].tolist(),
            self._steps[part].tolist(),
            self.timestamps[part].tolist(),
            strict=True,
        )
        with gc_paused():
            # tuple.__new__ skips the NamedTuple's __new__, which costs more than the fields do.
            return list(map(tuple.__new__, repeat(Metric), rows))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MetricTable):
            return NotImplemented
        return (
            len(self) == len(other)
            and self.names == other.names
            and bool((self.name_codes == other.name_codes).all())
            and bool((self.values.view("i8") == other.values.view("i8")).all())
            and bool((self._steps == other._steps).all())
            and bool((self.timestamps == other.timestamps).all())
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = ", ".join(self.names[:5]) + (", ..." if len(self.names) > 5 else "")
        return f"<MetricTable: {len(self):,} metrics of {names or 'no name'}; {self.status}>"

    def _repr_html_(self) -> str:
        from expstore.model import html
        from expstore.model.texts import shown_time

        rows = [
            (metric.name, metric.step, metric.value, shown_time(metric.timestamp))
            for metric in self[:_SHOWN]
        ]
        names = ", ".join(self.names[:5]) + (", ..." if len(self.names) > 5 else "")
        note = f"{len(self):,} metrics of {names or 'no name'}; {self.status}"
        return html.table(("name", "step", "value", "time"), rows, note)

    def to_arrow(self) -> pa.Table:
        """The metrics as a pyarrow Table, which shares the numbers instead of copying them.

        Columns: `name` (dictionary of string), `value` (float64), `step` (int64) and `timestamp`
        (int64, seconds since 1970-01-01 UTC). A name that is not valid UTF-8 is escaped; see
        `expstore.model.texts`.

        Raises:
            MissingExtraError: the extra `arrow` is not installed.
        """
        from expstore.model.frames import to_arrow

        return to_arrow(self.names, self.name_codes, self.values, self.steps, self.timestamps)

    def to_pandas(self) -> pd.DataFrame:
        """The metrics as a pandas DataFrame: the columns of `to_arrow`, `name` as strings.

        The frame is a copy, and may be written to. `pd.DataFrame(table)` is the same, but made of
        one object for each metric, which takes a thousand times as long.

        Raises:
            MissingExtraError: the extra `pandas` is not installed.
        """
        from expstore.model.frames import to_pandas

        return to_pandas(self.names, self.name_codes, self.values, self.steps, self.timestamps)

    def to_polars(self) -> pl.DataFrame:
        """The metrics as a polars DataFrame: the columns of `to_arrow`, `name` as strings.

        `pl.DataFrame(table)` is the same, but made of one object for each metric, which takes a
        thousand times as long.

        Raises:
            MissingExtraError: the extra `polars` is not installed.
        """
        from expstore.model.frames import to_polars

        return to_polars(self.names, self.name_codes, self.values, self.steps, self.timestamps)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The Arrow PyCapsule protocol: `pa.table(table)`, DuckDB, `pd.DataFrame.from_arrow`.

        What is written in C for one type of its own, such as `pq.write_table`, takes the result of
        `to_arrow`.

        Raises:
            MissingExtraError: the extra `arrow` is not installed.
        """
        return self.to_arrow().__arrow_c_stream__(requested_schema)
