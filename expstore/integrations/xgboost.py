"""A callback for XGBoost.

    from expstore.integrations.xgboost import ExpStoreCallback

    xgboost.train(params, data, evals=[(data, "train")], callbacks=[ExpStoreCallback()])

Guarantees: each evaluation is in the experiment as `train/rmse` and so on, with the boosting round
as the step; of a cross-validation, also the standard deviation, as `test/rmse_std`. The booster's
configuration is in the params under XGBoost's names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Unpack

from expstore.extras import require
from expstore.integrations.session import Session, StartOptions
from expstore.store.run import Run

_xgboost: Any = require("xgboost", "xgboost")
_TrainingCallback: Any = _xgboost.callback.TrainingCallback


class ExpStoreCallback(_TrainingCallback):
    """Logs the evaluations of `train`, `cv` or a scikit-learn `fit` to an experiment.

    Args:
        run: log to this run, and do not end it; None: start one.
        options: keywords of `expstore.start`. With `resume=True`, a `train(xgb_model=...)` goes on
            in the experiment `commit_id`, and supersedes what was logged after that model.

    Raises:
        TypeError: an unknown keyword, or keywords beside a run.
    """

    def __init__(self, run: Run | None = None, **options: Unpack[StartOptions]) -> None:
        super().__init__()
        self._session = Session(run, options)
        self._first = 0

    @property
    def run(self) -> Run | None:
        """The run, started now if training has not begun; None in processes that do not log."""
        return self._session.latest if self._session.is_main else None

    def before_training(self, model: Any) -> Any:
        """Start the run, or go on from the rounds that the model has."""
        self._session.is_main = self._session.is_main and _xgboost.collective.get_rank() == 0
        self._first = model.num_boosted_rounds()
        folds = getattr(model, "cvfolds", None)
        self._session.begin(_params(folds[0].bst if folds else model), self._first)
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: Mapping[str, Any]) -> bool:
        """Log one round; training goes on."""
        self._session.log(dict(_latest(evals_log)), self._first + epoch)
        return False

    def after_training(self, model: Any) -> Any:
        """The run has finished."""
        self._session.end()
        return model


def _latest(evals_log: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for data, metrics in evals_log.items():
        for metric, values in metrics.items():
            value = values[-1]
            if isinstance(value, tuple):
                yield f"{data}/{metric}", value[0]
                yield f"{data}/{metric}_std", value[1]
            else:
                yield f"{data}/{metric}", value


def _params(booster: Any) -> dict[str, Any]:
    """The settings in a booster's configuration, without what belongs to the model."""
    return dict(_settings(json.loads(booster.save_config())["learner"]))


def _settings(section: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, list):
            for item in value:
                yield from _settings(item)
        elif isinstance(value, dict):
            if name.endswith("_param") and not name.endswith("_model_param"):
                yield from ((key, _value(text)) for key, text in value.items())
            else:
                yield from _settings(value)


def _value(text: str) -> Any:
    """What a text of the configuration means; it has floats as float32, such as 0.300000012."""
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return float(f"{float(text):.7g}")
    return text
