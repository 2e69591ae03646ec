"""TensorBoard event files, written and read with TensorBoard's own library.

Guarantees: each experiment gets one run directory, which appears only when complete. Each metric
becomes one scalar, in file order, with the metric's timestamp as its wall time. Reading accepts the
scalars of TensorFlow 1 and 2, PyTorch and tensorboardX, and counts values that are not scalars. No
length or shape in a file is believed: nothing larger than the file is allocated.

TensorBoard's scalars are 32-bit floats: values are rounded, and values beyond 3.4e38 become
infinite and are counted. Wall times are doubles: those beyond 2**53 seconds are rounded.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.errors import ImportSourceError, OutputExistsError
from expstore.exchange.export import ExportReport, Progress
from expstore.exchange.runs import ForeignRun, MetricsBuilder, reading
from expstore.extras import require
from expstore.model.table import MetricTable
from expstore.model.texts import escape, unescape
from expstore.store.files import placing, system
from expstore.store.files.output import check_place, remove_stale, unfinished_directory
from expstore.store.stream import TableStream

if TYPE_CHECKING:
    from expstore.store.repository import ExperimentStore

_RUN = "run"  # of which all unfinished ones are left-overs, whatever their experiment
_EVENTS = "events.out.tfevents."
_EVENT_LIMIT = 1000  # values per event
_FRAMING = 16  # bytes that a TFRecord adds to its data: a length and two checksums
_HEADER = 12  # of which these are in front of it
_RECORD_LIMIT = 1 << 28  # bytes of one event; TensorBoard's largest have some millions
_NUMBERS = (  # the types of a scalar
    *("DT_FLOAT", "DT_DOUBLE", "DT_HALF", "DT_BFLOAT16", "DT_BOOL"),
    *("DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64", "DT_UINT8", "DT_UINT16"),
)


def export_tensorboard(
    store: ExperimentStore,
    ids: Iterable[str] | None,
    output: str | os.PathLike[str],
    *,
    names: Collection[str] | None = None,
    force: bool = False,
    progress: Progress = iter,
) -> ExportReport:
    """Write each experiment as a run directory `output/<commit_id>`.

    Args:
        store, ids, names, progress: see `export.export_file`.
        output: TensorBoard's log directory; created if missing.
        force: replace run directories that contain nothing but event files.

    Raises:
        MissingExtraError: the extra `tensorboard` is not installed.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError, OutputExistsError:
            nothing was written.
        OSError: the output cannot be written; the run being written does not appear.
    """
    require("tensorboard.summary.writer.record_writer", "tensorboard")
    chosen = store.select_ids(ids)
    output = Path(output)
    for commit_id in chosen:
        _check_run(output / commit_id, force)
    source = TableStream(store.location, progress(chosen), names, strict=False)
    overflows = 0
    system.make_directory(output)
    remove_stale(output, _RUN)
    for commit_id, _, table in source:
        with unfinished_directory(output / _RUN) as building:
            overflows += _write_run(building, table)
            _place_run(building, output / commit_id, force)
    system.sync_directory(output)
    return ExportReport(source.rows, len(chosen), source.failures, source.tails, overflows)


def _place_run(building: Path, run: Path, force: bool) -> None:
    """Give a finished run directory its name; one that it replaces is deleted after that."""
    _check_run(run, force)
    placing.keep_access(run, building)
    placing.sync_tree(building)
    (placing.place if force else placing.place_new)(building, run)
    if building.exists():
        system.sync_directory(run.parent)
        shutil.rmtree(building)


def _check_run(run: Path, force: bool) -> None:
    check_place(run)
    if not os.path.lexists(run):
        return
    if not force:
        raise OutputExistsError(f"{run}: already exists; --force (force=True) replaces it")
    if run.is_symlink() or not run.is_dir() or not all(map(_is_event_file, run.iterdir())):
        raise OutputExistsError(f"{run}: contains more than event files; not replaced")


def _is_event_file(path: Path) -> bool:
    return "tfevents" in path.name and path.is_file()


def _write_run(directory: Path, table: MetricTable) -> int:
    """Write one event file and return how many finite values became infinite."""
    import numpy as np

    events = require("tensorboard.compat.proto.event_pb2", "tensorboard")
    summaries = require("tensorboard.compat.proto.summary_pb2", "tensorboard")
    records = require("tensorboard.summary.writer.record_writer", "tensorboard")
    tags = [escape(name) for name in table.names]
    with np.errstate(over="ignore"):
        values = table.values.astype(np.float32)
    start = int(table.timestamps[0]) if len(table) else 0
    with open(directory / f"{_EVENTS}{max(start, 0):010d}.expstore", "xb") as file:
        writer = records.RecordWriter(file)
        version = events.Event(wall_time=start, file_version="brain.Event:2")
        writer.write(version.SerializeToString())
        for part in _event_slices(table):
            pairs = zip(table.name_codes[part].tolist(), values[part].tolist(), strict=True)
            summary = summaries.Summary(
                value=[summaries.Summary.Value(tag=tags[c], simple_value=v) for c, v in pairs]
            )
            event = events.Event(
                wall_time=int(table.timestamps[part.start]),
                step=int(table.steps[part.start]),
                summary=summary,
            )
            writer.write(event.SerializeToString())
        writer.flush()
    return int((np.isinf(values) & np.isfinite(table.values)).sum())


def _event_slices(table: MetricTable) -> Iterator[slice]:
    """Runs of consecutive rows with equal step and timestamp; each run becomes one event."""
    import numpy as np

    changes = (np.diff(table.steps) != 0) | (np.diff(table.timestamps) != 0)
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(table)]
    for low, high in pairwise(bounds):
        for first in range(low, high, _EVENT_LIMIT):
            yield slice(first, min(first + _EVENT_LIMIT, high))


def read_runs(path: Path) -> Iterator[ForeignRun]:
    """Read the runs under a log directory: every directory with event files, sorted.

    A run is named by its path relative to `path`; event files in `path` itself form a run named
    after the last component of `path`.

    Raises:
        MissingExtraError: the extra `tensorboard` is not installed.
        ImportSourceError: no event files, or a scalar that a store cannot hold.
    """
    require("tensorboard.backend.event_processing.event_file_loader", "tensorboard")
    found: dict[Path, list[Path]] = {}
    for file in sorted(path.rglob("*tfevents*") if path.is_dir() else []):
        if file.is_file():
            found.setdefault(file.parent, []).append(file)
    if not found:
        raise ImportSourceError(f"{path}: no TensorBoard event files (*tfevents*) found")
    for directory, files in found.items():
        name = str(directory.relative_to(path)) if directory != path else path.resolve().name
        with reading(directory):
            run = _read_run(name, directory, files)
        yield run


def _read_run(name: str, directory: Path, files: list[Path]) -> ForeignRun:
    builder = MetricsBuilder(str(directory))
    scalars: dict[str, bool] = {}  # by tag; only a tag's first value has to name its plugin
    notes: list[str] = []
    others = 0
    for file in files:
        consumed = 0
        for event, size in _events(file):
            consumed += size
            for value in event.summary.value:
                number = _scalar(value, scalars)
                if number is None:
                    others += 1
                elif not math.isfinite(event.wall_time):
                    raise ImportSourceError(f"{file}: tag {value.tag!r}: wall time is not finite")
                else:
                    builder.add(
                        unescape(value.tag), number, event.step, math.floor(event.wall_time)
                    )
        if consumed != file.stat().st_size:
            notes.append(
                f"{file.name} is torn or damaged from byte {consumed}; the rest was left out"
            )
    if others:
        notes.append(f"left out non-scalar values: {others}")
    table = builder.table()
    return ForeignRun(name, table, job_name=name, notes=tuple(notes))


def _events(file: Path) -> Iterator[tuple[Any, int]]:
    """Yield each event with its size in the file, in bytes; stop at a torn or damaged record.

    Raises:
        ImportSourceError: an event that is too large.
    """
    loaders = require("tensorboard.backend.event_processing.event_file_loader", "tensorboard")
    events = require("tensorboard.compat.proto.event_pb2", "tensorboard")
    messages = require("google.protobuf.message", "tensorboard")
    # The library allocates what a record's header says, so it may read only what is there.
    for _, data in zip(
        _whole_records(file), loaders.RawEventFileLoader(str(file)).Load(), strict=False
    ):
        try:
            event = events.Event.FromString(data)
        except messages.DecodeError:
            return
        yield event, len(data) + _FRAMING


def _whole_records(file: Path) -> Iterator[int]:
    """The offset of each record that is in the file as a whole, if its length is true."""
    with open(file, "rb") as opened:
        offset, end = 0, os.fstat(opened.fileno()).st_size
        while len(header := opened.read(_HEADER)) == _HEADER:
            length = int.from_bytes(header[:8], "little")
            if offset + length + _FRAMING > end:
                return
            if length > _RECORD_LIMIT:
                raise ImportSourceError(
                    f"{file}: the record at byte {offset} has {length:,} bytes; at most "
                    f"{_RECORD_LIMIT:,} are read"
                )
            yield offset
            offset += length + _FRAMING
            opened.seek(offset)


def _scalar(value: Any, scalars: dict[str, bool]) -> float | None:
    """The value if it is a scalar, else None; TensorFlow 2 writes scalars as marked tensors."""
    if value.HasField("simple_value"):
        return float(value.simple_value)
    if not value.HasField("tensor"):
        return None
    if not scalars.setdefault(value.tag, value.metadata.plugin_data.plugin_name == "scalars"):
        return None
    types = require("tensorboard.compat.proto.types_pb2", "tensorboard")
    tensors = require("tensorboard.util.tensor_util", "tensorboard")
    # Before it is made: a shape may promise any number of values, and a text or a complex number is
    # not a scalar.
    shape = [dimension.size for dimension in value.tensor.tensor_shape.dim]
    if math.prod(shape) != 1 or value.tensor.dtype not in map(types.DataType.Value, _NUMBERS):
        return None
    return float(tensors.make_ndarray(value.tensor).item())
