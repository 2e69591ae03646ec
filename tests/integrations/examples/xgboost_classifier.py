"""XGBoost: classify irises with the scikit-learn interface. The argument is the maximum depth."""

import sys

from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier

from expstore.integrations.xgboost import ExpStoreCallback

x, y = load_iris(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=0)
classifier = XGBClassifier(
    n_estimators=20,
    max_depth=int(sys.argv[1]),
    learning_rate=0.5,
    callbacks=[ExpStoreCallback(job_name="iris")],
)
classifier.fit(x_train, y_train, eval_set=[(x_test, y_test)])
