"""MetricWriter: logging to one experiment.

Guarantees: a step's metrics go out in one write, whole or not at all; a value that the format
cannot hold is refused before anything is written; a writer may be shared among threads.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from expstore import layout
from expstore.appendlog import AppendLog
from expstore.errors import NameTruncatedWarning
from expstore.model import MetricTable
from formats import RECORD, FieldValueError, RecordCodec
from formats.fields import fit

RECORD_CODEC = RecordCodec(RECORD)
_NAME_LIMIT = int(RECORD_CODEC.schema["name"].range[1])
_ROWS = 1 << 20  # rows in one write of `append`; the system takes at most 2 GiB in one


def build_metric(name: str, value: float, step: int, timestamp: int) -> bytes:
    """One record; a name beyond the limit is cut at a whole character, with a warning."""
    # A character takes at most four bytes, so a short name needs no encoding to be known to fit.
    if name.__class__ is str and len(name) * 4 > _NAME_LIMIT:
        name = fit_name(name)
    return RECORD_CODEC.build(timestamp=timestamp, step=step, value=value, name=name)


def fit_name(name: str) -> str:
    """The name, cut where it is too long for the format."""
    fitted = fit(name, _NAME_LIMIT)
    if len(fitted) < len(name):
        warnings.warn(
            f"metric name {name[:20]!r}... is longer than {_NAME_LIMIT} bytes and was cut",
            NameTruncatedWarning,
            stacklevel=4,
        )
    return fitted


def _columns(metrics: MetricTable | Mapping[str, Any], now: int) -> dict[str, Any]:
    """Columns by the format's field names, of equal length."""
    import numpy as np

    from formats.columns import TextColumn

    if isinstance(metrics, MetricTable):
        name: Any = TextColumn(metrics.name_codes, metrics.names)
        return {
            "timestamp": metrics.timestamps,
            "step": metrics.steps,
            "value": metrics.values,
            "name": name,
        }
    columns = dict(metrics)
    known = {field.name for field in RECORD_CODEC.schema}
    for fault, keys in (
        ("unknown", columns.keys() - known),
        ("missing", known - {"timestamp"} - columns.keys()),
    ):
        if keys:
            raise FieldValueError(f"{fault} column: {', '.join(sorted(map(str, keys)))}")
    count = len(columns["value"])
    columns.setdefault("timestamp", np.full(count, now))
    name = columns["name"]
    if isinstance(name, str):
        columns["name"] = TextColumn(np.zeros(count, np.int32), (name,))
    elif not isinstance(name, TextColumn):
        codes: dict[str, int] = {}
        coded = np.fromiter((codes.setdefault(n, len(codes)) for n in name), np.int32)
        columns["name"] = TextColumn(coded, tuple(codes))
    texts = columns["name"]
    fitted = tuple(fit_name(text) if isinstance(text, str) else text for text in texts.values)
    columns["name"] = TextColumn(texts.codes, fitted)
    for key, column in columns.items():
        if len(column) != count:
            raise FieldValueError(f"{len(column)} values, but {count} in column value", field=key)
    return columns


class MetricWriter:
    """Appends metrics to one experiment; a context manager.

    Args:
        path: the experiment's directory.
        boundary: see `AppendLog`.
        clock: gives the time in seconds since 1970-01-01 UTC.

    Raises:
        ExperimentNotFoundError: the directory is missing.
    """

    def __init__(
        self, path: Path, *, boundary: int = 0, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._log = AppendLog(path / layout.METRICS, RECORD_CODEC.schema, boundary)

    @property
    def commit_id(self) -> str:
        """The experiment's id."""
        return self.path.name

    @property
    def boundary(self) -> int:
        """The offset behind the last record known to be whole."""
        return self._log.boundary

    def log(self, name: str, value: float, step: int) -> None:
        """Append one metric, stamped with the current time.

        Raises:
            FieldValueError: a value that the format cannot hold; nothing is written.
            ExperimentGoneError, TornTailError, ShortWriteError: see `AppendLog.append`.
        """
        self._append(build_metric(name, value, step, int(self._clock())))

    def log_many(self, values: Mapping[str, float], step: int) -> None:
        """Append one step's metrics by one write, all with the same time.

        Raises:
            As `log`.
        """
        timestamp = int(self._clock())
        records = [build_metric(name, value, step, timestamp) for name, value in values.items()]
        if records:
            self._append(b"".join(records))

    def append(self, metrics: MetricTable | Mapping[str, Any]) -> None:
        """Append many metrics as columns, with the timestamps that they carry.

        All is checked first; then a million rows go out in each write.

        Args:
            metrics: a MetricTable, or a mapping with the keys `name`, `value`, `step` and
                `timestamp` of equal length (arrays, or sequences). `timestamp` may be left out, for
                the current time, and `name` may be one name for all.

        Raises:
            As `log`; also FieldValueError for columns of unequal length.
        """
        from formats.columns import build_columns

        columns = _columns(metrics, int(self._clock()))
        parts = [
            build_columns(
                RECORD_CODEC.schema,
                {key: column[start : start + _ROWS] for key, column in columns.items()},
            )
            for start in range(0, len(columns["value"]), _ROWS)
        ]
        for part in parts:
            self._append(part)

    def flush(self) -> None:
        """Hand everything logged to the operating system; with one write a call, nothing waits."""

    def close(self) -> None:
        """Flush, and close the file. A second call does nothing."""
        with self._lock:
            self._log.close()

    def _append(self, data: bytes) -> None:
        with self._lock:
            self._log.append(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
