"""Run: wandb's interface to a run of expstore.

Guarantees: a call of `log` is in the file when it returns, with `commit=False` too: that only keeps
the step where it is. Steps go up: what is logged at an earlier step is reported and left out, as in
wandb. A disabled run keeps nothing and takes every call.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from glob import glob as matching
from pathlib import Path
from typing import Any

from expstore.errors import ExpStoreError
from expstore.integrations.session import numbers
from expstore.integrations.wandb.artifacts import Artifact
from expstore.integrations.wandb.inert import Inert, Partial, say_once, warn
from expstore.integrations.wandb.media import Histogram, Image, Table, file_name
from expstore.integrations.wandb.values import Config, Summary
from expstore.integrations.wandb.watching import watch
from expstore.store.run import Run as StoreRun


class Error(ExpStoreError):
    """wandb is not used as it should be."""


class UsageError(Error):
    """A call with arguments that make no sense together, or after the end of the run."""


class RunFailedError(RuntimeError):
    """What run.json gives as the error of a run that said so by its exit code."""


class Run(Partial):
    """A run with wandb's interface; see `wandb.init`.

    Args:
        store_run: what it logs to; None: nowhere.
        names: its `project`, `name`, `group`, `job_type` and `entity`.
        step: the first step.
        on_end: called when it has ended.

    Attributes:
        expstore: the run of expstore; None if it is disabled.
        step: the step that the next call of `log` without one logs at.
        config, summary: see these classes.
        has_ended: whether `finish` was called.
        offline: True, since nothing is sent.
        sweep_id: None, since there are no sweeps.
    """

    def __init__(
        self,
        store_run: StoreRun | None,
        names: Mapping[str, str],
        step: int,
        on_end: Callable[[Run], object],
    ) -> None:
        self.expstore = store_run
        self.project, self.name = names["project"], names["name"]
        self.group, self.job_type, self.entity = names["group"], names["job_type"], names["entity"]
        self.step = self.starting_step = step
        self.resumed = step > 0
        self.config = Config(self._keep_config)
        self.summary = Summary(self._keep_summary)
        self.has_ended = False
        self.offline, self.sweep_id = True, None
        self._started = time.time()
        self._on_end = on_end
        self._watched: dict[str, float] = {}
        self._watches: list[tuple[Any, Callable[[], None]]] = []
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @property
    def id(self) -> str:
        """The experiment's id."""
        return self.expstore.commit_id if self.expstore is not None else "disabled"

    @property
    def dir(self) -> str:
        """The experiment's directory for files; of a disabled run, a temporary one."""
        if self.expstore is not None:
            return str(self.expstore.files)
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="expstore-")
        return self._scratch.name

    @property
    def disabled(self) -> bool:
        """Whether nothing is kept."""
        return self.expstore is None

    @property
    def path(self) -> str:
        """Where wandb would have the run: `entity/project/id`, as far as these were given."""
        return "/".join(part for part in (self.entity, self.project, self.id) if part)

    @property
    def start_time(self) -> float:
        """When this start of the run began, in seconds since 1970."""
        return self._started

    @property
    def url(self) -> None:
        """There is no page on the web."""

    def get_url(self) -> None:
        """As `url`."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags; those that are set are added."""
        return self.expstore.info.tags if self.expstore is not None else ()

    @tags.setter
    def tags(self, tags: Iterable[str]) -> None:
        if self.expstore is not None:
            self.expstore.add_tags(*tags)

    @property
    def notes(self) -> str:
        """Free text."""
        return self.expstore.info.notes if self.expstore is not None else ""

    @notes.setter
    def notes(self, notes: str) -> None:
        if self.expstore is not None:
            self.expstore.set_notes(notes)

    def log(
        self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None
    ) -> None:
        """Log one step's values: numbers, and objects such as Image and Table.

        Args:
            data: values by name; mappings may nest, and their names are joined with a dot.
            step: where to log; None: at the present step.
            commit: whether the step is complete, so that the next call logs at the one after it;
                default: if no step is given.

        Raises:
            UsageError: the run has ended.
            TypeError: the data is not a mapping.
            ExpStoreError: see `expstore.Run.log`.
        """
        if self.has_ended:
            raise UsageError(f"run {self.id} has finished: nothing can be logged to it")
        if not isinstance(data, Mapping):
            raise TypeError("wandb.log must be passed a dictionary")
        if step is not None:
            if step < self.step:
                warn(
                    f"step {step} is less than the current step {self.step}; steps must increase, "
                    "so this data is ignored"
                )
                return
            self.step = step
        values = {**self._watched, **dict(_flat(data, ""))}
        self._watched.clear()
        self._log(values)
        if commit or (commit is None and step is None):
            self.step += 1

    def _log(self, values: dict[str, Any]) -> None:
        found: dict[str, float] = {}
        for name, value in values.items():
            if isinstance(value, Histogram):
                found.update(value.numbers(name))
            elif self._is_media(value):
                self._save_media(name, value)
            elif isinstance(value, list | tuple) and value and all(map(self._is_media, value)):
                for number, item in enumerate(value):
                    self._save_media(f"{name}_{number}", item)
            elif single := numbers({name: value}):
                found.update(single)
            elif value is not None and not isinstance(value, Inert):
                say_once(
                    f"wandb.log of {type(value).__name__} objects (here: {name})",
                    "keeps nothing: use numbers, Image, Table or Histogram",
                )
        if self.expstore is not None and found:
            self.expstore.log(found, self.step)
        self.summary.logged(found)

    @staticmethod
    def _is_media(value: object) -> bool:
        return isinstance(value, Image | Table) or hasattr(value, "savefig")

    def _save_media(self, name: str, value: Any) -> None:
        if self.expstore is None:
            return
        item = value if isinstance(value, Image | Table) else Image(value)
        path = self.expstore.files / "media" / f"{file_name(name)}_{self.step}{item.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        item.save(path)

    def _keep_config(self, new: dict[str, Any]) -> None:
        if self.expstore is not None and new:
            self.expstore.log_params(new)

    def _keep_summary(self, new: dict[str, Any]) -> None:
        if self.expstore is None:
            return
        metrics = numbers(new)
        if metrics:
            last = self.expstore.last_step or 0
            self.expstore.log({f"summary/{name}": metrics[name] for name in metrics}, last)
        if others := {name: new[name] for name in new if name not in metrics}:
            self.expstore.log_params({"summary": others})

    def watch(
        self,
        models: Any,
        criterion: Any = None,
        log: str | None = "gradients",
        log_freq: int = 1000,
        *_: Any,
        **__: Any,
    ) -> None:
        """Log norms of gradients, and with `log="all"` of parameters, of PyTorch models."""
        several = models if isinstance(models, list | tuple) else [models]
        for number, model in enumerate(several, len(self._watches)):
            if log is not None and hasattr(model, "named_parameters"):
                prefix = f"graph_{number}/" if number else ""
                self._watches.append((model, watch(model, log, log_freq, prefix, self._watched)))

    def unwatch(self, models: Any = None) -> None:
        """Stop watching these models, or all."""
        several = models if isinstance(models, list | tuple) else [models]
        kept = []
        for model, end in self._watches:
            if models is None or any(model is one for one in several):
                end()
            else:
                kept.append((model, end))
        self._watches = kept

    def define_metric(self, name: str, step_metric: str | None = None, *_: Any, **__: Any) -> None:
        """Curves are always over the step, and minimum, maximum and last value always known."""
        if step_metric is not None:
            say_once("wandb.define_metric(step_metric=...)", "has no effect: curves are over steps")

    def save(self, glob_str: Any = None, base_path: Any = None, *_: Any, **__: Any) -> list[str]:
        """Copy files into the experiment now, with their paths below `base_path` if it is given."""
        kept = []
        for name in matching(os.fspath(glob_str)) if glob_str is not None else ():
            source = Path(name)
            if self.expstore is None or not source.is_file():
                continue
            relative = os.path.relpath(source, base_path) if base_path else source.name
            target = self.expstore.files / file_name(relative)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not (target.exists() and target.samefile(source)):
                shutil.copyfile(source, target)
            kept.append(str(target))
        return kept

    def log_artifact(
        self, artifact_or_path: Any, name: str | None = None, type: str = "", **_: Any
    ) -> Artifact:
        """Copy an artifact, a file or a directory into the experiment."""
        artifact = artifact_or_path
        if not isinstance(artifact, Artifact):
            path = Path(artifact_or_path)
            artifact = Artifact(name or path.name, type)
            (artifact.add_dir if path.is_dir() else artifact.add_file)(path)
        if self.expstore is not None:
            artifact.copy_to(self.expstore.files / "artifacts")
        return artifact

    def log_model(self, path: Any, name: str | None = None, **_: Any) -> Artifact:
        """Copy a model, a file or a directory, into the experiment, as an artifact."""
        return self.log_artifact(path, name or f"run-{self.id}-{Path(path).name}", "model")

    def alert(self, title: str, text: str, *_: Any, **__: Any) -> None:
        """Show a message; nobody is notified."""
        print(f"alert: {title}: {text}")

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:
        """End the run: it has failed if there is an exit code that is not 0."""
        failed = RunFailedError(f"exit code {exit_code}") if exit_code else None
        self._end(failed)

    def _end(self, error: BaseException | None) -> None:
        if self.has_ended:
            return
        self.has_ended = True
        self.unwatch()
        if self._scratch is not None:
            self._scratch.cleanup()
        try:
            if self.expstore is not None:
                self.expstore.__exit__(None if error is None else type(error), error, None)
        finally:
            self._on_end(self)

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        self._end(error)


def _flat(data: Mapping[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
