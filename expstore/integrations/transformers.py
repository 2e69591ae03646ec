"""A callback for the Trainer of Transformers.

    from expstore.integrations.transformers import ExpStoreCallback

    trainer = Trainer(model=model, args=args, callbacks=[ExpStoreCallback(job_name="train")])

Guarantees: each of the Trainer's logs is in the experiment at its global step, with `train/`,
`eval/` or `test/` before its names, as in the framework's other loggers. The TrainingArguments are
params, and the model's configuration is the param `model`. An evaluation or prediction before or
after training goes on in the same experiment; of a prediction with labels, the metrics are logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

from expstore.extras import require
from expstore.integrations.session import Session, StartOptions
from expstore.store.run import Run

_TrainerCallback: Any = require("transformers", "transformers").TrainerCallback

_LABELS = ("id2label", "label2id")  # as many entries as there are classes


class ExpStoreCallback(_TrainerCallback):
    """Logs a Trainer's logs and arguments to an experiment.

    Args:
        run: log to this run, and do not end it; None: start one.
        options: keywords of `expstore.start`. With `resume=True`, training with
            `resume_from_checkpoint` goes on in the experiment `commit_id`, and supersedes what was
            logged after the checkpoint.

    Raises:
        TypeError: an unknown keyword, or keywords beside a run.
    """

    def __init__(self, run: Run | None = None, **options: Unpack[StartOptions]) -> None:
        self._session = Session(run, options)
        self._training = False

    @property
    def run(self) -> Run | None:
        """The run, started now if training has not begun; None in processes that do not log."""
        return self._session.latest if self._session.is_main else None

    def on_train_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
    ) -> None:
        """Start the run, or go on from the checkpoint's step."""
        if state.is_world_process_zero:
            # A checkpoint's own step was logged before it was saved.
            first = state.global_step + 1 if state.global_step else 0
            self._session.begin(_params(args, model), first)
            self._training = True

    def on_log(
        self,
        args: Any,
        state: Any,
        control: Any,
        logs: Mapping[str, Any] | None = None,
        model: Any = None,
        **_: Any,
    ) -> None:
        """Log one step's values."""
        if state.is_world_process_zero and logs:
            if not self._session.has_begun:
                self._session.add_params(_params(args, model))
            self._session.log({_renamed(name): logs[name] for name in logs}, state.global_step)

    def on_predict(
        self, args: Any, state: Any, control: Any, metrics: Mapping[str, Any] | None, **rest: Any
    ) -> None:
        """Log what was measured of a prediction, which the Trainer itself does not log."""
        self.on_log(args, state, control, metrics, rest.get("model"))
        self.on_evaluate(args, state, control)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The run has finished."""
        self._training = False
        self._session.end()

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After training, the run has finished again; this comes after the log of the values."""
        if not self._training:
            self._session.end()


def _renamed(name: str) -> str:
    for kind in ("eval", "test"):
        if name.startswith(f"{kind}_"):
            return f"{kind}/{name.removeprefix(f'{kind}_')}"
    return name if name == "epoch" else f"train/{name}"


def _params(args: Any, model: Any) -> dict[str, Any]:
    params = dict(args.to_dict())
    config: Any = getattr(model, "config", None)
    if hasattr(config, "to_dict"):
        described = config.to_dict()
        params["model"] = {name: described[name] for name in described if name not in _LABELS}
    return params
