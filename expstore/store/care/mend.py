"""Repair: cutting a bad tail off a log, and salvaging the whole records of a misaligned one.

Guarantees: no byte is destroyed. `repair` first saves what it cuts in a file next to the log, and
cuts only while nobody else has the log open, unless forced. `salvage` never touches its source: it
creates a new experiment, which appears only when complete, and overwrites nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from expstore.errors import SealError
from expstore.model.values import METRICS_FORMAT
from expstore.store.append.log import AppendLog
from expstore.store.files import layout, placing, system
from expstore.store.files.directory import OpenLog
from expstore.store.files.place import open_log
from expstore.store.read.survey import header_of, scan_log, tail_of
from formats import CLEAN, Format, FormatError, TailStatus, UnsupportedSchema
from formats.damage.salvage import Gap, Stretch, resync

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


@dataclass(frozen=True)
class SalvageReport:
    """What `salvage` found. Flipped bits inside a value cannot be detected.

    Attributes:
        source, target: the experiments' directories, or the logs, if these are no experiments'.
        status: the state of the source's log.
        records: whole records copied to the target.
        size: their size in bytes.
        gaps: byte ranges of the source that belong to no whole record; the first 100,000.
        gap_count: the total number of gaps.
        gap_bytes: their total size in bytes.
        metadata_error: why the target has no metadata; empty if it has.
        already_there: the target was there with all this, since an earlier call was interrupted.
    """

    source: Path
    target: Path
    status: TailStatus
    records: int
    size: int
    gaps: tuple[Gap, ...]
    gap_count: int
    gap_bytes: int
    metadata_error: str = ""
    already_there: bool = False

    def __str__(self) -> str:
        already = "already " if self.already_there else ""
        return (
            f"{self.target}: {self.records} records ({self.size} bytes) {already}salvaged from "
            f"{self.source}; {self.gap_count} gaps ({self.gap_bytes} bytes) left out; "
            "flipped bits inside values cannot be detected"
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
    """Copy the whole records of a damaged log into a new experiment.

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
            with open(building / layout.METRICS, "xb") as file:
                report = copy_whole(log, file, source, target)
            placing.keep_access(source, building)
            placing.sync_tree(building)
            placed = placing.place_experiment(building, target)
            system.sync_directory(target.parent)
        finally:
            rmtree(hidden, ignore_errors=True)
    return replace(report, metadata_error=metadata_error, already_there=not placed)


def copy_whole(
    log: OpenLog, file: IO[bytes], source: Path, target: Path, format: Format = METRICS_FORMAT
) -> SalvageReport:
    """Copy a damaged log's whole records.

    Args:
        log: the damaged one.
        file: open for writing, after the header, if the format has one.
        source, target: for the report.
        format: of the log.

    Raises:
        UnsupportedSchema: the log is misaligned, and its format has no clock to find records by.
        OSError: a system call fails.
    """
    status, records = scan_log(log, format=format)
    gaps: list[Gap] = []
    found = size = gap_count = gap_bytes = 0
    for piece in _pieces(log, status, records, format):
        if isinstance(piece, Stretch):
            for start in range(piece.offset, piece.offset + piece.size, _CHUNK):
                count = min(_CHUNK, piece.offset + piece.size - start)
                size += file.write(log.read(start, count))
            found += piece.records
        else:
            gap_count += 1
            gap_bytes += piece.size
            if len(gaps) < _GAPS:
                gaps.append(piece)
    return SalvageReport(source, target, status, found, size, tuple(gaps), gap_count, gap_bytes)


def _pieces(
    log: OpenLog, status: TailStatus, records: int, format: Format
) -> Iterator[Stretch | Gap]:
    """What to copy and what to skip; judged by plausibility only if the log is misaligned."""
    first = header_size(log, format)
    if status.kind == "implausible":
        if format.roles is None:
            raise UnsupportedSchema(
                "records after damage are found by their clock, and the format declares none: "
                f"give it `roles=Roles(clock=...)`, or keep the {records} records before byte "
                f"{status.offset}"
            )

        def read(offset: int, count: int) -> bytes:
            return log.read(first + offset, count)

        for piece in resync(format.schema, format.roles, read, log.size - first):
            yield replace(piece, offset=first + piece.offset)
        return
    end = log.size if status == CLEAN else max(status.offset or 0, first)
    if end > first:
        yield Stretch(first, end - first, records - status.records)
    if end < log.size:
        yield Gap(end, log.size - end)


def header_size(log: OpenLog, format: Format) -> int:
    """Size in bytes of the header of a log; 0 if its format has none, or the header is damaged."""
    try:
        return header_of(log, format)[1]
    except FormatError:
        return 0
