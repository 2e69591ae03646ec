"""A callback for LightGBM.

    from expstore.integrations.lightgbm import ExpStoreCallback

    lightgbm.train(params, data, valid_sets=[valid], callbacks=[ExpStoreCallback()])

Guarantees: each evaluation is in the experiment as `valid_0/l2` and so on, with the iteration as
the step; of a cross-validation, also the standard deviation, as `valid/l2_std`. The booster's
parameters are params. LightGBM does not tell callbacks about its end: a training whose last
iteration was logged, or that was stopped early, has finished; another one has failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from expstore.extras import require
from expstore.integrations.session import Session, StartOptions
from expstore.store.run import Run

require("lightgbm", "lightgbm")


class ExpStoreCallback:
    """Logs the evaluations of `train`, `cv` or a scikit-learn `fit` to an experiment.

    Args:
        run: log to this run, and do not end it; None: start one.
        options: keywords of `expstore.start`. With `resume=True`, a `train(init_model=...)` goes on
            in the experiment `commit_id`, and supersedes what was logged after that model.

    Raises:
        TypeError: an unknown keyword, or keywords beside a run.
    """

    order = 20
    """After LightGBM's own log, and before it stops early."""

    before_iteration = False
    """Called after each iteration."""

    def __init__(self, run: Run | None = None, **options: Unpack[StartOptions]) -> None:
        self._session = Session(run, options)

    @property
    def run(self) -> Run | None:
        """The run, started now if training has not begun; None in processes that do not log."""
        return self._session.latest if self._session.is_main else None

    def __call__(self, env: Any) -> None:
        """Log one iteration, as LightGBM's CallbackEnv has it."""
        if env.iteration == env.begin_iteration:
            self._session.begin(
                {"num_iterations": env.end_iteration - env.begin_iteration, **env.params},
                env.iteration,
            )
            self._session.complete_if(lambda: env.model.best_iteration > 0)
        self._session.log(dict(_values(env.evaluation_result_list or ())), env.iteration)
        if env.iteration == env.end_iteration - 1:
            self._session.end()


def _values(results: Iterable[Any]) -> Iterable[tuple[str, float]]:
    for data, metric, value, _, *deviation in results:
        yield f"{data}/{metric}", value
        if deviation and deviation[0] is not None:
            yield f"{data}/{metric}_std", deviation[0]
