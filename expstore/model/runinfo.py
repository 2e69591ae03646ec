"""RunInfo: what run.json says of an experiment, and its parameters under flat names.

Guarantees: values are immutable; keys that this version does not know are kept in `extra`, so that
a rewrite loses nothing that another program added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["running", "finished", "failed", "stopped", "unknown"]
"""How a run is: `running` while a writer has it open; `finished` or `failed` as it says itself;
`stopped` if it ended without saying so, as when killed; `unknown` if nothing tells."""

Outcome = Literal["finished", "failed"]
"""How a start of a run ended, as it says itself."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """One start of a run; a run that was resumed has several.

    Attributes:
        started: seconds since 1970-01-01 UTC.
        ended: likewise; None while it runs, and if it was killed.
        outcome: how it ended; None as for `ended`.
        error: for `failed`, the type and text of the exception.
        host: the name of the machine.
        pid: the process id there.
        from_step: the step it went on from: what was logged before at or after it is superseded;
            None if nothing is.
        records: how many whole records the log had when it started.
        extra: keys that this version does not know.
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


def _flat(params: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value))
    return found
