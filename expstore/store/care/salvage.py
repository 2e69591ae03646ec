"""Copying the whole records of a damaged log.

Guarantees: the damaged log is only read; what is copied are its own bytes, in their order. What is
left out is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from expstore.model.values import METRICS_FORMAT
from expstore.store.files.directory import OpenLog
from expstore.store.read.survey import header_of
from formats import CLEAN, Format, FormatError, Roles, TailStatus, UnsupportedSchema
from formats.damage.salvage import Gap, Stretch, has_clock, resync
from formats.errors import counted

_CHUNK = 1 << 20  # bytes copied at a time
_GAPS = 100_000  # gaps listed in a report; all are counted


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
            f"{self.target}: {counted(self.records, 'record')} ({counted(self.size, 'byte')}) "
            f"{already}salvaged from {self.source}; {counted(self.gap_count, 'gap')} "
            f"({counted(self.gap_bytes, 'byte')}) left out; "
            "flipped bits inside values cannot be detected"
        )


def copy_whole(
    log: OpenLog,
    status: TailStatus,
    records: int,
    file: IO[bytes],
    source: Path,
    target: Path,
    format: Format = METRICS_FORMAT,
) -> SalvageReport:
    """Copy a damaged log's whole records.

    Args:
        log: the damaged one.
        status, records: what `scan_log` found.
        file: open for writing, after the header, if the format has one.
        source, target: for the report.
        format: of the log.

    Raises:
        UnsupportedSchema: the log is misaligned, and its format has no clock to find records by.
        OSError: a system call fails.
    """
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
                "give it `roles=Roles(clock=...)`, or keep the "
                f"{counted(records, 'record')} before byte {status.offset}"
            )
        if status.records or format.schema.may_refuse:  # else what precedes it is no part of it
            yield from _found(log, first, format, format.roles)
            return
    end = log.size if status == CLEAN else max(status.offset or 0, first)
    whole = Stretch(first, end - first, records - status.records)
    if status.kind in {"torn", "implausible"} and log.size - end >= format.schema.min_size:
        yield from _after_tear(log, whole, format)
        return
    if end > first:
        yield whole
    if end < log.size:
        yield Gap(end, log.size - end)


def _found(log: OpenLog, first: int, format: Format, roles: Roles) -> Iterator[Stretch | Gap]:
    """The records after the header that are plausible, and the gaps between them."""

    def read(offset: int, count: int) -> bytes:
        return log.read(first + offset, count)

    for piece in resync(format.schema, roles, read, log.size - first):
        yield replace(piece, offset=first + piece.offset)


def _after_tear(log: OpenLog, whole: Stretch, format: Format) -> Iterator[Stretch | Gap]:
    """What is before a torn tail and in it: its length may be wrong, and reach over records.

    The record before the tail may be torn as well, and have swallowed the start of another, so what
    gives more records is chosen.

    Args:
        log: the damaged one.
        whole: what was read record by record.
        format: of the log.
    """
    roles, first, end = format.roles, whole.offset, whole.offset + whole.size
    if roles is not None and has_clock(format.schema, roles):
        found = [0, 0]  # records before the tail's first byte, and from there on
        for piece in _found(log, first, format, roles):
            if isinstance(piece, Stretch):
                found[piece.offset >= end] += piece.records
        if found[0] > whole.records:
            yield from _found(log, first, format, roles)
            return
    if whole.size:
        yield whole
    if roles is not None and has_clock(format.schema, roles):
        for piece in _found(log, first, format, roles):
            if isinstance(piece, Stretch) and piece.offset >= end:
                if piece.offset > end:
                    yield Gap(end, piece.offset - end)
                yield piece
                end = piece.offset + piece.size
    if end < log.size:
        yield Gap(end, log.size - end)


def header_size(log: OpenLog, format: Format) -> int:
    """Size in bytes of the header of a log; 0 if its format has none, or the header is damaged."""
    try:
        return header_of(log, format)[1]
    except FormatError:
        return 0
