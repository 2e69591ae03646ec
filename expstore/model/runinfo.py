"""RunInfo: what run.json says of an experiment, and its parameters under flat names.

Guarantees: values are immutable; keys that this version does not know are kept in `extra`, so that
a rewrite loses nothing that another program added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from expstore.errors import RunFileError
from expstore.model.params import merged

Status = Literal["running", "finished", "failed", "stopped", "unknown"]
"""How a run is: `running` while a writer has it open; `finished` or `failed` as it says itself;
`stopped` if it was interrupted or killed; `unknown` if nothing tells."""

Outcome = Literal["finished", "failed", "stopped"]
"""How a start of a run ended, as it says itself; `stopped`: by an interrupt, or such a signal."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """One start of a run; a run that was resumed has several.

    Attributes:
        started: seconds since 1970-01-01 UTC.
        ended: likewise; None while it runs, and if it was killed.
        outcome: how it ended; None as for `ended`.
        error: for `failed` and `stopped`, the type and text of the exception, or a program's exit
            code or signal.
        host: the name of the machine.
        pid: the process id there.
        from_step: the step it went on from: what was logged before at or after it is superseded;
            None if nothing is.
        records: how many whole records the log had when it started.
        extra: keys that this version does not know.
        commit, branch, dirty: as in `origin`, of a start that resumed the run with other code;
            empty, and None, where that is the same or unknown.
    """

    started: float
    ended: float | None = None
    outcome: Outcome | None = None
    error: str = ""
    host: str = ""
    pid: int | None = None
    from_step: int | None = None
    records: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    commit: str = ""
    branch: str = ""
    dirty: bool | None = None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The contents of run.json; empty if there is none.

    Attributes:
        params: hyperparameters; objects may nest (see `flat_params`).
        tags: in the order in which they were added, without duplicates.
        notes: free text.
        origin: where it was started: `host`, `python`, `expstore`, `argv`, `commit`, `branch`,
            `dirty`; any of these may be missing.
        starts: oldest first.
        extra: keys that this version does not know.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    notes: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)
    starts: tuple[RunStart, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def flat_params(self) -> dict[str, Any]:
        """The parameters by flat name: `{"model": {"depth": 3}}` gives `{"model.depth": 3}`.

        Lists and empty objects are values. Where two spellings give one name, the later one wins.
        """
        return dict(_flat(self.params, ""))


@dataclass(frozen=True, slots=True)
class RunState:
    """How a run is, and how that is known.

    Attributes:
        status: see `Status`.
        since: when that began, in seconds since 1970-01-01 UTC: the start of what is running, or
            the end of what is not; of a run that was killed, when it last logged. None if unknown.
        note: the reason in words: the exception of a run that failed, or what a guess rests on.
    """

    status: Status
    since: float | None = None
    note: str = ""


def joined(old: RunInfo, new: RunInfo) -> RunInfo:
    """A RunInfo with the params, tags, notes and starts of another added, and its origin if needed.

    The new value of a parameter wins, and so do new notes, unless they are empty.
    """
    return replace(
        old,
        params=merged(old.params, new.params),
        tags=tuple(dict.fromkeys((*old.tags, *new.tags))),
        notes=new.notes or old.notes,
        origin=old.origin or new.origin,
        starts=(*old.starts, *new.starts),
    )


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags, or names of params, each once; a single text is one.

    Raises:
        RunFileError: not texts, or an empty one.
    """
    found = (tags,) if isinstance(tags, str) else tuple(tags)
    for tag in found:
        if not isinstance(tag, str) or not tag:
            raise RunFileError(f"a tag is a text that is not empty, got {tag!r}")
    return tuple(dict.fromkeys(found))


def _flat(params: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value))
    return found
