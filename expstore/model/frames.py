"""Metrics as pyarrow, pandas and polars tables.

Guarantees: columns have the names that the format declares, in the order of `Metric`, and its
types, except that unsigned integers are int64, so that differences do not wrap around. Numbers are
not copied if the library can share them; pandas gets a copy, since its users write to frames.
`timestamp` stays an int64 count of seconds since 1970-01-01 UTC, because files may hold values
beyond the range of any calendar type (casting to `timestamp[s]` is free where they are dates).
Names are made valid Unicode by `texts.escape`, which keeps different names different. In Arrow they
are dictionary-encoded; in pandas and polars they are strings, as in what these read from Parquet,
so that every operation takes both.

The functions take columns, not a table: the names, then for each metric the index of its name, its
value, step and timestamp; see `MetricTable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from expstore.extras import require
from expstore.model.texts import escape, escape_loosely
from expstore.model.values import RECORD_CODEC, Metric

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray


def to_arrow(
    names: Sequence[str],
    name_codes: NDArray[np.int32],
    values: NDArray[np.float64],
    steps: NDArray[np.int64],
    timestamps: NDArray[np.int64],
) -> pa.Table:
    """See `MetricTable.to_arrow`."""
    pa = require("pyarrow", "arrow")
    texts = pa.array([escape(name) for name in names], pa.string())
    columns = {
        "name": pa.DictionaryArray.from_arrays(pa.array(name_codes), texts),
        "value": pa.array(values),
        "step": pa.array(steps),
        "timestamp": pa.array(timestamps),
    }
    return pa.table(columns, schema=_schema())


@cache
def _schema() -> pa.Schema:
    return require("pyarrow", "arrow").schema(metric_fields())


def to_pandas(
    names: Sequence[str],
    name_codes: NDArray[np.int32],
    values: NDArray[np.float64],
    steps: NDArray[np.int64],
    timestamps: NDArray[np.int64],
) -> pd.DataFrame:
    """See `MetricTable.to_pandas`."""
    pandas = require("pandas", "pandas")
    texts = pandas.array([escape(name) for name in names], dtype=pandas.Index(["text"]).dtype)
    columns = {
        "name": texts.take(name_codes),
        "value": values,
        "step": steps,
        "timestamp": timestamps,
    }
    # A copy, since the columns are read-only, and pandas' users write to frames.
    frame: pd.DataFrame = pandas.DataFrame(columns, copy=True)
    return frame


def to_polars(
    names: Sequence[str],
    name_codes: NDArray[np.int32],
    values: NDArray[np.float64],
    steps: NDArray[np.int64],
    timestamps: NDArray[np.int64],
) -> pl.DataFrame:
    """See `MetricTable.to_polars`."""
    polars = require("polars", "polars")
    texts = polars.Series([escape(name) for name in names], dtype=polars.String)
    frame: pl.DataFrame = polars.DataFrame(
        {
            "name": texts.gather(name_codes),
            "value": values,
            "step": steps,
            "timestamp": timestamps,
        }
    )
    return frame


@cache
def metric_fields() -> tuple[tuple[str, Any], ...]:
    """The name and Arrow type of each column: the declared one, or int64 for what is unsigned."""
    pa = require("pyarrow", "arrow")

    def arrow_type(name: str) -> Any:
        if RECORD_CODEC.schema[name].is_text:
            return pa.dictionary(pa.int32(), pa.string())
        return pa.from_numpy_dtype(number_type(name))

    return tuple((name, arrow_type(name)) for name in Metric._fields)


@cache
def number_type(name: str) -> np.dtype[Any]:
    """The NumPy type of a column of numbers: the declared one, or int64 for what is unsigned."""
    import numpy as np

    declared = np.dtype(RECORD_CODEC.schema[name].dtype).newbyteorder("=")
    return np.dtype(np.int64) if declared.kind == "u" else declared


def repeated_text(text: str | None, count: int) -> pa.DictionaryArray:
    """A column that repeats one string, or nulls for None."""
    import numpy as np

    pa = require("pyarrow", "arrow")
    codes = pa.nulls(count, pa.int32()) if text is None else pa.array(np.zeros(count, np.int32))
    values = pa.array([] if text is None else [escape_loosely(text)], pa.string())
    return pa.DictionaryArray.from_arrays(codes, values)
