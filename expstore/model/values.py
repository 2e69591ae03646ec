"""Metadata and Metric, and the formats of the files that hold them.

Guarantees: both are immutable; nothing here needs NumPy.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeGuard

from formats import FORMATS

METADATA_FORMAT, METRICS_FORMAT = FORMATS["meta"], FORMATS["metrics"]
"""The formats of meta.bin and metrics.bin."""

META_CODEC = METADATA_FORMAT.codec
"""The codec of meta.bin."""

RECORD_CODEC = METRICS_FORMAT.codec
"""The codec of one record of metrics.bin."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, init=False)
class Metadata:
    """The contents of meta.bin, which describes an experiment.

    Attributes:
        commit_id: the experiment's id.
        timestamp: creation time in seconds since 1970-01-01 UTC.
        job_name: what was run.
        user: who ran it.
    """

    commit_id: str
    timestamp: int
    job_name: str = ""
    user: str = ""

    def __init__(self, commit_id: str, timestamp: int, job_name: str = "", user: str = "") -> None:
        # A listing makes one per experiment, and the slots' own setters take half the time of the
        # `object.__setattr__` that a frozen dataclass would call.
        _set_commit_id(self, commit_id)
        _set_timestamp(self, timestamp)
        _set_job_name(self, job_name)
        _set_user(self, user)

    @property
    def created(self) -> datetime:
        """The creation time as an aware datetime in UTC.

        Raises:
            OverflowError: the timestamp is outside the years 1 to 9999.
        """
        return _EPOCH + timedelta(seconds=self.timestamp)


_set_commit_id, _set_timestamp, _set_job_name, _set_user = (
    getattr(Metadata, field.name).__set__ for field in fields(Metadata)
)


class Metric(NamedTuple):
    """One data point: name, value, step, and timestamp in seconds since 1970-01-01 UTC."""

    name: str
    value: float
    step: int
    timestamp: int


def is_whole_number(value: object) -> TypeGuard[int]:
    """Whether an argument is an int; a bool is not one here."""
    return isinstance(value, int) and not isinstance(value, bool)


def whole_step(step: Any) -> Any:
    """A step as an int, if it is a whole number; else as it is, for the writer to refuse."""
    if isinstance(step, bool):
        return step
    is_integer = getattr(step, "is_integer", None)
    if callable(is_integer):
        return int(step) if is_integer() else step
    try:
        return operator.index(step)
    except TypeError:
        return step
