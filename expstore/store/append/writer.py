"""MetricWriter: logging to one experiment.

Guarantees: a step's metrics are written in one write, all or none; a value that the format cannot
hold is refused before anything is written; a writer may be shared among threads. While a writer is
open, only a forced prune deletes its experiment. If the experiment or its log is deleted, moved,
replaced or cut, by whatever program, the next call raises an error that says which records are in
doubt: those appended since the log was last seen to be the experiment's, or those that were cut
off. It is looked for before each append, after each sync, and at the end.

Noticed later are: what happens less than 50 microseconds after a look, at the next call after that
or by `close`; an experiment's directory that was moved, if a link to it has taken its place, within
a second, since nothing is lost then; and a log that was rewritten in place in just as many bytes,
after the next sync or by `close`, by its last 64 bytes. Other bytes are not compared: a seal tells.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from math import floor  # faster than `int`
from pathlib import Path
from typing import Any, Self

from expstore.errors import ExperimentGoneError, WriterClosedError
from expstore.model.table import MetricTable
from expstore.model.times import checked_clock
from expstore.store.append import forks, records
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
        self._clock = checked_clock(clock)
        # Another clock may run at any speed.
        self._interval = _CHECK_INTERVAL if clock is time.time else 0.0
        self._checked = -math.inf  # when the log was last known to be the experiment's
        self._gone = False  # the caller knows that it is not
        self._builders = records.StepBuilders()
        self._lock = threading.Lock()
        self._writer_lock = WriterLock(path)
        self._syncer: Syncer | None = None
        forks.watch(self)
        try:
            log = path / layout.METRICS
            self._log = AppendLog(log, directory=self._writer_lock.directory)
        except BaseException:
            self._writer_lock.close()
            raise
        try:
            self._writer_lock.watch(self._log.identity())
            self._sure = self._log.size  # where the log ended when it was last looked for
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
            self._close()
            raise

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        self._checked = -math.inf
        if self._syncer is not None:
            self._syncer.after_fork(self._lock)

    @property
    def commit_id(self) -> str:
        """The experiment's id."""
        return self.path.name

    @property
    def directory(self) -> int:
        """A descriptor of the experiment's directory, wherever that is now; -1 after `close`."""
        return self._writer_lock.directory

    def log(self, name: str, value: float, step: int) -> None:
        """Append one metric, stamped with the current time.

        The value is rounded to a double: to 0 if it is too small; one too large is refused.

        Raises:
            FieldValueError: a value that the format cannot hold, or a clock that gives no time in
                seconds; nothing is written.
            ExperimentGoneError: the experiment or its log was deleted, moved, replaced or cut; the
                records between the error's `start` and `end` are in doubt. Nothing is written,
                unless the text says that it was.
            NoSpaceError, ShortWriteError, TornTailError: see `AppendLog.append`.
            SyncError: a sync failed, now or earlier; the writer can no longer be used.
            SyncThreadError: with `interval`, no thread can be started; nothing is written.
            WriterClosedError: after `close`.
        """
        now = self._clock()
        self._append(records.record(name, value, timestamp=floor(now), step=step), 1, now)

    def log_many(self, values: Mapping[str, float], step: int) -> None:
        """Append one step's metrics in one write, all with the same timestamp.

        Raises:
            As `log`.
        """
        now = self._clock()
        try:
            names = tuple(values)
            data = self._builders[names](values.values(), timestamp=floor(now), step=step)
        except (AttributeError, TypeError):
            records.check_mapping(values, step)
            raise
        if self._syncer is not None:
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
            ExperimentGoneError: what was synced is not the experiment's log any more.
        """
        if self._syncer is not None:
            with self._lock:
                self._sync(self._syncer)

    def close(self) -> None:
        """Flush, and close the file. A second call does nothing.

        Raises:
            SyncError: as `flush`; UnreadableFileError: the file system says only now that a write
                failed. The file is closed anyway.
            ExperimentGoneError: the last records are in no file any more, and no call said so yet.
        """
        with self._lock:
            try:
                if not self._log.closed:
                    self._look_back()
            finally:
                self._close()

    def _look_back(self) -> None:
        """Sync, and raise if the last records were lost with the log that they were written to."""
        if self._syncer is not None:
            self._syncer.sync()
        if self._gone or self._log.is_lost or self._log.boundary <= self._sure:
            return
        try:
            self._check(self._clock())
        except ExperimentGoneError:
            if not self._log.is_linked:
                raise
            # Moved, after the last record for all we know: the log that was moved has it.
        self._log.recall()

    def _close(self) -> None:
        # Nested, so that an interrupt in one of them does not keep the others from being done.
        try:
            if self._syncer is not None:
                self._syncer.stop()
        finally:
            try:
                self._log.close()
            finally:
                self._checked = -math.inf
                self._writer_lock.close()

    def _append(self, data: bytes, count: int, now: float) -> None:
        with self._lock:
            fresh = 0 < now - self._checked < self._interval
            if not fresh:
                self._check(now)
            syncer = self._syncer
            if syncer is not None:
                syncer.expect(count)
            self._log.append(data, fresh)
            if syncer is not None:
                syncer.appended(count)
                if count and not syncer.pending:
                    self._check_synced(now)

    def _sync(self, syncer: Syncer) -> None:
        pending = syncer.pending
        syncer.sync()
        if pending:
            self._check_synced(self._clock())

    def _check_synced(self, now: float) -> None:
        """Raise unless what is on disk now is in the experiment's log."""
        self._check(now)
        self._log.recall()

    def _check(self, now: float) -> None:
        """Raise if the writer is closed or its log no longer the experiment's."""
        if self._log.closed:
            raise WriterClosedError(f"{self.path}: the writer is closed")
        try:
            self._writer_lock.check()
        except ExperimentGoneError as error:
            self._gone, self._checked = True, -math.inf
            raise self._gone_since(self._sure, error) from error
        self._checked, self._sure = now, self._log.boundary or self._sure

    def _gone_since(self, start: int, error: ExperimentGoneError) -> ExperimentGoneError:
        end = self._log.boundary
        if start >= end:
            return error
        return ExperimentGoneError(
            f"{error}: {self._log.records_since(start)} written since it was last seen in place, "
            "may be in no log of this experiment, and earlier ones only if what is there now has "
            "them; read back what it holds, and log the rest with a new writer",
            start,
            end,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
