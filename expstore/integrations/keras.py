"""A callback for Keras 3, with any backend.

    from expstore.integrations.keras import ExpStoreCallback

    model.fit(x, y, epochs=10, callbacks=[ExpStoreCallback(job_name="train")])

Guarantees: the logs of each epoch are in the experiment, under Keras's names and with the epoch as
the step, as in its CSVLogger. If batches are logged too, the step is the optimizer's, so that all
curves have one axis, and `epoch` is a metric. The model's and the optimizer's settings are params.
What an `evaluate` with the callback measures is logged at the last step, as `test_loss` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Unpack

from expstore.extras import require
from expstore.integrations.session import Session, StartOptions
from expstore.store.run import Run

_keras: Any = require("keras", "keras")
_Callback: Any = _keras.callbacks.Callback


class ExpStoreCallback(_Callback):
    """Logs the epochs of a `fit`, and optionally its batches, to an experiment.

    Args:
        run: log to this run, and do not end it; None: start one.
        batches: also log every so many batches, as `batch/loss` and so on; None: none.
        options: keywords of `expstore.start`. With `resume=True`, `fit(initial_epoch=...)` and
            BackupAndRestore go on in the experiment `commit_id`, and supersede what was logged
            from that epoch on.

    Raises:
        TypeError: an unknown keyword, or keywords beside a run.
        ValueError: batches is not positive.
    """

    def __init__(
        self, run: Run | None = None, *, batches: int | None = None, **options: Unpack[StartOptions]
    ) -> None:
        super().__init__()
        if batches is not None and batches < 1:
            raise ValueError(f"batches must be 1 or more, or None, got {batches}")
        self._batches = batches
        self._session = Session(run, options)
        self._session.is_main = self._session.is_main and _process_index() == 0
        self._training = self._begun = False

    @property
    def run(self) -> Run | None:
        """The run, started now if training has not begun; None in processes that do not log."""
        return self._session.latest if self._session.is_main else None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """The run is started by the first epoch, whose number is not known here."""
        self._training, self._begun = True, False

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Start the run, or go on from this epoch."""
        if not self._begun:
            self._begun = True
            self._session.begin(self._params(), self._iterations() if self._batches else epoch)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log a batch, if its turn has come."""
        if self._batches is not None and logs:
            step = self._iterations()
            if step % self._batches == 0:
                self._session.log(
                    {f"batch/{name}": value for name, value in logs.items()}, step - 1
                )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Log an epoch, and its learning rate."""
        values = dict(logs or {})
        optimizer: Any = getattr(self.model, "optimizer", None)
        with suppress(AttributeError, TypeError, ValueError):  # none, or one of another kind
            values.setdefault("learning_rate", float(optimizer.learning_rate))
        if self._batches is None:
            self._session.log(values, epoch)
        else:
            self._session.log({**values, "epoch": epoch}, self._iterations() - 1)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """The run has finished."""
        self._training = False
        self._session.end()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Log an evaluation outside a training, after which the run has finished again."""
        if self._training or not logs or not self._session.is_main:
            return
        if not self._session.has_begun:
            self._session.add_params(self._params())
        step = self._session.latest.last_step or 0
        self._session.log({f"test_{name}": value for name, value in logs.items()}, step)
        self._session.end()

    def _iterations(self) -> int:
        """Training steps that are done."""
        return int(self.model.optimizer.iterations)

    def _params(self) -> dict[str, Any]:
        model = self.model
        params: dict[str, Any] = {
            name: value for name, value in (self.params or {}).items() if name != "verbose"
        }
        if model.built:
            params["model"] = {"name": model.name, "parameters": model.count_params()}
        if optimizer := getattr(model, "optimizer", None):
            config = optimizer.get_config()
            params["optimizer"] = {name: _short(config[name]) for name in config}
        if isinstance(loss := getattr(model, "loss", None), str):
            params["loss"] = loss
        return params


def _short(value: Any) -> Any:
    """A float that was a float32 as that is written: 0.001, not 0.0010000000474974513."""
    if isinstance(value, float) and (rounded := float(f"{value:.7g}")) != value:
        return rounded if abs(rounded - value) <= abs(value) * 2**-24 else value
    return value


def _process_index() -> int:
    if _keras.backend.backend() != "jax":
        return 0
    return int(require("jax", "keras").process_index())
