"""Exporting experiments to CSV, JSON lines, Parquet and TensorBoard.

Guarantees: experiments are read one at a time, and few are in memory. One that cannot be read is
skipped and reported, and does not affect the others. An output appears only when complete, and
nothing is overwritten unless requested.

Values are exported exactly as stored. Text is changed only by `texts.escape`: a metric name such as
`=1+1` is written to CSV unchanged, and a spreadsheet may treat it as a formula. Non-finite numbers
are `nan`, `inf` and `-inf` in CSV, and the strings "NaN", "Infinity" and "-Infinity" in JSON lines;
JSON lines omit null fields.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from expstore.errors import ExpStoreError
from expstore.exchange import wide
from expstore.exchange.runcolumns import RunColumns
from expstore.exchange.sinks import ROW_GROUP, SINKS, FileFormat
from expstore.extras import require
from expstore.model.longform import dated, long_schema, with_date
from expstore.store import stream
from expstore.store.files.output import check_output, whole_file
from expstore.store.stream import TableStream
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    from expstore.store.repository import ExperimentStore


Progress = Callable[[Iterable[str]], Iterable[str]]
"""Passes the commit ids through and shows progress; called twice for the wide form."""


@dataclass(frozen=True)
class ExportReport:
    """The result of an export.

    Attributes:
        rows: rows written, or points for TensorBoard.
        experiments: number of experiments requested.
        failures: by commit id, what could not be read and is therefore missing from the output.
        tails: by commit id, the status of a metrics.bin that does not end cleanly; its readable
            records are in the output.
        overflows: number of values too large for TensorBoard's 32-bit floats, written as infinity.
        underflows: of those too small, written as 0.
        rounded: of those written with fewer digits.
    """

    rows: int
    experiments: int
    failures: dict[str, ExpStoreError | FormatError]
    tails: dict[str, TailStatus]
    overflows: int = 0
    underflows: int = 0
    rounded: int = 0


def export_file(
    store: ExperimentStore,
    ids: Iterable[str] | None,
    output: str | os.PathLike[str] | IO[bytes],
    to: FileFormat,
    *,
    names: Collection[str] | None = None,
    wide_form: bool = False,
    with_metadata: bool | None = None,
    metadata: bool | None = None,
    params: bool = False,
    force: bool = False,
    progress: Progress = iter,
) -> ExportReport:
    """Write experiments to one file.

    Args:
        store: the store to read from.
        ids: commit ids, in output order; None: all, sorted.
        output: the path to create, or a binary file open for writing, which is left open.
        to: the format.
        names: export only metrics with these names; in the wide form, these are the columns.
        wide_form: one row per step, see `wide`, without superseded metrics; otherwise one row per
            metric, with all of them.
        with_metadata: add the columns `job_name`, `user` and `created` (seconds since 1970-01-01
            UTC), and in Parquet `created_date` (that day in UTC). True: metadata that cannot be
            read is a failure; None: it is null, and only Parquet has the columns.
        metadata: the older name of `with_metadata`.
        params: add the columns `tags` (joined by commas), `status`, and `param:NAME` for each
            parameter; see `runcolumns`.
        force: replace an existing output.
        progress: see `Progress`.

    Raises:
        MissingExtraError: the extra `arrow` is not installed.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError, OutputExistsError,
        ExportError: nothing was written.
        OSError: the output cannot be written; no partial output is left at a path.
    """
    require("pyarrow", "arrow")
    asked = metadata if with_metadata is None else with_metadata
    with_metadata = to == "parquet" if asked is None else asked
    chosen = store.select_ids(ids)
    if isinstance(output, str | os.PathLike):
        output = Path(output)
        check_output(output, force=force)
    failures: dict[str, ExpStoreError | FormatError] = {}
    # A wide table has one value for a step, so what a later start repeated is left out.
    stream_of = TableStream(
        store.location, (), strict=False, superseded=not wide_form, failures=failures
    )
    source = replace(
        stream_of,
        ids=progress(chosen),
        names=names,
        metadata=with_metadata,
        metadata_required=bool(asked),
    )
    if wide_form:
        columns, counts = list(dict.fromkeys(names or ())), None
        if names is None:
            columns, counts = wide.metric_names(replace(stream_of, ids=progress(chosen)))
        wide.check_columns(columns)
        schema = wide.wide_schema(columns, with_metadata)
        batches = wide.wide_batches(source, columns, counts)
    else:
        schema = long_schema(with_metadata)
        batches = stream.long_batches(source, 1 if params else ROW_GROUP)
    if to == "parquet":
        schema, batches = with_date(schema), map(dated, batches)
    if params:
        further = RunColumns(store, chosen, failures)
        schema = further.extended(schema)
        batches = (further.extend(batch, schema) for batch in batches)
    rows = 0
    with _opened(output) as file, SINKS[to](file, schema) as write:
        for batch in batches:
            write(batch)
            rows += batch.num_rows
    return ExportReport(rows, len(chosen), failures, source.tails)


@contextmanager
def _opened(output: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """The file to write to; a file at a path appears only when complete."""
    if isinstance(output, Path):
        with whole_file(output) as file:
            yield file
    else:
        yield output
        output.flush()
