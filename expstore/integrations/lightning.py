"""A logger for Lightning.

    from expstore.integrations.lightning import ExpStoreLogger

    trainer = Trainer(logger=ExpStoreLogger(job_name="train"))

Guarantees: what a module logs is in the experiment with Lightning's step and epoch, and what
`save_hyperparameters` keeps is in its params. Checkpoints go to `files/` of the experiment. A run
has finished when `fit` returns; `test` and `log_metrics` after it go on in the same experiment, and
so does a further `fit`, as with Lightning's own loggers.
"""

from __future__ import annotations

import sys
import warnings
from argparse import Namespace
from collections.abc import Mapping
from typing import Any, Unpack

from expstore.errors import MissingExtraError
from expstore.extras import require
from expstore.integrations.session import Session, StartOptions
from expstore.store.run import Run


def _find_lightning() -> Any:
    """The package that the program uses: Lightning is published under two names."""
    if "pytorch_lightning" in sys.modules and "lightning.pytorch" not in sys.modules:
        return require("pytorch_lightning", "lightning")
    try:
        return require("lightning.pytorch", "lightning")
    except MissingExtraError:
        return require("pytorch_lightning", "lightning")


_lightning = _find_lightning()
_Logger: Any = require(f"{_lightning.__name__}.loggers", "lightning").Logger
_rank_zero: Any = require(f"{_lightning.__name__}.utilities", "lightning").rank_zero_only


class ExpStoreLogger(_Logger):
    """Logs a Trainer's metrics and hyperparameters to an experiment.

    Args:
        run: log to this run, and do not end it; None: start one.
        prefix: put before the names of metrics, followed by `/`.
        options: keywords of `expstore.start`. With `resume=True`, a `fit(ckpt_path=...)` goes on in
            the experiment `commit_id`, and supersedes what was logged after the checkpoint.

    Raises:
        TypeError: an unknown keyword, or keywords beside a run.
    """

    def __init__(
        self, run: Run | None = None, *, prefix: str = "", **options: Unpack[StartOptions]
    ) -> None:
        super().__init__()
        self._session = Session(run, options)
        self._options = options
        self._prefix = f"{prefix}/" if prefix else ""
        self._has_trained = False

    @property
    def _is_main(self) -> bool:
        return bool(getattr(_rank_zero, "rank", 0) == 0)

    @property
    def experiment(self) -> Run | None:
        """The run, in the process of rank 0; None in the others."""
        return self._session.latest if self._is_main else None

    @property
    def name(self) -> str:
        """Empty, since it would be a part of the checkpoints' paths beside the version."""
        return ""

    @property
    def version(self) -> str | None:
        """The experiment's id, in the process of rank 0."""
        return self._session.latest.commit_id if self._is_main else None

    @property
    def save_dir(self) -> str | None:
        """The experiment's directory for artifacts, in the process of rank 0."""
        return str(self._session.latest.files) if self._is_main else None

    @property
    def log_dir(self) -> str | None:
        """As `save_dir`."""
        return self.save_dir

    def log_hyperparams(
        self, params: Mapping[str, Any] | Namespace, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Add hyperparameters; with `metrics`, log these at step 0."""
        if self._is_main:
            self._session.add_params(params)
            self.log_metrics(metrics or {}, 0)

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Lightning calls this as it begins, with the module; no graph is kept."""
        trainer: Any = getattr(model, "_trainer", None)
        if not self._is_main or trainer is None or trainer.state.fn != "fit":
            return
        if self._has_trained and not trainer.ckpt_path and not trainer.global_step:
            warnings.warn(
                f"run {self.version} has the metrics of a training already, and this one begins at "
                "step 0 again; make an ExpStoreLogger for each training to keep them apart",
                stacklevel=2,
            )
        self._session.begin()

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log one step's metrics; without a step, at the one after the last."""
        if not self._is_main or not metrics:
            return
        if step is None:
            last = self._session.run.last_step
            step = 0 if last is None else last + 1
        self._has_trained |= self._session.is_training
        self._session.log({self._prefix + name: value for name, value in metrics.items()}, step)

    def finalize(self, status: str) -> None:
        """End the run, as the exception says that is being handled, if Lightning has failed."""
        if not self._is_main:
            return
        error = None
        if status not in ("success", "finished"):
            error = sys.exception() or RuntimeError(f"Lightning reports: {status}")
        self._session.end(error)

    def __getstate__(self) -> dict[str, Any]:
        """For processes that a strategy spawns: rank 0 of them goes on in the same experiment."""
        options: dict[str, Any] = dict(self._options)
        goes_on = self._session.goes_on
        if self._is_main:
            is_new = not self._session.has_begun
            run = self._session.latest
            options.update(root=run.store.root, commit_id=run.commit_id, resume=True)
            if is_new:  # started for the copy, which will say how training ended
                self._session.end()
            self._session.goes_on = False  # which is for the copy to do, and once
        return {"options": options, "prefix": self._prefix, "goes_on": goes_on}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(prefix=state["prefix"].removesuffix("/"), **state["options"])  # type: ignore[misc]
        self._session.goes_on = state["goes_on"]
