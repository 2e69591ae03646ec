"""A callback for Optuna: a study is a group of experiments, and a trial is a run.

    from expstore.integrations.optuna import ExpStoreCallback

    study.optimize(objective, n_trials=20, callbacks=[ExpStoreCallback()])

Guarantees: each trial that ended is an experiment `<study>-<number>` with the study's name as its
job name and as a tag, the trial's parameters as params, its reported values as
`intermediate_value`, and what the objective returned as `value`, or under the study's metric names.

To log more from inside an objective, and to keep also a trial that raises or is killed:

    to_store = ExpStoreCallback()

    @to_store.track
    def objective(trial):
        to_store.run.log({"loss": ...}, step=...)
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from typing import Any

from expstore.errors import ExperimentExistsError
from expstore.extras import require
from expstore.integrations.session import StartOptions, is_main_process
from expstore.store.append.durability import Durability
from expstore.store.run import Run
from expstore.store.start import start

_optuna: Any = require("optuna", "optuna")

_CHARACTERS = 200  # of a study's name in an id, which has at most 255 bytes


class TrialFailedError(RuntimeError):
    """What run.json gives as the error of a trial that Optuna reports as failed."""


class ExpStoreCallback:
    """Keeps each trial of a study as an experiment.

    Args:
        root, user, tags, notes, save_patch, system_metrics, durability: see `expstore.start`.
        job_name: the job; default: the study's name.
    """

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        job_name: str = "",
        user: str | None = None,
        *,
        tags: Iterable[str] = (),
        notes: str = "",
        save_patch: bool = False,
        system_metrics: bool = False,
        durability: Durability = "process",
    ) -> None:
        self._options: StartOptions = {
            "root": root,
            "job_name": job_name,
            "user": user,
            "tags": (tags,) if isinstance(tags, str) else tuple(tags),
            "notes": notes,
            "save_patch": save_patch,
            "system_metrics": system_metrics,
            "durability": durability,
        }
        self._run: ContextVar[Run | None] = ContextVar("run", default=None)
        self._tracked: set[tuple[str, int]] = set()

    @property
    def run(self) -> Run:
        """Inside an objective that is tracked: the trial's run.

        Raises:
            LookupError: not called from such an objective.
        """
        run = self._run.get()
        if run is None:
            raise LookupError("no trial is running here; decorate the objective with `track`")
        return run

    def __call__(self, study: Any, trial: Any) -> None:
        """Keep a trial that ended, unless `track` has kept it already."""
        key = (study.study_name, trial.number)
        if key in self._tracked:
            self._tracked.discard(key)
            return
        if not is_main_process():
            return
        with self._started(study, trial.number) as run:
            # Of a pruned trial Optuna has the last report as the value; it returned none.
            pruned = trial.state == _optuna.trial.TrialState.PRUNED
            _keep(run, study, trial, None if pruned else trial.values)
            if trial.state == _optuna.trial.TrialState.FAIL:
                run.__exit__(TrialFailedError, TrialFailedError("Optuna reports a failure"), None)

    def track(self, objective: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Decorate an objective: its trial's run is open, as `run`, while it is running.

        The run ends as the objective does. A trial that is pruned has finished.
        """

        @functools.wraps(objective)
        def tracked(trial: Any) -> Any:
            if not is_main_process():
                return objective(trial)
            pruned = None
            values: Sequence[float] | None = None
            with self._started(trial.study, trial.number) as run:
                self._tracked.add((trial.study.study_name, trial.number))
                token = self._run.set(run)
                try:
                    returned = objective(trial)
                    values = returned if isinstance(returned, Sequence) else [returned]
                except _optuna.TrialPruned as error:
                    pruned = error
                finally:
                    self._run.reset(token)
                    frozen = trial.study.get_trials(deepcopy=False)[trial.number]
                    _keep(run, trial.study, frozen, values, is_pruned=pruned is not None)
            if pruned is not None:
                raise pruned
            return returned

        return tracked

    @contextmanager
    def _started(self, study: Any, number: int) -> Iterator[Run]:
        name = re.sub(r"[^\w.-]", "-", study.study_name).lstrip(".-")[:_CHARACTERS] or "study"
        options = dict(self._options)
        options["job_name"] = options["job_name"] or study.study_name
        options["tags"] = (*self._options["tags"], study.study_name)
        # A study that is not in a storage may have the name of an earlier one.
        candidates = (f"{name}-{number}" if n == 1 else f"{name}-{number}-{n}" for n in count(1))
        for commit_id in candidates:
            try:
                run = start(commit_id=commit_id, **options)  # type: ignore[arg-type]
            except ExperimentExistsError:
                continue
            with run:
                yield run
            return


def _keep(
    run: Run, study: Any, trial: Any, values: Sequence[float] | None, *, is_pruned: bool = False
) -> None:
    """Log what a trial has: the parameters, the reported values, and the result."""
    about: Mapping[str, Any] = {"study": study.study_name, "trial": trial.number}
    run.log_params({**trial.params, **trial.user_attrs, "optuna": about})
    if is_pruned or trial.state == _optuna.trial.TrialState.PRUNED:
        run.add_tags("pruned")
    for step, value in sorted(trial.intermediate_values.items()):
        run.log({"intermediate_value": value}, step)
    if values is not None:
        names = study.metric_names or (
            ["value"] if len(values) == 1 else [f"value_{n}" for n in range(len(values))]
        )
        run.log(dict(zip(names, values, strict=False)), run.last_step or 0)
