"""What a check finds: its classes, and reports of them.

Guarantees: damage loses or falsifies data; a note is something that readers ignore but the owner
may want to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from expstore.store.files.directory import Location

DAMAGE = {
    "torn-tail": "the log ends inside a record; `repair` sets that part aside",
    "zero-tail": "the log ends in zeros, as after a power loss; `repair` sets them aside",
    "implausible": "records from here on are misaligned; `salvage` recovers the whole ones",
    "truncated": "the file ends inside a field; in Python, `write_metadata` writes it anew",
    "unsupported-version": "the file has another version, or is not metadata at all",
    "unreadable": "the file cannot be read, or is not in its format",
    "altered": "the file is not as it was sealed; restore it, or `seal --force` if that is meant",
    "missing": "the file was sealed and is gone; restore it, or `seal --force` if that is meant",
}
"""Classes of damage: what each means, and the remedy."""

NOTES = {
    "no-metadata": "prune never deletes such an experiment; in Python, `write_metadata` adds it",
    "other-commit-id": "the metadata names a different experiment than its directory",
    "time-unit": "times in a smaller unit than seconds are read as seconds; log them anew, divided",
    "trailing-bytes": "bytes after the last field are ignored",
    "steps-back": "a metric's steps go back, as after a resume without from_step; all are read",
    "set-aside": "part of a log that was cut off and kept",
    "leftover": "left by an interrupted operation; it can be deleted",
    "foreign": "not a file of the store",
    "grown": "the log was sealed and then appended to; `seal` covers the new records too",
    "changed": "run.json was changed after the seal, as by new tags; `seal` covers that too",
    "unsealed": "the file was made after the seal; `seal` covers it too",
}
"""Classes of notes: worth knowing, but not damage."""


@dataclass(frozen=True)
class Finding:
    """One finding about one file.

    Attributes:
        kind: a key of DAMAGE or of NOTES.
        path: the file.
        detail: what was found, as text.
        offset: the byte at which it begins, if any.
        record: the index, from 0, of the first affected record.
        size: affected bytes.
        field: the declared field at fault, if any.
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
        """`damage`: data is lost or false; `note`: data is intact."""
        return "damage" if self.kind in DAMAGE else "note"


@dataclass(frozen=True)
class CheckReport:
    """What was found in one experiment, or in the store's root itself.

    Attributes:
        commit_id: the experiment, or None for the root.
        findings: in file name order, then how files differ from the experiment's seal.
        records: whole records in its log.
        size: size of its log in bytes.
    """

    commit_id: str | None
    findings: tuple[Finding, ...]
    records: int = 0
    size: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is no damage; there may be notes."""
        return not self.damage

    @property
    def damage(self) -> list[str]:
        """What is damaged, as `metrics.bin (torn-tail)`."""
        return [f"{f.path.name} ({f.kind})" for f in self.findings if f.severity == "damage"]
