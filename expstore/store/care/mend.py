"""Repair: cutting a bad tail off a log, and salvaging the whole records of a misaligned one.

Guarantees: no byte is destroyed. `repair` first saves what it cuts in a file next to the log, and
cuts only while nobody else has the log open, unless forced. `salvage` never touches its source: it
creates a new experiment, which appears only when complete, and overwrites nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from expstore.errors import RunFileError, SealError
from expstore.model.runinfo import RunStart
from expstore.model.values import METRICS_FORMAT
from expstore.store import runfile
from expstore.store.append.log import AppendLog
from expstore.store.care.salvage import SalvageReport, copy_whole
from expstore.store.files import layout, placing, system
from expstore.store.files.place import open_log
from expstore.store.read.survey import scan_log, tail_of
from expstore.store.read.tables import Selection, iter_tables
from formats import Format, TailStatus

_CHUNK = 1 << 20  # bytes copied at a time
_GAPS = 100_000  # gaps listed in a report; all are counted


@dataclass(frozen=True)
class RepairReport:
    """What `repair` found and did.

    Attributes:
        path: the log.
        status: the state of its tail before the repair.
        kept: the file that holds the cut bytes, or None if nothing was cut.
    """

    path: Path
    status: TailStatus
    kept: Path | None = None

    @property
    def ok(self) -> bool:
        """Whether the log is well-formed now."""
        return bool(self.status) or self.kept is not None

    def __str__(self) -> str:
        if self.kept is not None:
            return f"{self.path}: {self.status}; cut off, and kept in {self.kept.name}"
        if self.status:
            return f"{self.path}: clean, nothing to repair"
        return (
            f"{self.path}: {self.status}; nothing was cut, since whole records may follow the "
            "damage: `salvage` copies them"
        )


def repair(
    path: Path, *, force: bool = False, sealed: int = 0, format: Format = METRICS_FORMAT
) -> RepairReport:
    """Cut a torn or zero tail off a log, keeping its bytes in `<name>.torn-<offset>` next to it.

    A misaligned log is left as it is, since whole records may follow the damage.

    Args:
        path: the log.
        force: cut even if others have the log open and may be writing; their records can be
            lost.
        sealed: bytes at the beginning that a seal covers, which are not cut.
        format: of the log.

    Raises:
        TornTailError: others have the log open; nothing was cut.
        SealError: the tail begins in what is sealed; nothing was cut.
        ExperimentNotFoundError, UnreadableFileError: the log cannot be opened.
    """
    with open_log(path) as reader:
        status = scan_log(reader, format=format)[0]
    if not status.can_be_cut:
        return RepairReport(path, status)
    if (status.offset or 0) < sealed:
        raise SealError(
            f"{path}: {status} begins in the {sealed} bytes that are sealed, so nothing was cut; "
            "restore the log from a copy, or repair it with --force (force=True) and then seal it "
            "the same way"
        )
    log = AppendLog(path, format, create=False)
    try:
        return RepairReport(path, *log.repair(partial(tail_of, format=format), force=force))
    finally:
        log.close()


def salvage(
    source: Path, target: Path, metadata: bytes | None, metadata_error: str = ""
) -> SalvageReport:
    """Copy the whole records of a damaged log into a new experiment, with run.json.

    The copy has the modes and owners of the source. If the target is there with just what would be
    written, since an earlier call was interrupted, the report says so.

    Args:
        source: the experiment's directory.
        target: the new experiment's directory, in the same root.
        metadata: the contents of its meta.bin; None: no meta.bin is written.
        metadata_error: passed on to the report.

    Raises:
        ExperimentExistsError: the target is another experiment, or something else.
        ExperimentNotFoundError, UnreadableFileError: the source cannot be read.
        NoSpaceError, UnreadableFileError: the target cannot be written; nothing of it is left.
    """
    from shutil import rmtree

    placing.check_available(target, metadata)
    hidden = target.with_name(layout.temporary_name(layout.SALVAGING))
    building = hidden / target.name
    with open_log(source / layout.METRICS) as log, system.typed_errors(target):
        try:
            os.mkdir(hidden, 0o700)  # nobody else may read the copy before `keep_access`
            placing.build_experiment(building, metadata)
            status, records = scan_log(log)
            with open(building / layout.METRICS, "xb") as file:
                report = copy_whole(log, status, records, file, source, target)
            _copy_run(source, building, status, records)
            placing.keep_access(source, building)
            placing.sync_tree(building)
            placed = placing.place_experiment(building, target)
            system.sync_directory(target.parent)
        finally:
            rmtree(hidden, ignore_errors=True)
    return replace(report, metadata_error=metadata_error, already_there=not placed)


def _copy_run(source: Path, building: Path, status: TailStatus, records: int) -> None:
    """Copy run.json; one that is broken as it is.

    What it says of places in the log is kept right: where records before a start may be lost, those
    that are not later than it count.
    """
    with open_log(source / layout.RUN) as file:
        if not file.exists:
            return
        data = file.read(0, file.size)
    with suppress(RunFileError):
        info = runfile.parse(data)
        sound = records - status.records
        if any(start.records > sound for start in info.starts):
            starts = _places(info.starts, building / layout.METRICS, sound)
            data = runfile.build(replace(info, starts=starts))
    with open(building / layout.RUN, "xb") as copy:
        copy.write(data)


def _places(starts: tuple[RunStart, ...], log: Path, sound: int) -> tuple[RunStart, ...]:
    """The starts of a run with their numbers of records in a log that was salvaged."""
    later: dict[int, int] = {}  # for each start, the first record that was logged later
    count = 0
    for table in iter_tables(log, Selection()):
        for at, start in enumerate(starts):
            rows = (table.timestamps > start.started).nonzero()[0]
            if len(rows):
                later.setdefault(at, count + int(rows[0]))
        count += len(table)
    return tuple(
        start if start.records <= sound else replace(start, records=later.get(at, count))
        for at, start in enumerate(starts)
    )
