"""CSV files in long form, as `export` writes them: one row per metric.

Guarantees: a value that the store's format cannot hold is refused, and the error names its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.errors import ImportSourceError
from expstore.exchange.runs import ForeignRun, brief, check_name, check_range
from expstore.extras import require
from expstore.model.table import MetricTable
from expstore.model.texts import unescape

if TYPE_CHECKING:
    import pyarrow as pa

_REQUIRED = ("name", "value", "step", "timestamp")


def read_runs(path: Path) -> Iterator[ForeignRun]:
    """Read the experiments of a CSV file in long form, as `export` writes it.

    Columns, in any order: `name`, `value`, `step` and `timestamp` (seconds) are required.
    `commit_id` is needed only for more than one experiment; without it, the run is named after the
    file. `job_name`, `user` and `created` are optional.
    """
    import numpy as np

    pa = require("pyarrow", "arrow")
    table = _csv_table(path)
    if "commit_id" not in table.column_names:
        count = table.num_rows
        column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [path.stem])
        table = table.append_column("commit_id", column)
    table = table.unify_dictionaries().combine_chunks()
    ids, codes = _dictionary(table.column("commit_id"))
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(len(ids) + 1))
    for code, name in enumerate(ids):
        rows = order[bounds[code] : bounds[code + 1]]
        yield _csv_run(f"{path}: experiment {name!r}", name, table.take(pa.array(rows)))


def _csv_table(path: Path) -> pa.Table:
    pa, csv = require("pyarrow", "arrow"), require("pyarrow.csv", "arrow")
    text, integer = pa.dictionary(pa.int32(), pa.string()), pa.int64()
    types = {
        "commit_id": text,
        "name": text,
        "value": pa.float64(),
        "step": integer,
        "timestamp": integer,
        "job_name": text,
        "user": text,
        "created": integer,
    }
    if path.exists() and not path.is_file():
        raise ImportSourceError(f"{path}: not a regular file")
    try:
        table = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=types, null_values=[""], quoted_strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, UnicodeError, OSError) as error:
        raise ImportSourceError(f"{path}: {brief(error)}") from error
    missing = [name for name in _REQUIRED if name not in table.column_names]
    unknown = [name for name in table.column_names if name not in types]
    if missing or unknown or len(set(table.column_names)) < table.num_columns:
        raise ImportSourceError(
            f"{path}: not the long form (one row per metric): columns missing: "
            f"{', '.join(missing) or 'none'}; unknown: {', '.join(unknown[:10]) or 'none'}"
        )
    for name in (*_REQUIRED, "commit_id"):
        if name in table.column_names and table.column(name).null_count:
            raise ImportSourceError(f"{path}: column {name} has empty fields")
    return table


def _dictionary(column: pa.ChunkedArray) -> tuple[list[str], Any]:
    """The distinct strings in order of first appearance, and each row's index into them."""
    import numpy as np

    pa = require("pyarrow", "arrow")
    if not column.num_chunks:
        return [], np.zeros(0, np.int32)
    array = column.combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    texts = array.dictionary.to_pylist()
    return [unescape(text) for text in texts], array.indices.to_numpy().astype(np.int32)


def _csv_run(source: str, name: str, table: pa.Table) -> ForeignRun:
    import numpy as np

    names, codes = _dictionary(table.column("name"))
    steps = table.column("step").to_numpy()
    for wrong in np.flatnonzero(steps != steps.astype(np.uint32))[:1]:
        check_range(source, names[codes[wrong]], "step", int(steps[wrong]), int(steps[wrong]))
    for code in np.unique(codes):
        check_name(source, names[code])
    # Arrow's buffers are shared and read-only; the table gets its own copies.
    metrics = MetricTable(
        names,
        codes,
        np.array(table.column("value").to_numpy(), np.float64),
        steps.astype(np.uint32),
        np.array(table.column("timestamp").to_numpy(), np.int64),
    )
    given = {
        column: table.column(column)[0].as_py() if column in table.column_names else None
        for column in ("job_name", "user", "created")
    }
    return ForeignRun(
        name,
        metrics,
        unescape(given["job_name"] or ""),
        unescape(given["user"] or ""),
        given["created"],
    )
