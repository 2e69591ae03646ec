"""Diagnosis: what is wrong with an experiment's files, by class and location.

Guarantees: nothing is written, no lock is taken, and read permission suffices. One bad file never
hides another. Memory use does not grow with a log, whatever it contains.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from operator import truediv
from pathlib import Path
from typing import TYPE_CHECKING

from expstore.errors import (
    ExperimentNotFoundError,
    ExpStoreError,
    RunFileError,
    UnreadableFileError,
)
from expstore.model import times
from expstore.model.chunks import chunks
from expstore.model.runinfo import RunInfo
from expstore.model.values import META_CODEC, METRICS_FORMAT
from expstore.store import runfile
from expstore.store.care import seal
from expstore.store.care.findings import CheckReport, Finding
from expstore.store.care.sound import Sound, SoundLogs
from expstore.store.files import layout, system, waiting
from expstore.store.files.directory import Directory, Entry, Location
from expstore.store.files.place import open_directory, open_root
from expstore.store.read.rewind import BackwardSteps
from expstore.store.read.survey import scan_log
from formats import (
    Format,
    FormatError,
    TruncatedError,
    UnsupportedVersionError,
)
from formats.errors import counted

if TYPE_CHECKING:
    from formats.columns import Columns

_NO_RUN = RunInfo()
_ARTIFACTS = Entry(layout.FILES, "directory")
_UNFINISHED = layout.PRUNING, layout.SALVAGING, layout.IMPORTING

_REPLACED = tuple(map(layout.replacing, (layout.METADATA, layout.RUN, layout.SEAL)))

_SETTLING = 0.02  # seconds between reads of a tail that a writer may be completing
_RETRIES = 5
_DESCRIPTIONS = {
    "directory": "a directory",
    "file": "not a directory",
    "link": "a symbolic link, which is not followed",
    "other": "not a regular file",
}
_FIRST, _AT_ONCE = 16, 128  # experiments whose logs are looked at together
_MOST = 100  # findings of a kind that are listed individually; the rest are only counted


def check_experiments(root: Location, commit_ids: Iterable[str]) -> Iterator[CheckReport]:
    """Yield a report on each experiment that exists; several are read at a time."""

    def report(commit_id: str, sound: Sound | None = None) -> CheckReport | None:
        path = root / commit_id
        try:
            return check_experiment(path, sound=sound)
        except ExperimentNotFoundError:
            return None  # deleted meanwhile
        except UnreadableFileError as error:
            return CheckReport(commit_id, (Finding("unreadable", path, str(error)),))

    if isinstance(root, Path):
        reports = _with_sound_logs(root, list(commit_ids), report)
    else:
        reports = waiting.each(root, commit_ids, report)
    yield from (found for found in reports if found is not None)


def _with_sound_logs(
    root: Path,
    commit_ids: Sequence[str],
    report: Callable[[str, Sound | None], CheckReport | None],
) -> Iterator[CheckReport | None]:
    """A report on each experiment, given its log if that is sound."""
    logs = SoundLogs(root)
    for part in chunks(len(commit_ids), _FIRST, _AT_ONCE):
        sound = logs.among(commit_ids[part])
        yield from (report(commit_id, sound.get(commit_id)) for commit_id in commit_ids[part])


def check_experiment(
    path: Location, *, verify: bool = True, sound: Sound | None = None
) -> CheckReport:
    """Check every file of an experiment.

    Args:
        path: its directory.
        verify: compare the files with the experiment's seal, if it has one.
        sound: what is known of its log, if that is sound.

    Raises:
        ExperimentNotFoundError: no such experiment.
    """
    with open_directory(path) as directory:
        findings: list[Finding] = []
        records = size = 0
        entries = sorted(directory.entries())
        names = [entry.name for entry in entries]
        info, broken = _read_run(directory) if layout.RUN in names else (_NO_RUN, [])
        if layout.METADATA not in names:
            findings.append(Finding("no-metadata", path / layout.METADATA, "missing"))
        for entry in entries:
            if entry.name == layout.METADATA:
                findings += _check_metadata(directory)
            elif entry.name == layout.RUN:
                findings += broken
            elif entry.name == layout.METRICS and sound is not None:
                records, size = sound
            elif entry.name == layout.METRICS:
                tail, records, size = _check_log(directory, info)
                findings += tail
            else:
                findings += _check_other(directory, entry)
        if verify and layout.SEAL in names:
            findings += _check_seal(directory)
    if len(findings) > _MOST:
        findings = list(_limited(findings, path))
    return CheckReport(path.name, tuple(findings), records, size)


def _limited(findings: list[Finding], path: Location) -> Iterator[Finding]:
    """The findings, but only the first hundred of a kind; a last one counts the others."""
    counts: Counter[str] = Counter()
    for finding in findings:
        counts[finding.kind] += 1
        if counts[finding.kind] <= _MOST:
            yield finding
    for kind, count in counts.items():
        if count > _MOST:
            yield Finding(kind, path, f"and {counted(count - _MOST, 'more file')}")


def check_root(root: Location) -> CheckReport:
    """Check what is in a store's root besides its experiments.

    Raises:
        StoreNotFoundError: the root does not exist.
    """
    findings = []
    with open_root(root) as directory:
        for entry in sorted(directory.entries()):
            if entry.kind == "directory" and layout.is_commit_id(entry.name):
                continue
            left = layout.is_temporary_name(entry.name, *_UNFINISHED)
            kind = "leftover" if left else "foreign"
            findings.append(Finding(kind, root / entry.name, _DESCRIPTIONS[entry.kind]))
    return CheckReport(None, tuple(findings))


def _check_metadata(directory: Directory, name: str = layout.METADATA) -> list[Finding]:
    limit = META_CODEC.schema.max_size
    try:
        data = directory.read_start(name, limit)
        size = len(data)
        if size == limit:  # there may be more
            found = next(directory.sizes([name]))
            size = found if isinstance(found, int) else size
        values, end = META_CODEC.parse(data)
    except OSError as error:
        path = directory.path / name
        return [Finding("unreadable", path, str(system.unreadable(path, error)))]
    except FormatError as error:
        kind = (
            "truncated"
            if isinstance(error, TruncatedError)
            else "unsupported-version"
            if isinstance(error, UnsupportedVersionError)
            else "unreadable"
        )
        detail = f"field {error.field}: {error.reason}"
        path = directory.path / name
        return [Finding(kind, path, detail, error.offset, None, size, error.field)]
    wrong, named = times.unit_fault(values["timestamp"]), values["commit_id"]
    if named == directory.path.name:
        named = ""  # as old writers left it, too
    if not (wrong or named or size > end):
        return []  # before a path is made, which costs as much as all of this
    path, findings = directory.path / name, []
    if wrong:
        findings.append(Finding("time-unit", path, wrong, field="timestamp"))
    if size > end:
        detail = counted(size - end, "byte")
        findings.append(Finding("trailing-bytes", path, detail, end, None, size - end))
    if named:
        findings.append(Finding("other-commit-id", path, f"it names {named!r}", field="commit_id"))
    return findings


class _Times:
    """The timestamps of a log that are in a smaller unit than seconds."""

    def __init__(self) -> None:
        self._count = 0
        self._first: tuple[int, int] | None = None  # index, timestamp

    def look(self, columns: Columns, index: int) -> None:
        """Examine the next records; `index` is that of the first."""
        rows = times.in_smaller_units(columns["timestamp"])
        self._count += len(rows)
        if len(rows) and self._first is None:
            self._first = index + int(rows[0]), int(columns["timestamp"][rows[0]])

    def findings(self, directory: Directory, name: str) -> list[Finding]:
        """At most one, about a file."""
        if self._first is None:
            return []
        path = directory.path / name
        record, timestamp = self._first
        detail = f"{counted(self._count, 'record')}: {times.unit_fault(timestamp)}"
        return [Finding("time-unit", path, detail, record=record, field="timestamp")]


def _read_run(directory: Directory) -> tuple[RunInfo, list[Finding]]:
    """What run.json has, and what is wrong with it."""
    try:
        return runfile.read_in(directory), []
    except (RunFileError, UnreadableFileError) as error:
        return RunInfo(), [Finding("unreadable", directory.path / layout.RUN, str(error))]


def _backward(steps: BackwardSteps, directory: Directory, name: str) -> Iterator[Finding]:
    """At most one."""
    if steps.first is not None:
        record, metric, before, step = steps.first
        detail = f"{steps.count} times; first that of {metric!r}, from {before} to {step}"
        yield Finding("steps-back", directory.path / name, detail, record=record, field="step")


def _check_log(directory: Directory, info: RunInfo) -> tuple[list[Finding], int, int]:
    name = layout.METRICS
    clock, backward = _Times(), BackwardSteps(info.starts)

    def look(columns: Columns, index: int) -> None:
        clock.look(columns, index)
        backward.look(columns, index)

    found, records, size = check_log(directory, name, look, backward.forget)
    findings = clock.findings(directory, name)
    if not any(finding.kind in {"implausible", "unreadable"} for finding in found):
        findings += _backward(backward, directory, name)
    return findings + found, records, size


def check_log(
    directory: Directory,
    name: str,
    look: Callable[[Columns, int], None] | None = None,
    forget: Callable[[], None] | None = None,
    format: Format = METRICS_FORMAT,
) -> tuple[list[Finding], int, int]:
    """Check how a log ends.

    Args:
        directory, name: where it is.
        look, forget: see `scan_log`.
        format: of the log.

    Returns:
        What was found, the number of whole records, and the log's size in bytes.
    """
    try:
        with directory.open_log(name) as log:
            status, records = scan_log(log, look=look, forget=forget, format=format)
            size = log.size
        # A write in progress looks like a tear until it completes a moment later.
        for _ in range(_RETRIES):
            if status.kind != "torn":
                break
            time.sleep(_SETTLING)
            with directory.open_log(name) as log:
                status, more = scan_log(log, status.offset or 0, format=format)
                records, size = records + more, log.size
    except ExpStoreError as error:
        return [Finding("unreadable", directory.path / name, str(error))], 0, 0
    if status:
        return [], records, size
    kind = "implausible" if status.kind == "implausible" else f"{status.kind}-tail"
    first = records - status.records
    doubted = f", {counted(status.records, 'record')}" if status.records else ""
    detail = f"{counted(status.size, 'byte')}{doubted} to the end"
    path = directory.path / name
    return [Finding(kind, path, detail, status.offset, first, status.size)], records, size


def _check_seal(directory: Directory) -> Iterator[Finding]:
    try:
        differences = seal.verify(directory)
    except UnreadableFileError as error:
        yield Finding("unreadable", directory.path / layout.SEAL, str(error))
        return
    for kind, name, detail, size in differences:
        yield Finding(kind, reduce(truediv, name.split("/"), directory.path), detail, size=size)


def _check_other(directory: Directory, entry: Entry) -> Iterator[Finding]:
    if entry == _ARTIFACTS:
        return
    path = directory.path / entry.name
    found = next(directory.sizes([entry.name])) if entry.kind == "file" else None
    if entry.kind == "file" and found is None:
        return  # deleted meanwhile
    size = found if isinstance(found, int) else None
    what = _DESCRIPTIONS[entry.kind] if size is None else counted(size, "byte")
    if entry.name == layout.FILES:
        yield Finding("unreadable", path, "not a directory")
    elif entry.name == layout.SEAL:
        if entry.kind != "file":
            yield Finding("unreadable", path, _DESCRIPTIONS[entry.kind])
    elif entry.name.startswith(layout.TORN):
        yield Finding("set-aside", path, what, size=size)
    elif layout.is_temporary_name(entry.name, *_REPLACED):
        yield Finding("leftover", path, f"unfinished {entry.name.split('.')[1]}", size=size)
    else:
        yield Finding("foreign", path, what, size=size)
