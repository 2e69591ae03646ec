"""Importing experiments from TensorBoard, CSV and mlflow's file store.

Guarantees: an experiment that exists is never changed; all is read and checked, and written beside
the store's experiments, before the first one appears, so an import that fails leaves the store as
it was; one that is killed leaves a hidden directory `.import-*`, which is no experiment. What is
left out of a source (images, torn ends) is told.

Times become whole seconds, rounded down, as the format has them: mlflow's are milliseconds,
TensorBoard's fractions of seconds.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from expstore import layout, mlflow, tensorboard
from expstore import metadata as meta
from expstore.errors import ExperimentExistsError, ImportSourceError
from expstore.extras import require
from expstore.gathering import Run, check_name, check_range
from expstore.model import Metadata, MetricTable
from expstore.store import ExperimentStore
from expstore.texts import unescape

if TYPE_CHECKING:
    import pyarrow as pa

SourceFormat = Literal["tensorboard", "csv", "mlflow"]


@dataclass(frozen=True)
class Imported:
    """One experiment that was imported.

    Attributes:
        commit_id, metrics: its id, and how many metrics it has.
        notes: what was left out, in words.
    """

    commit_id: str
    metrics: int
    notes: tuple[str, ...]


def import_experiments(
    store: ExperimentStore,
    source: SourceFormat,
    path: str | os.PathLike[str],
    *,
    to_id: str | None = None,
    prefix: str = "",
    user: str | None = None,
    progress: Callable[[Iterable[Run]], Iterable[Run]] = iter,
) -> list[Imported]:
    """Import all runs of a source as new experiments.

    Args:
        store: where to; its root is created where it is missing.
        source: what `path` is.
        path: a directory of event files, a CSV file, or a directory of mlflow's file store.
        to_id: the commit id, where there is one run only; default: the run's name.
        prefix: stands before each run's name.
        user: who ran it, where the source does not tell; default: the empty text.
        progress: hands the runs on while it shows how far they are.

    Raises:
        MissingExtraError: the source needs an extra that is not installed.
        ImportSourceError: the source is not what it should be, or holds what a store cannot.
        InvalidCommitIdError, FieldValueError: a run's name makes no commit id; its job name or
            user is too long.
        ExperimentExistsError: an id is taken.
        In each case nothing was imported.
    """
    runs = _READERS[source](Path(path))
    if to_id is not None:
        only = next(runs)
        if next(runs, None) is not None:
            raise ImportSourceError(f"{path}: more than one run; one commit id does not name them")
        runs = iter((only,))
    imported: dict[str, Imported] = {}
    new_root = not store.root.exists()
    staging = ExperimentStore(store.root / layout.temporary_name(layout.IMPORTING))
    try:
        for run in progress(runs):
            metadata = _metadata(run, to_id or prefix + run.name, user or "")
            commit_id = metadata.commit_id
            if commit_id in imported:
                raise ImportSourceError(f"{path}: two runs would be named {commit_id!r}")
            _check_free(store, commit_id)
            staging.create_experiment(commit_id)
            staging.write_metadata(metadata)
            with staging.writer(commit_id) as writer:
                writer.append(run.table)
            imported[commit_id] = Imported(commit_id, len(run.table), run.notes)
        for commit_id in imported:
            _check_free(store, commit_id)
        for commit_id in imported:
            os.rename(staging.experiment_path(commit_id), store.experiment_path(commit_id))
    finally:
        shutil.rmtree(staging.root, ignore_errors=True)
        if new_root:
            with suppress(OSError):  # it is not empty, or was never made
                store.root.rmdir()
    return list(imported.values())


def _metadata(run: Run, commit_id: str, user: str) -> Metadata:
    """The run's metadata, checked to fit the format before anything is written."""
    created = run.created
    if created is None:
        created = int(run.table.timestamps.min()) if len(run.table) else 0
    metadata = Metadata(commit_id, created, run.job_name, run.user or user)
    meta.build(metadata)
    return metadata


def _check_free(store: ExperimentStore, commit_id: str) -> None:
    path = store.experiment_path(commit_id)
    if os.path.lexists(path):
        raise ExperimentExistsError(f"{path}: is there already; an import changes no experiment")


def _read_csv(path: Path) -> Iterator[Run]:
    """The experiments of a CSV file in the long form, as `export` writes it.

    Columns in any order: `name`, `value`, `step`, `timestamp` (seconds); `commit_id` where it holds
    more than one experiment, else the file's name is the run's; `job_name`, `user`, `created`.
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


_CSV_REQUIRED = ("name", "value", "step", "timestamp")


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
    try:
        table = csv.read_csv(
            path,
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=types, null_values=[""], quoted_strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, UnicodeError, OSError) as error:
        raise ImportSourceError(f"{path}: {str(error).splitlines()[0]}") from error
    missing = [name for name in _CSV_REQUIRED if name not in table.column_names]
    unknown = [name for name in table.column_names if name not in types]
    if missing or unknown or len(set(table.column_names)) < table.num_columns:
        raise ImportSourceError(
            f"{path}: not the long form, one row for each metric: columns missing: "
            f"{', '.join(missing) or 'none'}; unknown: {', '.join(unknown[:10]) or 'none'}"
        )
    for name in (*_CSV_REQUIRED, "commit_id"):
        if name in table.column_names and table.column(name).null_count:
            raise ImportSourceError(f"{path}: column {name} has empty fields")
    return table


def _dictionary(column: pa.ChunkedArray) -> tuple[list[str], Any]:
    """Distinct texts in order of first appearance, and each row's index in them."""
    import numpy as np

    pa = require("pyarrow", "arrow")
    if not column.num_chunks:
        return [], np.zeros(0, np.int32)
    array = column.combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    texts = array.dictionary.to_pylist()
    return [unescape(text) for text in texts], array.indices.to_numpy().astype(np.int32)


def _csv_run(source: str, name: str, table: pa.Table) -> Run:
    import numpy as np

    names, codes = _dictionary(table.column("name"))
    steps = table.column("step").to_numpy()
    for wrong in np.flatnonzero(steps != steps.astype(np.uint32))[:1]:
        check_range(source, names[codes[wrong]], "step", int(steps[wrong]), int(steps[wrong]))
    for code in np.unique(codes):
        check_name(source, names[code])
    # Arrow's buffers stay read-only and shared; the copies are the table's own.
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
    return Run(
        name,
        metrics,
        unescape(given["job_name"] or ""),
        unescape(given["user"] or ""),
        given["created"],
    )


_READERS: dict[SourceFormat, Callable[[Path], Iterator[Run]]] = {
    "tensorboard": tensorboard.read_runs,
    "csv": _read_csv,
    "mlflow": mlflow.read_runs,
}
