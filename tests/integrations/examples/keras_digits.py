"""Keras: classify small pictures of digits. The argument is the rate of dropout."""

import sys

import keras
from sklearn.datasets import load_digits

from expstore.integrations.keras import ExpStoreCallback

keras.utils.set_random_seed(0)
digits = load_digits()
x, y = digits.data[:600] / 16, digits.target[:600]
model = keras.Sequential(
    [
        keras.Input(shape=(64,)),
        keras.layers.Dense(32, activation="relu"),
        keras.layers.Dropout(float(sys.argv[1])),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(
    loss="sparse_categorical_crossentropy",
    optimizer=keras.optimizers.Adam(learning_rate=0.01),
    metrics=["accuracy"],
)
model.fit(
    x,
    y,
    batch_size=64,
    epochs=4,
    validation_split=0.2,
    callbacks=[ExpStoreCallback(job_name="digits", params={"dropout": float(sys.argv[1])})],
)
