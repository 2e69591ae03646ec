"""What mlflow says of a run, wherever it is stored, as a run to import.

Guarantees: status, start and end, parameters, tags and the parent run go along; of the tags that
mlflow itself sets, those with a place in run.json go there, and the others are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from expstore.exchange.sources.base import ForeignRun
from expstore.exchange.sources.params import fitting, value_of
from expstore.model.runinfo import Outcome, RunInfo, RunStart
from expstore.model.table import MetricTable

DELETED, MODELS = "deleted runs", "models"
"""What `left_out` counts of a whole store."""

_OWN = "mlflow."
_STATES: dict[str, tuple[Outcome, str]] = {
    "FINISHED": ("finished", ""),
    "FAILED": ("failed", ""),
    "KILLED": ("stopped", "killed"),
}
_NUMBERS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}


@dataclass
class MlflowRun:
    """The facts of a run.

    Attributes:
        run_id: its id.
        name, user, status: as mlflow has them; status as a word, or a number as in old file stores.
        experiment: the name of its experiment, or empty.
        start, end: milliseconds since 1970-01-01 UTC; None if unknown.
        params, tags: as texts.
    """

    run_id: str
    name: str = ""
    user: str = ""
    status: str = ""
    experiment: str = ""
    start: int | None = None
    end: int | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    def to_import(self, table: MetricTable, left_out: Counter[str]) -> ForeignRun:
        """The run, with its metrics."""
        tags = dict(self.tags)
        name = tags.pop("mlflow.runName", "") or self.name
        user = tags.pop("mlflow.user", "") or self.user
        notes = tags.pop("mlflow.note.content", "")
        origin: dict[str, Any] = {}
        for tag, key in (
            ("mlflow.source.git.commit", "commit"),
            ("mlflow.source.git.branch", "branch"),
            ("mlflow.source.name", "script"),
            ("mlflow.parentRunId", "parent"),
        ):
            if tag in tags:
                origin[key] = tags.pop(tag)
        if self.experiment:
            origin["experiment"] = self.experiment
        own = [tag for tag in tags if tag.startswith(_OWN)]
        for tag in own:
            del tags[tag]
        if own:
            left_out["tags that mlflow set"] += len(own)
        params = {key: value_of(value) for key, value in self.params.items()}
        info = RunInfo(
            params=fitting(params, left_out),
            tags=tuple(f"{key}={value}" if value else key for key, value in tags.items()),
            notes=notes,
            origin=origin,
            starts=self._starts(),
        )
        created = None if self.start is None else self.start // 1000
        return ForeignRun(self.run_id, table, name, user, created, info, left_out)

    def _starts(self) -> tuple[RunStart, ...]:
        if self.start is None:
            return ()
        status = _NUMBERS.get(self.status, self.status)
        outcome, error = _STATES.get(status, (None, ""))
        end = None if self.end is None else self.end / 1000
        return (RunStart(self.start / 1000, end, outcome, error),)
