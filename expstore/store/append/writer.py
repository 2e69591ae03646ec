"""MetricWriter: logging to one experiment.

Guarantees: a step's metrics are written in one write, all or none; a value that the format cannot
hold is refused before anything is written; a writer may be shared among threads. While a writer is
open, only a forced prune deletes its experiment, and then the writer raises an error.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from expstore.errors import WriterClosedError
from expstore.model.table import MetricTable
from expstore.model.values import RECORD_CODEC
from expstore.store.append import records
from expstore.store.append.durability import (
    INTERVAL_RECORDS,
    INTERVAL_SECONDS,
    Durability,
    Syncer,
    check_durability,
)
from expstore.store.append.locks import WriterLock
from expstore.store.append.log import AppendLog
from expstore.store.files import layout

# Seconds for which a check of the experiment remains valid: no program can delete the experiment
# and log to it again so fast, and a tear made meanwhile is found after the write. Makes a tight
# loop of appends a third faster.
_CHECK_INTERVAL = 5e-5


class MetricWriter:
    """Appends metrics to one experiment; a context manager.

    Threads and forked processes may share it. A signal handler must not call it, since it would
    wait for the call that it interrupted; only `flush` with `process` is safe.

    Args:
        path: the experiment's directory.
        durability: when logged data survives a power failure; see the module `durability`.
        interval_records, interval_seconds: for `interval`: sync when this many records are pending,
            or one has been pending this long.
        clock: returns the time in seconds since 1970-01-01 UTC.

    Raises:
        DurabilityError: unknown durability, or an invalid interval.
        ExperimentNotFoundError: the directory is missing; ExperimentGoneError: it is being deleted.
        UnreadableFileError: the log is not a regular file, or no permission.
        SyncError: with `interval` or `power`, the new log cannot be synced.
    """

    def __init__(
        self,
        path: Path,
        *,
        durability: Durability = "process",
        interval_records: int = INTERVAL_RECORDS,
        interval_seconds: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_durability(durability, interval_records, interval_seconds)
        self.path = path
        self.durability = durability
        self._clock = clock
        # Another clock may run at any speed.
        self._interval = _CHECK_INTERVAL if clock is time.time else 0.0
        self._checked = -math.inf  # when the experiment was last known to exist
        self._builders = records.StepBuilders()
        self._lock = threading.Lock()
        self._writer_lock = WriterLock(path)
        self._syncer: Syncer | None = None
        try:
            self._log = AppendLog(path / layout.METRICS, RECORD_CODEC, self._writer_lock.directory)
            if durability != "process":
                power = durability == "power"
                self._syncer = Syncer(
                    self._log,
                    self._lock,
                    1 if power else interval_records,
                    math.inf if power else interval_seconds,
                )
                self._syncer.created()
        except BaseException:
            self._writer_lock.close()
            raise

    @property
    def commit_id(self) -> str:
        """The experiment's id."""
        return self.path.name

    def log(self, name: str, value: float, step: int) -> None:
        """Append one metric, stamped with the current time.

        Raises:
            FieldValueError: a value that the format cannot hold; nothing is written.
            ExperimentGoneError: the experiment was deleted; nothing is written.
            NoSpaceError, ShortWriteError, TornTailError: see `AppendLog.append`.
            SyncError: a sync failed, now or earlier; the writer can no longer be used.
            WriterClosedError: after `close`.
        """
        now = self._clock()
        self._append(records.record(name, value, timestamp=int(now), step=step), 1, now)

    def log_many(self, values: Mapping[str, float], step: int) -> None:
        """Append one step's metrics in one write, all with the same timestamp.

        Raises:
            As `log`.
        """
        now = self._clock()
        names = tuple(values)
        data = self._builders[names](values.values(), timestamp=int(now), step=step)
        if self._syncer is not None or not data:
            self._append(data, len(names), now)
            return
        with self._lock:  # `_append` inlined, because the call costs too much in a tight loop
            fresh = 0 < now - self._checked < self._interval
            if not fresh:
                self._check(now)
            self._log.append(data, fresh)

    def append(self, metrics: MetricTable | Mapping[str, Any]) -> None:
        """Append many metrics as columns, with their own timestamps.

        Everything is checked first; then each write appends up to 2**20 rows.

        Args:
            metrics: a MetricTable, or a mapping of `name`, `value`, `step` and `timestamp` to
                arrays or sequences of equal length. Without `timestamp`, the current time is used;
                `name` may be a single string for all rows. Timestamps are whole seconds since
                1970-01-01 UTC; those in milli-, micro- or nanoseconds are recognised and refused.

        Raises:
            As `log`; also FieldValueError for columns of unequal length.
        """
        for data, count in records.build_all(metrics, int(self._clock())):
            self._append(data, count, self._clock())

    def flush(self) -> None:
        """Sync what was logged to disk, with `interval` and `power`.

        With `process` nothing is ever pending, so this does nothing, and does not wait for a call
        in progress: a signal handler may call it.

        Raises:
            SyncError: the sync failed, now or earlier.
        """
        if self._syncer is not None:
            with self._lock:
                self._syncer.sync()

    def close(self) -> None:
        """Flush, and close the file. A second call does nothing.

        Raises:
            SyncError: as `flush`; UnreadableFileError: the file system says only now that a write
                failed. The file is closed anyway.
        """
        with self._lock:
            try:
                if self._syncer is not None and not self._log.closed:
                    self._syncer.sync()
            finally:
                self._checked = -math.inf
                try:
                    if self._syncer is not None:
                        self._syncer.stop()
                    self._log.close()
                finally:
                    self._writer_lock.close()

    def _append(self, data: bytes, count: int, now: float) -> None:
        with self._lock:
            fresh = 0 < now - self._checked < self._interval
            if not fresh:
                self._check(now)
            if self._syncer is not None:
                self._syncer.check()
            self._log.append(data, fresh)
            if self._syncer is not None:
                self._syncer.appended(count, len(data))

    def _check(self, now: float) -> None:
        """Raise if the writer is closed or the experiment gone."""
        if self._log.closed:
            raise WriterClosedError(f"{self.path}: the writer is closed")
        self._writer_lock.check()
        self._checked = now

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
