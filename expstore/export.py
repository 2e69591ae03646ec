"""Exporting experiments to CSV, JSON lines, Parquet and TensorBoard.

Guarantees: experiments are read and written one at a time; one that cannot be read is left out and
told, and never breaks the rest; an output appears only when it is whole, and nothing is overwritten
unless that was asked for.

The values are the store's own. Text is not altered beyond `texts.escape`: a metric name such as
`=1+1` reaches a CSV file as it is, and a spreadsheet may take it for a formula. Not-finite numbers
are `nan`, `inf` and `-inf` in CSV and the strings "NaN", "Infinity" and "-Infinity" in JSON lines,
where what is null is left out.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from expstore import frames, wide
from expstore.errors import ExpStoreError, OutputExistsError
from expstore.extras import require
from expstore.frames import Source
from expstore.layout import temporary_name
from expstore.texts import json_number
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    import pyarrow as pa

    from expstore.store import ExperimentStore

Write: TypeAlias = "Callable[[pa.RecordBatch], None]"
FileFormat = Literal["csv", "jsonl", "parquet"]
TEMPORARY = re.compile(r"\.expstore-[0-9a-f]{16}\.tmp")
"""The names of files that are being written, or that an interruption left."""
_ROW_GROUP = 1 << 26  # bytes in memory that make a row group of a Parquet file

Progress = Callable[[Iterable[str]], Iterable[str]]
"""Hands the commit ids on while it shows how far they are; read twice for the wide form."""


@dataclass(frozen=True)
class ExportReport:
    """What an export did.

    Attributes:
        rows: rows written, or points for TensorBoard.
        experiments: experiments asked for.
        failures: by commit id, what could not be read, and so is missing in the output.
        tails: by commit id, a metrics.bin that does not end cleanly; what can be read is there.
        overflows: values beyond what TensorBoard's 32 bits hold, which became infinite.
    """

    rows: int
    experiments: int
    failures: dict[str, ExpStoreError | FormatError]
    tails: dict[str, TailStatus]
    overflows: int = 0


def export_file(
    store: ExperimentStore,
    ids: Iterable[str] | None,
    output: str | os.PathLike[str] | IO[bytes],
    to: FileFormat,
    *,
    names: Collection[str] | None = None,
    wide_form: bool = False,
    metadata: bool = False,
    force: bool = False,
    progress: Progress = iter,
) -> ExportReport:
    """Write experiments to one file.

    Args:
        store: where they are.
        ids: commit ids, in the order wanted; None: all, sorted.
        output: the file to make, or one that is open for writing bytes and stays open.
        to: the format.
        names: metrics of these names only; in the wide form, its columns.
        wide_form: a row for each step, see `wide`; otherwise a row for each metric.
        metadata: add the columns `job_name`, `user` and `created` (seconds since 1970-01-01 UTC).
        force: replace an output that exists.
        progress: see `Progress`.

    Raises:
        MissingExtraError: the extra `arrow` is not installed.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError, OutputExistsError,
        ExportError: nothing was written.
        OSError: the output cannot be written; nothing of it is left.
    """
    require("pyarrow", "arrow")
    chosen = store.existing(ids)
    if isinstance(output, str | os.PathLike):
        output = Path(output)
        check_output(output, force)
    failures: dict[str, ExpStoreError | FormatError] = {}
    source = Source(
        store, progress(chosen), names, metadata=metadata, strict=False, failures=failures
    )
    if wide_form:
        columns, counts = list(dict.fromkeys(names or ())), None
        if names is None:
            first = Source(store, progress(chosen), strict=False, failures=failures)
            columns, counts = wide.metric_names(first)
        wide.check_columns(columns)
        schema = wide.wide_schema(columns, metadata)
        batches = wide.wide_batches(source, columns, counts)
    else:
        schema = frames.long_schema(metadata)
        batches = frames.long_batches(source)
    rows = 0
    with whole_file(output) as file, _SINKS[to](file, schema) as write:
        for batch in batches:
            write(batch)
            rows += batch.num_rows
    return ExportReport(rows, len(chosen), failures, source.tails)


def check_output(output: Path, force: bool) -> None:
    """Raise OutputExistsError where the output is there and may not be replaced."""
    if os.path.lexists(output):
        if not force:
            raise OutputExistsError(f"{output}: is there already; force replaces it")
        if not output.is_file():
            raise OutputExistsError(f"{output}: is no regular file, and is not replaced")


def unfinished_name() -> str:
    """A new name that TEMPORARY matches."""
    return temporary_name(".expstore-") + ".tmp"


@contextmanager
def whole_file(output: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """The file to write to; a path comes to be only when all is written.

    Until then it is one that TEMPORARY matches.
    """
    if not isinstance(output, Path):
        yield output
        output.flush()
        return
    output = output.resolve()
    temporary = output.with_name(unfinished_name())
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, output)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


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
    """A column's cells for JSON; Arrow's own `to_pylist` makes an object of each cell first."""
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
    """Writes batches to a Parquet file.

    Args:
        file: open for writing.
        schema: the columns.
        notes: gives key-value metadata for the file's end, when all is written.
    """
    arrow, parquet = require("pyarrow", "arrow"), require("pyarrow.parquet", "arrow")
    pending: list[pa.RecordBatch] = []
    size = 0

    def flush() -> None:
        nonlocal size
        if pending:
            # Of differing dictionaries, the writer keeps the first and writes the rest in full.
            table = arrow.Table.from_batches(pending).unify_dictionaries()
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            pending.clear()
            size = 0

    def write(batch: pa.RecordBatch) -> None:
        # Small experiments go together: a row group each would make the file slow to read.
        nonlocal size
        pending.append(batch)
        size += batch.nbytes
        if size >= _ROW_GROUP:
            flush()

    with parquet.ParquetWriter(file, schema) as writer:
        yield write
        flush()
        if noted := notes():
            writer.add_key_value_metadata(noted)


_SINKS = {"csv": _csv, "jsonl": _jsonl, "parquet": parquet_sink}
