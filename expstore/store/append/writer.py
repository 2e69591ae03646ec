"""MetricWriter: logging to one experiment.

Guarantees: a step's metrics go out in one write, whole or not at all; a value that the format
cannot hold is refused before anything is written; a writer may be shared among threads. While a
writer is open, no prune deletes its experiment unless forced to, and then the writer says so.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from expstore.errors import SyncError, WriterClosedError
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
from expstore.store.files import layout, system

# Seconds: within so few microseconds of the last look, the experiment is taken to be still there,
# and its log to end where it did. No program can have deleted it and logged again, and what is
# torn meanwhile is found after the write; a tight loop of appends is a third faster.
_GLANCE = 5e-5
_ROWS = 1 << 20  # rows in one write of `append`; the system takes at most 2 GiB in one


class MetricWriter:
    """Appends metrics to one experiment; a context manager.

    Threads may share it, and forked processes. A signal handler must not call it, but for `flush`
    with `process`: it may interrupt the very call that it would wait for.

    Args:
        path: the experiment's directory.
        durability: when what was logged is safe from a power cut; see `durability`.
        interval_records, interval_seconds: for `interval`: sync when so many records wait, or one
            has waited so long.
        clock: gives the time in seconds since 1970-01-01 UTC.

    Raises:
        DurabilityError: no such durability, or an interval that cannot be.
        ExperimentNotFoundError: the directory is missing; ExperimentGoneError: it is being deleted.
        UnreadableFileError: the log is no regular file, or no permission.
        SyncError: `interval` or `power`, and the new log cannot be brought to the disk.
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
        # Of another clock nobody knows how fast it goes.
        self._glance = _GLANCE if clock is time.time else 0.0
        self._looked = -math.inf  # when the experiment was last seen to be there
        self._builders = records.StepBuilders()
        self._lock = threading.Lock()
        self._presence = WriterLock(path)
        self._syncer: Syncer | None = None
        try:
            self._log = AppendLog(path / layout.METRICS, RECORD_CODEC, self._presence.directory)
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
            self._presence.close()
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
            SyncError: a sync failed, now or earlier; the writer is of no use any more.
            WriterClosedError: after `close`.
        """
        now = self._clock()
        self._append(records.record(name, value, timestamp=int(now), step=step), 1, now)

    def log_many(self, values: Mapping[str, float], step: int) -> None:
        """Append one step's metrics by one write, all with the same time.

        Raises:
            As `log`.
        """
        now = self._clock()
        names = tuple(values)
        data = self._builders[names](values.values(), timestamp=int(now), step=step)
        if self._syncer is not None or not data:
            self._append(data, len(names), now)
            return
        with self._lock:  # the same without a call, which is felt in a tight loop
            looked = 0 < now - self._looked < self._glance
            if not looked:
                self._look(now)
            self._log.append(data, looked)

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

        columns = records.columns(metrics, int(self._clock()))
        parts = [
            build_columns(
                RECORD_CODEC.schema,
                {key: column[start : start + _ROWS] for key, column in columns.items()},
            )
            for start in range(0, len(columns["value"]), _ROWS)
        ]
        for start, part in enumerate(parts):
            count = min(_ROWS, len(columns["value"]) - start * _ROWS)
            self._append(part, count, self._clock())

    def flush(self) -> None:
        """Hand over everything logged: to the disk with `interval` and `power`.

        With `process` nothing ever waits in this program, and this does nothing, not even wait for
        a call that goes on: a signal handler may call it.

        Raises:
            SyncError: the sync failed, now or earlier.
        """
        if self._syncer is not None:
            with self._lock:
                self._syncer.sync()

    def sync_directory(self) -> None:
        """Have the experiment's files on the disk under their names.

        Raises:
            SyncError: that failed.
        """
        try:
            system.sync_directory(self.path)
        except OSError as error:
            said = f"{self.path}: could not be synced ({error.strerror})"
            raise SyncError(said, 0, -1, 0, 0) from error

    def close(self) -> None:
        """Flush, and close the file. A second call does nothing.

        Raises:
            SyncError: as `flush`; the file is closed all the same.
        """
        with self._lock:
            try:
                if self._syncer is not None and not self._log.closed:
                    self._syncer.sync()
            finally:
                if self._syncer is not None:
                    self._syncer.stop()
                self._log.close()
                self._presence.close()
                self._looked = -math.inf

    def _append(self, data: bytes, count: int, now: float) -> None:
        with self._lock:
            looked = 0 < now - self._looked < self._glance
            if not looked:
                self._look(now)
            if self._syncer is not None:
                self._syncer.check()
            self._log.append(data, looked)
            if self._syncer is not None:
                self._syncer.appended(count, len(data))

    def _look(self, now: float) -> None:
        """See whether there still is something to append to."""
        if self._log.closed:
            raise WriterClosedError(f"{self.path}: the writer is closed")
        self._presence.check()
        self._looked = now

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
