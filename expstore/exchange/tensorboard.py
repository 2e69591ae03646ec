"""Exporting to TensorBoard event files, written with TensorBoard's own library.

Guarantees: each experiment gets one run directory, which appears only when complete. Each metric
becomes one scalar, in file order, with the metric's timestamp as its wall time.

TensorBoard's scalars are 32-bit floats: values are rounded, beyond 3.4e38 become infinite, and
below 7e-46 become 0; each is counted. Wall times are doubles: those beyond 2**53 seconds are
rounded.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.errors import OutputExistsError
from expstore.exchange.export import ExportReport, Progress
from expstore.exchange.parts import Part, told
from expstore.extras import require
from expstore.model.runinfo import RunInfo
from expstore.model.table import MetricTable
from expstore.model.texts import escape
from expstore.store import runfile
from expstore.store.files import placing, system
from expstore.store.files.output import check_place, remove_stale, unfinished_directory
from expstore.store.jobs import check_jobs, of_store
from expstore.store.stream import TableStream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from expstore.store.repository import ExperimentStore

_RUN = "run"  # of which all unfinished ones are left-overs, whatever their experiment
_EVENTS = "events.out.tfevents."
_EVENT_LIMIT = 1000  # values per event


def export_tensorboard(
    store: ExperimentStore,
    ids: Iterable[str] | None,
    output: str | os.PathLike[str],
    *,
    names: Collection[str] | None = None,
    force: bool = False,
    progress: Progress = iter,
    jobs: int = 1,
) -> ExportReport:
    """Write each experiment as a run directory `output/<commit_id>`, with parameters as hparams.

    Args:
        store, ids, names, progress, jobs: see `export.export_file`.
        output: TensorBoard's log directory; created if missing.
        force: replace run directories that contain nothing but event files.

    Raises:
        MissingExtraError: the extra `tensorboard` is not installed.
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError, OutputExistsError:
            nothing was written.
        NoSpaceError, UnreadableFileError: the output cannot be written; the run being written does
            not appear.
    """
    require("tensorboard.summary.writer.record_writer", "tensorboard")
    chosen = store.select_ids(ids)
    output = Path(output)
    for commit_id in chosen:
        _check_run(output / commit_id, force)
    system.make_directory(output)
    remove_stale(output, _RUN)
    jobs = check_jobs(jobs)
    report = ExportReport(0, len(chosen), {}, {})
    with ExitStack() as stack:
        with system.typed_errors(output):
            place = stack.enter_context(unfinished_directory(output / _RUN))
        runs = _Runs(store, names, output, place, force)
        if jobs > 1 and len(chosen) > 1:
            done = stack.enter_context(of_store(runs, store, chosen, jobs))
            parts = told(done, chosen, progress)
        else:
            parts = iter([runs.written(chosen, progress)])
        for part in parts:
            changes = part.changes or Counter()
            report = replace(
                report,
                rows=report.rows + part.rows,
                failures=report.failures | part.failures,
                tails=report.tails | part.tails,
                overflows=report.overflows + changes["overflows"],
                underflows=report.underflows + changes["underflows"],
                rounded=report.rounded + changes["rounded"],
            )
    system.sync_directory(output)
    return report


@dataclass(frozen=True)
class _Runs:
    """Writes run directories; see `export_tensorboard` for most of the attributes.

    Attributes:
        place: a directory for unfinished ones; what a process that is killed leaves there goes with
            it.
    """

    store: ExperimentStore
    names: Collection[str] | None
    output: Path
    place: Path
    force: bool

    def __call__(self, ids: list[str]) -> list[Part]:
        return [self.written(ids)._replace(ids=ids)]

    def written(self, ids: list[str], progress: Progress = iter) -> Part:
        """Write the runs of experiments."""
        location = self.store.location
        source = TableStream(location, ids, self.names, strict=False, progress=progress)
        runs = runfile.read_all(location, ids)
        changes: Counter[str] = Counter()
        for commit_id, _, table in source:
            with (
                system.typed_errors(self.output / commit_id),
                unfinished_directory(self.place / _RUN) as building,
            ):
                info = next(found for one, found in runs if one == commit_id)
                if not isinstance(info, RunInfo):  # its metrics are exported all the same
                    source.failures[commit_id] = info
                    info = RunInfo()
                changes.update(_write_run(building, table, info))
                _place_run(building, self.output / commit_id, self.force)
        return Part([], source.rows, source.failures, source.tails, changes)


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


def _write_run(directory: Path, table: MetricTable, info: RunInfo) -> Counter[str]:
    """Write one event file and return how many values were changed, by `ExportReport`'s names."""
    import numpy as np

    events = require("tensorboard.compat.proto.event_pb2", "tensorboard")
    summaries = require("tensorboard.compat.proto.summary_pb2", "tensorboard")
    records = require("tensorboard.summary.writer.record_writer", "tensorboard")
    tags = [escape(name) for name in table.names]
    with np.errstate(over="ignore", under="ignore"):
        values = table.values.astype(np.float32)
    start = int(table.timestamps[0]) if len(table) else 0
    with open(directory / f"{_EVENTS}{max(start, 0):010d}.expstore", "xb") as file:
        writer = records.RecordWriter(file)
        version = events.Event(wall_time=start, file_version="brain.Event:2")
        writer.write(version.SerializeToString())
        for plugin_data in _hparams(info, start):
            plugin = summaries.SummaryMetadata.PluginData(
                plugin_name="hparams",
                # Else the order of parameters differs from process to process.
                content=plugin_data.SerializeToString(deterministic=True),
            )
            value = summaries.Summary.Value(
                tag=f"_hparams_/{plugin_data.WhichOneof('data')}",
                metadata=summaries.SummaryMetadata(plugin_data=plugin),
            )
            event = events.Event(wall_time=start, summary=summaries.Summary(value=[value]))
            writer.write(event.SerializeToString())
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
    return _changes(table.values, values)


def _changes(exact: NDArray[np.float64], written: NDArray[np.float32]) -> Counter[str]:
    """How many values are written as others, by what became of them."""
    import numpy as np

    changed = (exact != written) & ~np.isnan(exact)
    overflows = changed & np.isinf(written)
    underflows = changed & (written == 0)
    return Counter(
        overflows=int(overflows.sum()),
        underflows=int(underflows.sum()),
        rounded=int((changed & ~overflows & ~underflows).sum()),
    )


def _hparams(info: RunInfo, start: int) -> Iterator[Any]:
    """What TensorBoard's hparams plugin reads: the parameters, and how the run ended."""
    if not info.params:
        return
    protos = require("tensorboard.plugins.hparams.plugin_data_pb2", "tensorboard")
    api = require("tensorboard.plugins.hparams.api_pb2", "tensorboard")
    session = protos.SessionStartInfo(start_time_secs=start)
    for name, value in info.flat_params.items():
        target = session.hparams[escape(name)]
        if isinstance(value, bool):
            target.bool_value = value
        elif isinstance(value, int | float):
            target.number_value = value
        elif value is not None:
            target.string_value = escape(value if isinstance(value, str) else json.dumps(value))
    yield protos.HParamsPluginData(session_start_info=session)
    last = info.starts[-1] if info.starts else None
    if last is not None and last.ended is not None:
        good = last.outcome == "finished"
        status = api.STATUS_SUCCESS if good else api.STATUS_FAILURE
        end = protos.SessionEndInfo(status=status, end_time_secs=last.ended)
        yield protos.HParamsPluginData(session_end_info=end)


def _event_slices(table: MetricTable) -> Iterator[slice]:
    """Runs of consecutive rows with equal step and timestamp; each run becomes one event."""
    import numpy as np

    changes = (np.diff(table.steps) != 0) | (np.diff(table.timestamps) != 0)
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(table)]
    for low, high in pairwise(bounds):
        for first in range(low, high, _EVENT_LIMIT):
            yield slice(first, min(first + _EVENT_LIMIT, high))
