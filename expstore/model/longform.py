"""The long form: many experiments' metrics as Arrow columns, one row for each metric.

Guarantees: the columns have the same names, order and types wherever the long form is used:
`commit_id`, then those of a table (see `model.frames`), then `job_name`, `user` and `created`
(seconds since 1970-01-01 UTC) if metadata is wanted. Texts are dictionaries with 32-bit codes, made
valid Unicode by `texts.escape`; metadata that cannot be read is null. In Parquet files, there is a
date after `created`; see `dated`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from expstore.extras import require
from expstore.model.frames import metric_fields, number_type
from expstore.model.texts import escape
from expstore.model.values import Metadata, Metric

if TYPE_CHECKING:
    import pyarrow as pa

    from expstore.model.table import MetricTable

COMMIT_ID = "commit_id"
METADATA_COLUMNS = ("job_name", "user", "created")
CREATED_DATE = "created_date"
_DAY = 86_400
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896  # of the years 1 to 9999, which all readers can show

_NUMBERS = {"value": "values", "step": "steps", "timestamp": "timestamps"}


@cache
def long_schema(metadata: bool = False) -> pa.Schema:
    """The columns of many experiments in the long form."""
    pa = require("pyarrow", "arrow")
    text = pa.dictionary(pa.int32(), pa.string())
    fields = [(COMMIT_ID, text), *metric_fields()]
    if metadata:
        fields += [("job_name", text), ("user", text), ("created", pa.int64())]
    return pa.schema(fields)


def long_columns(metadata: bool = False) -> tuple[str, ...]:
    """The names of the columns."""
    return (COMMIT_ID, *Metric._fields, *(METADATA_COLUMNS if metadata else ()))


def with_date(schema: pa.Schema) -> pa.Schema:
    """The schema with a column `created_date` after `created`, if it has that."""
    place = schema.get_field_index("created") + 1
    pa = require("pyarrow", "arrow")
    return schema.insert(place, pa.field(CREATED_DATE, pa.date32())) if place else schema


def dated(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch with the columns of `with_date`."""
    place = batch.schema.get_field_index("created") + 1
    if not place:
        return batch
    pa = require("pyarrow", "arrow")
    columns = list(batch.columns)
    columns.insert(place, dates(batch.column("created")))
    return pa.record_batch(columns, schema=with_date(batch.schema))


def dates(seconds: pa.Array) -> pa.Array:
    """The date in UTC of each time; null if there is none, or it is outside the years 1 to 9999."""
    import numpy as np

    pa = require("pyarrow", "arrow")
    days = seconds.fill_null(0).to_numpy(zero_copy_only=False) // _DAY
    odd = (days < _FIRST_DAY) | (days > _LAST_DAY) | seconds.is_null().to_numpy(False)
    return pa.array(np.where(odd, 0, days).astype(np.int32), pa.int32(), mask=odd).cast(pa.date32())


class LongRows:
    """Gathers the tables of experiments into columns.

    Args:
        columns: the columns wanted; no other is built.

    Attributes:
        rows: the number of rows gathered so far.
    """

    def __init__(self, columns: Iterable[str]) -> None:
        self.columns = tuple(columns)
        self.rows = 0
        self._counts: list[int] = []  # rows of each table
        self._repeated: dict[str, list[Any]] = {
            name: [] for name in self.columns if name in (COMMIT_ID, *METADATA_COLUMNS)
        }
        self._numbers: dict[str, list[Any]] = {
            name: [] for name in self.columns if name in _NUMBERS
        }
        self._names: dict[str, int] = {}
        self._name_codes: list[Any] = []
        self._last: tuple[tuple[str, ...], Any] = ((), None)

    def add(self, commit_id: str, table: MetricTable, metadata: Metadata | None = None) -> None:
        """Add an experiment's metrics; a long log may come in several tables."""
        self.rows += len(table)
        self._counts.append(len(table))
        for name, cells in self._repeated.items():
            if name == COMMIT_ID:
                cells.append(commit_id)
            elif metadata is None:
                cells.append(None)
            else:
                cells.append(metadata.timestamp if name == "created" else getattr(metadata, name))
        for name, arrays in self._numbers.items():
            arrays.append(getattr(table, _NUMBERS[name]))
        if "name" in self.columns:
            self._name_codes.append(self._codes_of(table.names)[table.name_codes])

    def _codes_of(self, names: tuple[str, ...]) -> Any:
        """The codes of a table's names. Most logs of a store have the same names."""
        import numpy as np

        if self._last[1] is None or self._last[0] != names:
            codes = [self._names.setdefault(name, len(self._names)) for name in names]
            self._last = names, np.array(codes, np.int32)
        return self._last[1]

    def finish(self) -> dict[str, pa.Array]:
        """The columns in the order asked for. What was gathered is released meanwhile."""
        return {name: self._column(name) for name in self.columns}

    def _column(self, name: str) -> pa.Array:
        import numpy as np

        pa = require("pyarrow", "arrow")
        if name == "name":
            codes = _joined(self._name_codes, np.dtype(np.int32))
            return repeated(list(self._names), codes)
        if name in self._numbers:
            return pa.array(_joined(self._numbers[name], number_type(name)))
        cells = self._repeated[name]
        counts = np.array(self._counts, np.intp)
        if name == "created":
            return pa.array(cells, pa.int64()).take(
                pa.array(np.repeat(np.arange(len(cells)), counts))
            )
        known: dict[str | None, int] = {}
        codes = np.array([known.setdefault(cell, len(known)) for cell in cells], np.int32)
        return repeated(list(known), np.repeat(codes, counts))


def repeated(values: list[str | None], codes: Any) -> pa.DictionaryArray:
    """A column of texts, each the index of one of the values."""
    pa = require("pyarrow", "arrow")
    if None in values:
        codes = pa.array(codes, mask=codes == values.index(None))
    texts = ["" if value is None else escape(value) for value in values]
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(texts, pa.string()))


def _joined(arrays: list[Any], dtype: Any) -> Any:
    import numpy as np

    if len(arrays) == 1:
        return arrays[0]
    joined = np.concatenate(arrays) if arrays else np.empty(0, dtype)
    arrays.clear()  # now, so that only one column at a time is in memory twice
    return joined
