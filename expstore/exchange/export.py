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

from expstore.errors import ExportError, ExpStoreError
from expstore.exchange import wide
from expstore.exchange.parts import Part, join_parts
from expstore.exchange.runcolumns import RunColumns
from expstore.exchange.sinks import ROW_GROUP, SINKS, WITHOUT_HEADINGS, FileFormat
from expstore.extras import require
from expstore.model.longform import dated, long_schema, with_date
from expstore.store import stream
from expstore.store.files.output import check_output, whole_file
from expstore.store.jobs import check_jobs
from expstore.store.stream import TableStream
from formats import FormatError, TailStatus

if TYPE_CHECKING:
    import pyarrow as pa

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
    jobs: int = 1,
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
        jobs: the number of processes that read and write CSV and JSON lines; 0: one for each
            processor. A script that uses more than one must do so under
            `if __name__ == "__main__":`.

    Raises:
        SelectionError: `jobs` is not a whole number.
        JobError: a process died.
        MissingExtraError: the extra `arrow` is not installed.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError, OutputExistsError,
        ExportError: nothing was written.
        OSError: the output cannot be written; no partial output is left at a path.
    """
    require("pyarrow", "arrow")
    jobs = check_jobs(jobs)
    if jobs > 1 and to == "parquet":
        raise ExportError(
            "a Parquet file is encoded by one process; use jobs=1, or "
            "expstore.cluster.export_parquet (--cluster) for many files by many processes"
        )
    asked = metadata if with_metadata is None else with_metadata
    with_metadata = to == "parquet" if asked is None else asked
    chosen = store.select_ids(ids)
    if isinstance(output, str | os.PathLike):
        output = Path(output)
        check_output(output, force=force)
    failures: dict[str, ExpStoreError | FormatError] = {}
    rows = _Rows(store, to, names, with_metadata, bool(asked))
    if wide_form:
        columns, counts = list(dict.fromkeys(names or ())), None
        if names is None:
            # A wide table has one value for a step, so what a later start repeated is left out.
            stream_of = TableStream(
                store.location,
                chosen,
                strict=False,
                superseded=False,
                failures=failures,
                progress=progress,
            )
            columns, counts = wide.metric_names(stream_of)
        wide.check_columns(columns)
        rows = replace(rows, wide_columns=columns, wide_counts=counts)
    if params:
        rows = replace(rows, further=RunColumns(store, chosen, failures))
    count = 0
    tails: dict[str, TailStatus] = {}
    beside = output if isinstance(output, Path) else None
    with _opened(output) as file:
        if jobs > 1 and len(chosen) > 1:
            with SINKS[to](file, rows.schema):
                pass  # the headings alone
            parts = join_parts(store, chosen, rows.write, file, beside, jobs, progress)
        else:
            parts = iter([rows.written(chosen, file, progress)])
        for part in parts:
            count += part.rows
            failures |= part.failures
            tails |= part.tails
    return ExportReport(count, len(chosen), failures, tails)


@dataclass(frozen=True)
class _Rows:
    """The rows of experiments in one format; see `export_file` for most of the attributes.

    Attributes:
        wide_columns: the metrics that get a column of a wide table; None: the long form.
        wide_counts: see `wide.wide_batches`.
        further: what run.json adds, if it does.
    """

    store: ExperimentStore
    to: FileFormat
    names: Collection[str] | None
    metadata: bool
    metadata_required: bool
    wide_columns: Collection[str] | None = None
    wide_counts: dict[str, int] | None = None
    further: RunColumns | None = None

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        if self.wide_columns is None:
            schema = long_schema(self.metadata)
        else:
            schema = wide.wide_schema(self.wide_columns, self.metadata)
        if self.to == "parquet":
            schema = with_date(schema)
        return schema if self.further is None else self.further.extended(schema)

    def written(
        self,
        ids: Iterable[str],
        file: IO[bytes],
        progress: Progress = iter,
        *,
        headings: bool = True,
    ) -> Part:
        """Write the rows of experiments."""
        source = TableStream(
            self.store.location,
            ids,
            self.names,
            metadata=self.metadata,
            metadata_required=self.metadata_required,
            strict=False,
            superseded=self.wide_columns is None,
            progress=progress,
        )
        schema, rows = self.schema, 0
        sink = SINKS[self.to] if headings else WITHOUT_HEADINGS[self.to]
        with sink(file, schema) as write:
            for batch in self._batches(source, schema):
                write(batch)
                rows += batch.num_rows
        return Part([], rows, source.failures, source.tails)

    def write(self, ids: list[str], file: IO[bytes]) -> Part:
        """Write the rows of experiments as a part of a file; see `parts.Write`."""
        return self.written(ids, file, headings=False)._replace(ids=ids)

    def _batches(self, source: TableStream, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        if self.wide_columns is not None:
            batches = wide.wide_batches(source, self.wide_columns, self.wide_counts)
        else:
            batches = stream.long_batches(source, ROW_GROUP if self.further is None else 1)
        if self.to == "parquet":
            batches = map(dated, batches)
        if self.further is None:
            return batches
        further = self.further
        return (further.extend(batch, schema) for batch in batches)


@contextmanager
def _opened(output: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """The file to write to; a file at a path appears only when complete."""
    if isinstance(output, Path):
        with whole_file(output) as file:
            yield file
    else:
        yield output
        output.flush()
