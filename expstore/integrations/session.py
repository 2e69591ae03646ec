"""Session: the run of a framework's hook, from the first step to the end of training.

Guarantees: one process of a distributed training logs, the others do nothing. A training that began
and whose end the framework never reported has failed, or was stopped by the keyboard; it does not
count as finished. A run that the user passed in is logged to, and left to the user to end.

What is logged outside a training, as by a test after it, has finished when the program ends, if
nothing said so before: only a training fails by not ending. In a notebook, the exception that ends
a cell ends the trainings that the cell began.

A session that goes on (`resume=True`) supersedes what was logged from the first step that it logs,
unless `from_step` says otherwise. One that is used again after its end goes on in the same
experiment, or starts another one if the steps of a new training begin again.
"""

from __future__ import annotations

import atexit
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypedDict
from weakref import WeakSet, finalize

from expstore.integrations import cells
from expstore.model.runinfo import RunInfo
from expstore.store.append.durability import Durability
from expstore.store.ending import end_unheard, last_error, outcome_of
from expstore.store.run import Run
from expstore.store.start import start


class StartOptions(TypedDict, total=False):
    """The keywords of `expstore.start`, which every hook takes; see there."""

    root: str | os.PathLike[str] | None
    commit_id: str | None
    job_name: str
    user: str | None
    params: object
    tags: Iterable[str]
    notes: str
    resume: bool
    from_step: int | None
    save_patch: bool
    system_metrics: bool
    durability: Durability


class TrainingNotEndedError(RuntimeError):
    """What run.json gives as the error of a training that began, and that nothing ended."""


@dataclass
class _Held:
    """The run that a session has open, apart from it: it is ended when the session is dropped."""

    run: Run | None = None
    is_training: bool = False
    is_complete: Callable[[], bool] = lambda: False

    @property
    def may_end(self) -> bool:
        """Whether it has finished if nothing more comes."""
        return not self.is_training or self.is_complete()

    def let_go(self) -> Run | None:
        """The run, which is no longer held."""
        run, self.run, self.is_training = self.run, None, False
        return run


class Session:
    """A run that is started when training begins.

    Args:
        run: log to this run, and do not end it; None: start one.
        options: keywords of `expstore.start`.

    Attributes:
        is_main: whether this process logs.
        goes_on: whether the first step that is logged supersedes what earlier starts logged.

    Raises:
        TypeError: an unknown keyword, or keywords beside a run.
    """

    def __init__(self, run: Run | None, options: StartOptions) -> None:
        inspect.signature(start).bind(**options)
        if run is not None and options:
            raise TypeError(
                f"a run was passed, and so were options to start one: {', '.join(options)}; "
                "pass them to expstore.start, or leave out the run"
            )
        self.is_main = is_main_process()
        self._given = run
        self._options = options
        self._held = _Held()
        self._ended: Run | None = None
        self._last_step = -1
        self._has_trained = False
        self.goes_on = bool(options.get("resume")) and options.get("from_step") is None
        finalize(self, _end_dropped, self._held).atexit = False
        _sessions.add(self)

    @property
    def run(self) -> Run:
        """The run to log to; it is started now if it is not open."""
        if self._given is not None:
            return self._given
        if self._held.run is None:
            options = self._options
            if self._ended is not None:
                again: StartOptions = {"commit_id": self._ended.commit_id, "resume": True}
                options = {**options, **again, "from_step": None, "save_patch": False}
            self._held.run = start(**options)
        return self._held.run

    @property
    def latest(self) -> Run:
        """The run, without starting it again after its end; started now if there is none."""
        return self.run if self._held.run is not None or self._ended is None else self._ended

    @property
    def is_open(self) -> bool:
        """Whether a run was started, and has not ended."""
        return self._held.run is not None

    @property
    def is_training(self) -> bool:
        """Whether training has begun and not ended."""
        return self._held.is_training

    @property
    def has_begun(self) -> bool:
        """Whether there is a run, open or ended."""
        return self._given is not None or self.is_open or self._ended is not None

    def begin(self, params: object = None, step: int | None = None) -> None:
        """Training begins.

        Args:
            params: hyperparameters that the framework knows.
            step: the first step that will be logged, if that is known.
        """
        if not self.is_main:
            return
        begins_again = self._has_trained and step is not None and step <= self._last_step
        if begins_again and self._held.is_training:
            self.end(TrainingNotEndedError("training began again before it had ended"))
        if begins_again:
            self.end()
            self._ended, self._last_step = None, -1
            self.goes_on = bool(self._options.get("resume"))
        run = self.run
        self._has_trained = self._held.is_training = True
        self._held.is_complete = lambda: False
        self._add_params(run, params)
        cells.watch(self)
        if step is not None:
            self._supersede(step)

    def add_params(self, params: object) -> None:
        """Add hyperparameters that the framework knows; a run that has ended stays so."""
        if self.is_main:
            self._add_params(self.latest, params)

    def _add_params(self, run: Run, params: object) -> None:
        """Those that the user gave win over them."""
        if params:
            run.log_params(params)
            if mine := self._options.get("params"):
                run.log_params(mine)

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Log the numbers among some values; texts, lists and the like are left out."""
        if not self.is_main:
            return
        found = numbers(values)
        if not found:
            return
        run = self.run
        if self.goes_on:
            self._supersede(step)
        run.log(found, step)
        self._last_step = max(self._last_step, step)

    def _supersede(self, step: int) -> None:
        """What earlier starts of the run logged at or after this step is superseded."""
        if not self.goes_on:
            return
        self.goes_on = False

        def change(info: RunInfo) -> RunInfo:
            if len(info.starts) < 2:
                return info
            return replace(
                info, starts=(*info.starts[:-1], replace(info.starts[-1], from_step=step))
            )

        self.run.store.change_run(self.run.commit_id, change)

    def complete_if(self, test: Callable[[], bool]) -> None:
        """Whether training is complete, for a framework that does not report its end."""
        self._held.is_complete = test

    def end_of_cell(self, error: BaseException | None) -> None:
        """The notebook's cell in which training began has ended, by an exception or as it should.

        One that caught the exception of a training may go on with it in another cell.
        """
        if self._held.is_training and self._held.may_end:
            self.end()
        elif self._held.is_training and error is not None:
            self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """Training ended, by an exception or as it should; a second call does nothing."""
        if run := self._held.let_go():
            self._ended = run
            run.__exit__(None if error is None else type(error), error, None)


_sessions: WeakSet[Session] = WeakSet()


def _end_dropped(held: _Held, error: BaseException | None = None) -> None:
    error = error or sys.exception()
    if held.is_training:
        if held.is_complete():
            error = None
        elif error is None:
            error = TrainingNotEndedError("training began and did not end")
    if run := held.let_go():
        end_unheard(run, *outcome_of(error))


@atexit.register  # after that of expstore.store.run, and so called before it
def _at_exit() -> None:
    error = last_error()
    for session in list(_sessions):
        _end_dropped(session._held, error)


def is_main_process() -> bool:
    """Whether this process is the first of its training: rank 0, or the only one."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return bool(distributed.get_rank() == 0)
    ranks = (os.environ.get(name) for name in ("RANK", "OMPI_COMM_WORLD_RANK"))
    return next((rank for rank in ranks if rank), "0") == "0"


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """The values that are numbers, or hold exactly one: scalars, arrays and tensors."""
    found = {}
    for name, value in values.items():
        if value.__class__ is float:
            found[name] = value
        elif value is not None and not isinstance(value, str | bytes):
            with suppress(TypeError, ValueError, RuntimeError):
                found[name] = float(value)
    return found
