"""Diagnosis: what is wrong with an experiment's files, class by class, with the place.

Guarantees: nothing is written, no lock is taken, and no permission beyond reading is needed. One
bad file never hides another. Memory does not grow with a log, whatever stands in it.

Damage is what loses or falsifies data; a note is what a reader ignores but its owner may not know.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from expstore.errors import ExperimentNotFoundError, ExpStoreError, UnreadableFileError
from expstore.model.values import META_CODEC
from expstore.store.files import layout, system
from expstore.store.files.directory import Directory, Entry, Location
from expstore.store.files.place import open_directory, open_root
from expstore.store.read.parser import LogParser
from expstore.store.read.survey import scan_log
from formats import (
    FormatError,
    TruncatedError,
    UnsupportedVersionError,
)

_UNFINISHED = layout.PRUNING, layout.SALVAGING, layout.IMPORTING
SET_ASIDE = f"{layout.METRICS}.torn-"
_REPLACING = f".{layout.METADATA}."

_SETTLING = 0.02  # seconds between two looks at a tail that a writer may be completing
_LOOKS = 5
_WHAT = {
    "directory": "a directory",
    "file": "not a directory",
    "link": "a symbolic link, which is not followed",
    "other": "no regular file",
}
_FOREIGN = 100  # files named one by one; the rest is counted

DAMAGE = {
    "torn-tail": "the log ends inside a record; `repair` sets that part aside",
    "zero-tail": "the log ends in zeros, as after a power loss; `repair` sets them aside",
    "implausible": "records from here on are misaligned; `salvage` finds the whole ones",
    "truncated": "the file ends inside a field; it must be written anew",
    "unsupported-version": "the file is of another version, or no metadata at all",
    "unreadable": "the file cannot be read as what it should be",
}
"""Classes of damage: what each means, and what helps."""

NOTES = {
    "no-metadata": "the experiment has no metadata; prune never deletes it",
    "other-commit-id": "the metadata names another experiment than its directory",
    "trailing-bytes": "bytes behind the last field are ignored",
    "set-aside": "a part of a log that was cut off and kept",
    "leftover": "an interrupted operation left it; it can be deleted",
    "foreign": "not a file of the store",
}
"""Classes of what is worth knowing, and no damage."""


@dataclass(frozen=True)
class Finding:
    """One thing worth saying of one file.

    Attributes:
        kind: a key of DAMAGE or of NOTES.
        path: the file.
        detail: what was found there, in words.
        offset: the byte from which it holds, where there is one.
        record: the index, from 0, of the first record that is concerned.
        size: bytes concerned.
        field: the declared field, where one is to blame.
    """

    kind: str
    path: Location
    detail: str
    offset: int | None = None
    record: int | None = None
    size: int | None = None
    field: str | None = None

    @property
    def severity(self) -> Literal["damage", "note"]:
        """`damage`: data is lost or false; `note`: nothing is."""
        return "damage" if self.kind in DAMAGE else "note"


@dataclass(frozen=True)
class CheckReport:
    """What was found in one experiment, or in the store's root itself.

    Attributes:
        commit_id: the experiment, or None for the root.
        findings: in the order of the file names.
        records: whole records in its log.
        size: bytes of its log.
    """

    commit_id: str | None
    findings: tuple[Finding, ...]
    records: int = 0
    size: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged; there may be notes."""
        return all(finding.severity == "note" for finding in self.findings)


def check_store(root: Location, commit_ids: Iterable[str]) -> Iterator[CheckReport]:
    """A report on the root itself, then one on each experiment."""
    yield check_root(root)
    yield from check_experiments(root, commit_ids)


def check_experiments(root: Location, commit_ids: Iterable[str]) -> Iterator[CheckReport]:
    """A report on each experiment that is there."""
    parser = LogParser()
    for commit_id in commit_ids:
        path = root / commit_id
        try:
            yield check_experiment(path, parser)
        except ExperimentNotFoundError:
            continue  # deleted meanwhile
        except UnreadableFileError as error:
            yield CheckReport(commit_id, (Finding("unreadable", path, str(error)),))


def check_experiment(path: Location, parser: LogParser | None = None) -> CheckReport:
    """Look at every file of an experiment.

    Args:
        path: its directory.
        parser: of the experiments before.

    Raises:
        ExperimentNotFoundError: no such experiment.
    """
    with open_directory(path) as directory:
        findings: list[Finding] = []
        records = size = 0
        entries = sorted(directory.entries())
        if not any(entry.name == layout.METADATA for entry in entries):
            findings.append(Finding("no-metadata", path / layout.METADATA, "there is none"))
        foreign = 0
        for entry in entries:
            if entry.name == layout.METADATA:
                findings += _check_metadata(directory)
            elif entry.name == layout.METRICS:
                tail, records, size = _check_log(directory, parser)
                findings += tail
            else:
                other = list(_check_other(directory, entry))
                foreign += sum(finding.kind == "foreign" for finding in other)
                findings += other if foreign <= _FOREIGN else []
        if foreign > _FOREIGN:
            more = f"and {foreign - _FOREIGN} more files"
            findings.append(Finding("foreign", path, more))
    return CheckReport(path.name, tuple(findings), records, size)


def check_root(root: Location) -> CheckReport:
    """Look at what stands in a store's root beside its experiments.

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
            findings.append(Finding(kind, root / entry.name, _WHAT[entry.kind]))
    return CheckReport(None, tuple(findings))


def _check_metadata(directory: Directory, name: str = layout.METADATA) -> Iterator[Finding]:
    path = directory.path / name
    try:
        data = directory.read_start(name, META_CODEC.schema.max_size)
        told = next(directory.sizes([name]))
        size = told if isinstance(told, int) else len(data)
        values, end = META_CODEC.parse(data)
    except OSError as error:
        yield Finding("unreadable", path, str(system.unreadable(path, error)))
        return
    except FormatError as error:
        kind = (
            "truncated"
            if isinstance(error, TruncatedError)
            else "unsupported-version"
            if isinstance(error, UnsupportedVersionError)
            else "unreadable"
        )
        detail = f"field {error.field}: {error.reason}"
        yield Finding(kind, path, detail, error.offset, None, size, error.field)
        return
    if size > end:
        yield Finding("trailing-bytes", path, f"{size - end} bytes", end, None, size - end)
    named = values["commit_id"]
    if named and named != path.parent.name:  # old writers left it empty
        yield Finding("other-commit-id", path, f"it names {named!r}", field="commit_id")


def _check_log(directory: Directory, parser: LogParser | None) -> tuple[list[Finding], int, int]:
    name = layout.METRICS
    path = directory.path / name
    try:
        with directory.open_log(name) as log:
            status, records = scan_log(log, parser=parser)
            size = log.size
        # A writer in the middle of a write leaves a tear that is whole a moment later.
        for _ in range(_LOOKS):
            if status.kind != "torn":
                break
            time.sleep(_SETTLING)
            with directory.open_log(name) as log:
                status, more = scan_log(log, status.offset or 0)
                records, size = records + more, log.size
    except ExpStoreError as error:
        return [Finding("unreadable", path, str(error))], 0, 0
    if status:
        return [], records, size
    kind = "implausible" if status.kind == "implausible" else f"{status.kind}-tail"
    first = records - status.records
    doubted = f", {status.records} records" if status.records else ""
    detail = f"{status.size} bytes{doubted} to the end"
    return [Finding(kind, path, detail, status.offset, first, status.size)], records, size


def _check_other(directory: Directory, entry: Entry) -> Iterator[Finding]:
    path = directory.path / entry.name
    told = next(directory.sizes([entry.name])) if entry.kind == "file" else None
    if entry.kind == "file" and told is None:
        return  # deleted meanwhile
    size = told if isinstance(told, int) else None
    what = _WHAT[entry.kind] if size is None else f"{size} bytes"
    if entry.name == layout.FILES:
        if entry.kind != "directory":
            yield Finding("unreadable", path, "is not a directory")
    elif entry.name.startswith(SET_ASIDE):
        yield Finding("set-aside", path, what, size=size)
    elif layout.is_temporary_name(entry.name, _REPLACING):
        yield Finding("leftover", path, "metadata that was not finished", size=size)
    else:
        yield Finding("foreign", path, what, size=size)
