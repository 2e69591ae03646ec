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
from expstore.model.values import METRICS_FORMAT, RECORD_CODEC
from expstore.store import runfile
from expstore.store.append.log import AppendLog
from expstore.store.care.annotate import iter_blocks
from expstore.store.care.salvage import SalvageReport, copy_whole
from expstore.store.files import layout, placing, system
from expstore.store.files.directory import OpenLog
from expstore.store.files.place import open_log
from expstore.store.read.survey import scan_log, tail_of
from formats import Format, TailStatus
from formats.damage.salvage import Stretch

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
            f"{self.path}: {self.status}; nothing was cut, since whole records follow the "
            "damage: salvage them into a new experiment"
        )


def repair(
    path: Path, *, force: bool = False, sealed: int = 0, format: Format = METRICS_FORMAT
) -> RepairReport:
    """Cut a torn or zero tail off a log, keeping its bytes in `<name>.torn-<offset>` next to it.

    A misaligned log is left as it is, since whole records follow the damage.

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
            moved = _Moved(log, _starts(source))
            with open(building / layout.METRICS, "xb") as file:
                report = copy_whole(log, file, source, target, look=moved.add)
            _copy_run(source, building, moved)
            placing.keep_access(source, building)
            placing.sync_tree(building)
            placed = placing.place_experiment(building, target)
            system.sync_directory(target.parent)
        finally:
            rmtree(hidden, ignore_errors=True)
    return replace(report, metadata_error=metadata_error, already_there=not placed)


class _Moved:
    """What becomes of the number of records that a log had at each start of its run.

    Args:
        log: the damaged log.
        counts: the numbers of records at the starts.

    Attributes:
        counts: how many of the records before that are salvaged.
    """

    def __init__(self, log: OpenLog, counts: list[int]) -> None:
        self.counts = [0] * len(counts)
        self._log = log
        self._ends = [log.size] * len(counts)  # the offset after those records
        last = max(counts, default=0)
        for offset, index, _, starts in iter_blocks(log, RECORD_CODEC.schema) if last else ():
            for at, count in enumerate(counts):
                if index <= count < index + len(starts):
                    self._ends[at] = offset + int(starts[count - index])
            if index > last:
                break

    def add(self, stretch: Stretch) -> None:
        """Count a stretch of records that is salvaged."""
        for at, end in enumerate(self._ends):
            if end >= stretch.offset + stretch.size:
                self.counts[at] += stretch.records
            elif end > stretch.offset:
                self.counts[at] += self._records(stretch.offset, end)

    def _records(self, start: int, end: int) -> int:
        """The number of whole records between two offsets."""
        from formats.columns import record_starts

        count = 0
        while start < end:
            starts, size = record_starts(
                RECORD_CODEC.schema, self._log.read(start, min(end - start, _CHUNK))
            )
            if not size:
                break
            start, count = start + size, count + len(starts)
        return count


def _starts(source: Path) -> list[int]:
    try:
        return [start.records for start in runfile.read(source / layout.RUN).starts]
    except RunFileError:
        return []


def _copy_run(source: Path, building: Path, moved: _Moved) -> None:
    """Copy run.json, with the places in the log as they are now; one that is broken as it is."""
    with open_log(source / layout.RUN) as file:
        if not file.exists:
            return
        data = file.read(0, file.size)
    with suppress(RunFileError):
        info = runfile.parse(data)
        starts = tuple(map(_with_records, info.starts, moved.counts))
        if starts != info.starts:
            data = runfile.build(replace(info, starts=starts))
    with open(building / layout.RUN, "xb") as copy:
        copy.write(data)


def _with_records(start: RunStart, records: int) -> RunStart:
    return replace(start, records=records)
