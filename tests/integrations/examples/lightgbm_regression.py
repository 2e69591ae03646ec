"""LightGBM: regression with early stopping. The argument is the number of leaves."""

import sys

import lightgbm
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from expstore.integrations.lightgbm import ExpStoreCallback

x, y = load_diabetes(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
train = lightgbm.Dataset(x_train, y_train)
booster = lightgbm.train(
    {"objective": "regression", "num_leaves": int(sys.argv[1]), "verbose": -1},
    train,
    num_boost_round=50,
    valid_sets=lightgbm.Dataset(x_test, y_test, reference=train),
    callbacks=[lightgbm.early_stopping(5), ExpStoreCallback(job_name="diabetes")],
)
print(booster.best_iteration)
