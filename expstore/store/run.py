"""Run: an experiment that a training script logs to; `start` makes one.

Guarantees: when `log` returns, its metrics are in the file, so a run that ends with an exception
keeps everything it logged; the exception propagates. How a run ended is in run.json: `finished`,
or `failed` with the exception, or `stopped` by an interrupt from the keyboard. A forked child may
log, but does not end its parent's run.

A run ends when its `with` block is left, or when it is closed; at the latest, when the program
drops it or ends. It has finished then, unless an exception shows otherwise; a program that calls
`sys.exit(1)` outside a `with` block shows none. One that is killed says nothing.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, SupportsFloat, SupportsIndex, cast
from weakref import WeakSet

from expstore.errors import (
    ExperimentNotFoundError,
    ExpStoreError,
    LiveWriterError,
    WriterClosedError,
)
from expstore.model import params as parameters
from expstore.model.runinfo import Outcome, RunInfo, RunStart, check_tags
from expstore.model.values import whole_step
from expstore.store import ending, runfile
from expstore.store.append import forks
from expstore.store.append.writer import MetricWriter
from expstore.store.files import layout
from expstore.store.monitor import INTERVAL, Monitor
from expstore.store.repository import ExperimentStore


class Run:
    """An experiment being logged to, returned by `start`. A context manager.

    Threads may share it, and so may forked processes, each of which counts steps for itself.

    Args:
        store: the store it belongs to.
        writer: open for this run alone.
        start: as run.json has it.
        step: gives the last step that is in the log, or None; called when it is first needed.
        joined: another program started the run, and will say how it ended.

    Attributes:
        store: the store it belongs to.
        path: the experiment's directory.
        files: the directory for artifacts of any kind.
        joined: whether another program, such as `expstore run`, started the run and ends it.
    """

    def __init__(
        self,
        store: ExperimentStore,
        writer: MetricWriter,
        start: RunStart,
        step: Callable[[], int | None] = lambda: None,
        joined: bool = False,
    ) -> None:
        self.store = store
        self.joined = joined
        self.path: Path = writer.path
        self.files: Path = store.files_path(writer.commit_id)
        self._writer = writer
        self._start = start
        self._find_step: Callable[[], int | None] | None = step
        self._step = -1
        self._lock = threading.Lock()
        self._ended = False
        self._owner = os.getpid()
        self._monitor: Monitor | None = None
        forks.watch(self)
        _open.add(self)

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    @property
    def commit_id(self) -> str:
        """The experiment's id."""
        return self._writer.commit_id

    @property
    def last_step(self) -> int | None:
        """The highest step that was logged; None if none was.

        After a resume, that of the whole log without what is superseded.
        """
        with self._lock:
            self._know_step()
            return None if self._step < 0 else self._step

    def measure(
        self,
        interval: float = INTERVAL,
        *,
        program: int | None = None,
        step: Callable[[], int | None] | None = None,
    ) -> None:
        """Log the use of the machine from now on; see `expstore.store.monitor`.

        Args:
            interval: seconds between two measurements.
            program: the process id of a program to measure; None: this process.
            step: gives the step of a measurement, None meaning 0; default: `last_step`.

        Raises:
            MissingExtraError: the extra `system` is not installed.
        """
        if self._monitor is None:
            at = step or (lambda: self.last_step)
            self._monitor = Monitor(
                lambda values: self._writer.log_many(values, at() or 0), interval, program
            )

    @property
    def info(self) -> RunInfo:
        """What run.json has now."""
        return self.store.read_run(self.commit_id)

    def log(
        self,
        metrics: Mapping[str, SupportsFloat],
        step: SupportsIndex | SupportsFloat | None = None,
    ) -> None:
        """Log one step's metrics in a single write: `log({"loss": 0.1}, step=3)`.

        Args:
            metrics: values by name; a value is a number, or anything that holds exactly one: a
                scalar, or an array or tensor of one element.
            step: the training step, a whole number; None: the one after `last_step`, or 0.

        Raises:
            FieldValueError: a value that the format cannot represent; nothing is written.
            WriterClosedError: the run has ended.
            ExperimentGoneError, TornTailError, ShortWriteError: see `MetricWriter.log_many`.
        """
        with self._lock:
            if step is None:
                self._know_step()
                number = self._step + 1
            else:
                number = step if step.__class__ is int else whole_step(step)
            try:
                self._writer.log_many(cast("Mapping[str, float]", metrics), number)
            except WriterClosedError:
                raise WriterClosedError(
                    f"run {self.commit_id} has ended; to log more, start it again: "
                    f"expstore.start(commit_id={self.commit_id!r}, resume=True)"
                ) from None
            if metrics and number > self._step:
                self._step = number

    def _know_step(self) -> None:
        if self._find_step is not None:
            found = self._find_step()
            self._find_step = None
            self._step = max(self._step, -1 if found is None else found)

    def log_params(self, params: object) -> None:
        """Add hyperparameters, or replace those of the same name.

        Args:
            params: a mapping, which may nest, or an object that has them: argparse.Namespace, a
                dataclass, an OmegaConf or pydantic object, or one with attributes. What JSON cannot
                hold is converted; see `expstore.model.params`.

        Raises:
            RunFileError: not one of these; or run.json cannot be parsed; nothing is written.
            ExperimentNotFoundError, NoSpaceError, UnreadableFileError: it cannot be written.
        """
        new = parameters.as_params(params)
        self._update(lambda info: replace(info, params=parameters.merged(info.params, new)))

    def view(self, **options: Any) -> object:
        """Show the run in a notebook, while it logs; see `StoreReader.view`."""
        return self.store.view([self.commit_id], **options)

    def add_tags(self, *tags: str) -> None:
        """Add tags, each once.

        Raises:
            RunFileError, ExperimentNotFoundError, NoSpaceError, UnreadableFileError: see
                `log_params`.
        """
        new = check_tags(tags)
        self._update(lambda info: replace(info, tags=tuple(dict.fromkeys((*info.tags, *new)))))

    def set_notes(self, notes: str) -> None:
        """Replace the notes.

        Raises:
            RunFileError, ExperimentNotFoundError, NoSpaceError, UnreadableFileError: see
                `log_params`.
        """
        self._update(lambda info: replace(info, notes=notes))

    def _update(self, change: Callable[[RunInfo], RunInfo]) -> None:
        # By the writer's directory, which is this run's wherever it is.
        directory = self._writer.directory
        if directory < 0:
            self.store.change_run(self.commit_id, change)
        else:
            runfile.update(self.path / layout.RUN, change, directory)

    def close(self) -> None:
        """Stop logging: the run has finished. A second call does nothing.

        Raises:
            ExperimentGoneError, SyncError, UnreadableFileError: see `MetricWriter.close`; the run
                has failed then.
            NoSpaceError, UnreadableFileError, RunFileError: its end could not be recorded.
        """
        self.end("finished")

    def end(self, outcome: Outcome, error: str = "") -> None:
        """Stop logging: the run ended as this says. A second call does nothing.

        Args:
            outcome: how it ended.
            error: why, for `failed` and `stopped`.

        Raises:
            As `close`.
        """
        if self._ended:
            return
        self._ended = True
        _open.discard(self)
        if os.getpid() != self._owner:
            self._writer.close()
            return
        if self._monitor is not None:
            self._monitor.stop()
        # The end is recorded before the lock is released: between, the run would look killed.
        try:
            self._record_end(outcome, error)
        finally:
            try:
                self._writer.close()
            except (ExpStoreError, OSError) as fault:
                if outcome == "finished":
                    with suppress(ExpStoreError):  # which is less than what is raised
                        self._record_end("failed", ending.described(fault))
                raise

    def _record_end(self, outcome: Outcome, error: str) -> None:
        ended = replace(self._start, ended=time.time(), outcome=outcome, error=error)

        def change(info: RunInfo) -> RunInfo:
            if self.joined:
                return ending.with_error(info, self._start, error)
            return ending.with_end(info, self._start, ended)

        with suppress(ExperimentNotFoundError):  # deleted meanwhile: there is nothing to say
            self._update(change)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, *_: object
    ) -> None:
        outcome, text = ending.outcome_of(error)
        try:
            self.end(outcome, text)
        except ExpStoreError as fault:
            if error is None:
                raise
            error.add_note(f"and the run could not be closed: {fault}")

    def __del__(self) -> None:
        if hasattr(self, "_monitor"):
            ending.end_unheard(self, "finished")

    def __repr__(self) -> str:
        return f"<Run {self.commit_id} in {self.store.root}>"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(
            "a Run cannot be pickled or copied; pass its store and commit_id, and log with "
            "store.writer(commit_id) in the other process"
        )

    def _repr_html_(self) -> str:
        """For notebooks: the id, the status, and the parameters and tags."""
        from expstore.model import html

        info, status = self.info, self.store.status(self.commit_id)
        rows = [("status", status), *info.flat_params.items(), ("tags", ", ".join(info.tags))]
        return html.table(("run", self.commit_id), [row for row in rows if row[1] != ""])


_open: WeakSet[Run] = WeakSet()


def check_not_open(path: Path) -> None:
    """Check that this process has no run of an experiment open, which it would end twice.

    Args:
        path: the experiment's directory.

    Raises:
        LiveWriterError: it has one.
    """
    for run in list(_open):
        if run.joined or run._owner != os.getpid() or not os.path.exists(run.path):
            continue
        if os.path.samefile(run.path, path):
            raise LiveWriterError(
                f"{path}: this program has the run open already; log to that one, or close it first"
            )


@atexit.register
def _at_exit() -> None:
    """End the runs that are still open: as the exception says that ends the program, if any."""
    outcome, text = ending.outcome_of(ending.last_error())
    with ExitStack() as stack:  # one that cannot be ended must not keep the others from it
        for run in list(_open):
            stack.callback(ending.end_unheard, run, outcome, text)
