"""Writing Arrow batches to a file as CSV, JSON lines or Parquet.

Guarantees: batches are written as they arrive, with only a few in memory; the file stays open.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from expstore.extras import require
from expstore.model.texts import json_number

if TYPE_CHECKING:
    import pyarrow as pa

Write: TypeAlias = "Callable[[pa.RecordBatch], None]"
FileFormat = Literal["csv", "jsonl", "parquet"]

_ROW_GROUP = 1 << 26  # size of a Parquet row group, in bytes in memory


@contextmanager
def _csv(file: IO[bytes], schema: pa.Schema) -> Iterator[Write]:
    arrow, csv = require("pyarrow", "arrow"), require("pyarrow.csv", "arrow")
    plain = arrow.schema(
        [
            (field.name, arrow.string() if arrow.types.is_dictionary(field.type) else field.type)
            for field in schema
        ]
    )
    with csv.CSVWriter(file, plain) as writer:
        yield lambda batch: writer.write_table(arrow.Table.from_batches([batch]).cast(plain))


@contextmanager
def _jsonl(file: IO[bytes], schema: pa.Schema) -> Iterator[Write]:
    encode = json.JSONEncoder(allow_nan=False).encode

    def write(batch: pa.RecordBatch) -> None:
        rows: Iterable[Any] = zip(*map(_json_column, batch.columns), strict=True)
        rows = (zip(schema.names, row, strict=True) for row in rows)
        if any(column.null_count for column in batch.columns):
            rows = ((pair for pair in row if pair[1] is not None) for row in rows)
        file.writelines(f"{encode(dict(row))}\n".encode("ascii") for row in rows)

    yield write


def _json_column(column: pa.Array) -> list[Any]:
    """A column's values for JSON; avoids `to_pylist` where possible, as it wraps every value."""
    arrow = require("pyarrow", "arrow")
    if arrow.types.is_dictionary(column.type) and not column.null_count:
        texts = column.dictionary.to_pylist()
        return [texts[code] for code in column.indices.to_numpy().tolist()]
    if column.null_count:
        cells = column.to_pylist()
        return [json_number(cell) if isinstance(cell, float) else cell for cell in cells]
    numbers: list[Any] = column.to_numpy().tolist()
    if arrow.types.is_floating(column.type):
        return [json_number(number) for number in numbers]
    return numbers


@contextmanager
def parquet_sink(
    file: IO[bytes], schema: pa.Schema, notes: Callable[[], dict[str, str]] = dict
) -> Iterator[Write]:
    """Write batches to a Parquet file.

    Args:
        file: open for writing.
        schema: the columns.
        notes: called after the last batch; returns key-value metadata for the footer.
    """
    arrow, parquet = require("pyarrow", "arrow"), require("pyarrow.parquet", "arrow")
    pending: list[pa.RecordBatch] = []
    size = 0

    def flush() -> None:
        nonlocal size
        if pending:
            # If dictionaries differ, the writer keeps only the first and writes the rest plain.
            table = arrow.Table.from_batches(pending).unify_dictionaries()
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            pending.clear()
            size = 0

    def write(batch: pa.RecordBatch) -> None:
        # Small experiments share a row group: one group each would make the file slow to read.
        nonlocal size
        pending.append(batch)
        size += batch.nbytes
        if size >= _ROW_GROUP:
            flush()

    with parquet.ParquetWriter(file, schema) as writer:
        yield write
        flush()
        if metadata := notes():
            writer.add_key_value_metadata(metadata)


SINKS = {"csv": _csv, "jsonl": _jsonl, "parquet": parquet_sink}
