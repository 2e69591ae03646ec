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

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from expstore.errors import ExpStoreError
from expstore.exchange import wide
from expstore.exchange.sinks import SINKS, FileFormat
from expstore.extras import require
from expstore.store import stream
from expstore.store.files.output import check_output, whole_file
from expstore.store.stream import TableStream
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    from expstore.store.repository import ExperimentStore


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
    chosen = store.select_ids(ids)
    if isinstance(output, str | os.PathLike):
        output = Path(output)
        check_output(output, force=force)
    failures: dict[str, ExpStoreError | FormatError] = {}
    source = TableStream(
        store.location, progress(chosen), names, metadata=metadata, strict=False, failures=failures
    )
    if wide_form:
        columns, counts = list(dict.fromkeys(names or ())), None
        if names is None:
            first = TableStream(store.location, progress(chosen), strict=False, failures=failures)
            columns, counts = wide.metric_names(first)
        wide.check_columns(columns)
        schema = wide.wide_schema(columns, metadata)
        batches = wide.wide_batches(source, columns, counts)
    else:
        schema = stream.long_schema(metadata)
        batches = stream.long_batches(source)
    rows = 0
    with _opened(output) as file, SINKS[to](file, schema) as write:
        for batch in batches:
            write(batch)
            rows += batch.num_rows
    return ExportReport(rows, len(chosen), failures, source.tails)


@contextmanager
def _opened(output: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """The file to write to; a path comes to be only when all is written."""
    if isinstance(output, Path):
        with whole_file(output) as file:
            yield file
    else:
        yield output
        output.flush()
