"""LightGBM and XGBoost: early stops, cross-validation and the scikit-learn interface."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expstore import ExperimentStore
from tests.integrations.helpers import curve, needs

X = np.random.default_rng(3).random((60, 3))
Y = X.sum(axis=1)
QUIET = {"verbose": -1, "min_data_in_leaf": 2}


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_lightgbm_stopped_early_has_finished_and_failed_has_not(
    error: type[BaseException] | None, tmp_path: Path
) -> None:
    """LightGBM tells neither to its callbacks."""
    needs("lightgbm")
    import lightgbm

    from expstore.integrations.lightgbm import ExpStoreCallback

    def strike(env: Any) -> None:
        if error is not None and env.iteration == 1:
            raise error("no loss")

    train = lightgbm.Dataset(X, Y)
    valid = lightgbm.Dataset(X, Y, reference=train)

    def fit() -> None:
        lightgbm.train(
            {**QUIET, "learning_rate": 9.0, "early_stopping_round": 2, "verbosity": -1},
            train,
            50,
            valid_sets=[valid],
            callbacks=[ExpStoreCallback(root=tmp_path, commit_id="a"), strike],
        )

    if error is None:
        fit()
    else:
        with pytest.raises(error):
            fit()
        gc.collect()  # the exception holds the callback
    store = ExperimentStore(tmp_path)
    assert store.status("a") == ("finished" if error is None else "failed")
    assert len(curve(store, "a", "valid_0/l2")) < 10


def test_lightgbm_cross_validation_and_scikit_learn(tmp_path: Path) -> None:
    """Means with deviations; the estimator's own parameters."""
    needs("lightgbm", "sklearn")
    import lightgbm

    from expstore.integrations.lightgbm import ExpStoreCallback

    lightgbm.cv(
        QUIET,
        lightgbm.Dataset(X, Y),
        3,
        stratified=False,
        callbacks=[ExpStoreCallback(root=tmp_path, commit_id="cv")],
    )
    store = ExperimentStore(tmp_path)
    assert len(curve(store, "cv", "valid/l2")) == len(curve(store, "cv", "valid/l2_std")) == 3
    model = lightgbm.LGBMRegressor(n_estimators=4, num_leaves=5, verbose=-1)
    callback = ExpStoreCallback(root=tmp_path, commit_id="sk")
    model.fit(X, Y, eval_set=[(X, Y)], callbacks=[callback])
    assert store.read_run("sk").params["num_leaves"] == 5
    assert {store.status(name) for name in ("cv", "sk")} == {"finished"}


@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_xgboost_has_the_settings_of_each_kind_of_booster(booster: str, tmp_path: Path) -> None:
    """As numbers, under XGBoost's names; an early stop has finished."""
    needs("xgboost")
    import xgboost

    from expstore.integrations.xgboost import ExpStoreCallback

    data = xgboost.DMatrix(X, Y)
    xgboost.train(
        {"booster": booster, "learning_rate": 0.3, "reg_lambda": 2},
        data,
        9,
        evals=[(data, "train")],
        early_stopping_rounds=8,
        verbose_eval=False,
        callbacks=[ExpStoreCallback(root=tmp_path, commit_id="a")],
    )
    store = ExperimentStore(tmp_path)
    params = store.read_run("a").params
    assert (params["booster"], params["learning_rate"], params["reg_lambda"]) == (booster, 0.3, 2)
    assert "num_feature" not in params
    assert store.status("a") == "finished"


def test_xgboost_cross_validation_and_scikit_learn(tmp_path: Path) -> None:
    """Means with deviations; a copy of the callback is not needed."""
    needs("xgboost", "sklearn")
    import xgboost

    from expstore.integrations.xgboost import ExpStoreCallback

    data = xgboost.DMatrix(X, Y)
    callback = ExpStoreCallback(root=tmp_path, commit_id="cv")
    xgboost.cv({"max_depth": 2}, data, 3, callbacks=[callback])
    store = ExperimentStore(tmp_path)
    assert len(curve(store, "cv", "test/rmse")) == len(curve(store, "cv", "test/rmse_std")) == 3
    callback = ExpStoreCallback(root=tmp_path, commit_id="sk")
    xgboost.XGBRegressor(n_estimators=4, max_depth=2, callbacks=[callback]).fit(
        X, Y, eval_set=[(X, Y)], verbose=False
    )
    assert store.read_run("sk").params["max_depth"] == 2
    assert len(curve(store, "sk", "validation_0/rmse")) == 4
    assert {store.status(name) for name in ("cv", "sk")} == {"finished"}
