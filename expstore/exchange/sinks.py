"""Writing Arrow batches to a file as CSV, JSON lines or Parquet.

Guarantees: batches are written as they arrive, with only a few in memory; the file stays open.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from expstore.extras import require
from expstore.model.texts import json_number

if TYPE_CHECKING:
    import pyarrow as pa

Write: TypeAlias = "Callable[[pa.RecordBatch], None]"
Sink: TypeAlias = "Callable[[IO[bytes], pa.Schema], AbstractContextManager[Write]]"
FileFormat = Literal["csv", "jsonl", "parquet"]

ROW_GROUP = 1 << 17
"""Rows of a Parquet row group: few enough for readers to skip by `commit_id` most of a file."""

_ROW_GROUP_BYTES = 1 << 26  # in memory; wide tables reach it first


@contextmanager
def _csv(file: IO[bytes], schema: pa.Schema, headings: bool = True) -> Iterator[Write]:
    arrow, csv = require("pyarrow", "arrow"), require("pyarrow.csv", "arrow")
    plain = arrow.schema(
        [
            (field.name, arrow.string() if arrow.types.is_dictionary(field.type) else field.type)
            for field in schema
        ]
    )
    options = csv.WriteOptions(include_header=headings)
    with csv.CSVWriter(file, plain, write_options=options) as writer:
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
    numbers: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
    if arrow.types.is_floating(column.type):
        return [json_number(number) for number in numbers]
    return numbers


@contextmanager
def parquet_sink(
    file: IO[bytes], schema: pa.Schema, notes: Callable[[], dict[str, str]] = dict
) -> Iterator[Write]:
    """Write batches to a Parquet file, whose texts are plain strings for every reader.

    Args:
        file: open for writing.
        schema: the columns.
        notes: called after the last batch; returns key-value metadata for the footer.
    """
    arrow = require("pyarrow", "arrow")
    pending: list[pa.RecordBatch] = []
    rows = size = 0

    def flush() -> None:
        nonlocal rows, size
        if pending:
            # If dictionaries differ, the writer keeps only the first and writes the rest plain.
            table = arrow.Table.from_batches(pending).unify_dictionaries()
            writer.write_table(table, row_group_size=min(max(1, table.num_rows), ROW_GROUP))
            pending.clear()
            rows = size = 0

    def write(batch: pa.RecordBatch) -> None:
        # Small experiments share a row group: one group each would make the file slow to read.
        nonlocal rows, size
        pending.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= ROW_GROUP or size >= _ROW_GROUP_BYTES:
            flush()

    with _parquet_writer(file, schema) as writer:
        yield write
        flush()
        if metadata := notes():
            writer.add_key_value_metadata(metadata)


def write_empty_parquet(file: IO[bytes], schema: pa.Schema, notes: dict[str, str]) -> None:
    """Write a Parquet file without rows, which has the columns and the notes."""
    with parquet_sink(file, schema, lambda: notes):
        pass


def _parquet_writer(file: IO[bytes], schema: pa.Schema) -> Any:
    arrow, parquet = require("pyarrow", "arrow"), require("pyarrow.parquet", "arrow")
    types = {field.name: field.type for field in schema}
    texts = [name for name, kind in types.items() if arrow.types.is_dictionary(kind)]
    encodings = {
        name: "BYTE_STREAM_SPLIT" if arrow.types.is_floating(kind) else "DELTA_BINARY_PACKED"
        for name, kind in types.items()
        if name not in texts and not arrow.types.is_boolean(kind)  # which have one of their own
    }
    return parquet.ParquetWriter(
        file,
        schema,
        # Without Arrow's own schema, which says that texts are dictionaries: PyArrow then skips no
        # row group, and polars refuses operations on strings. They are encoded as such anyway.
        store_schema=False,
        compression="zstd",
        use_dictionary=texts,
        column_encoding=encodings,
    )


SINKS: dict[str, Sink] = {"csv": _csv, "jsonl": _jsonl, "parquet": parquet_sink}
"""By format, what writes rows to a file: an iterator of `Write`."""

WITHOUT_HEADINGS: dict[str, Sink] = {"csv": partial(_csv, headings=False), "jsonl": _jsonl}
"""The same for a part of a file that is not the first; a Parquet file has no such parts."""
