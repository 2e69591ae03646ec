"""Optuna: find the minimum of a quadratic function. The argument is the number of trials."""

import sys

import optuna

from expstore.integrations.optuna import ExpStoreCallback


def objective(trial):
    """The square of the distance from 2."""
    x = trial.suggest_float("x", -10, 10)
    return (x - 2) ** 2


study = optuna.create_study(
    study_name="quadratic", sampler=optuna.samplers.RandomSampler(seed=int(sys.argv[1]))
)
study.optimize(objective, n_trials=int(sys.argv[1]), callbacks=[ExpStoreCallback()])
print(study.best_params)
