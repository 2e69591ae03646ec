"""The calls of wandb that most training scripts use, logging to an experiment store instead.

    import expstore.integrations.wandb as wandb

Guarantees: a script that uses `init`, `log`, `config`, `summary`, `finish`, `watch`,
`define_metric`, `Settings`, `Artifact`, `Table`, `Image`, `Histogram` and `save` runs unchanged; it
needs neither wandb nor a network. What wandb has and this has not is reported once, by a
`NotInStoreWarning`, and does nothing. The store is $EXPSTORE_ROOT, else `experiments` in the
directory that `init(dir=)` or $WANDB_DIR gives.

A run's `name`, else its project, is the job name; project, group and job_type are tags. Summary
values are metrics `summary/<name>` if they are numbers, else params `summary.<name>`.
"""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

from expstore.integrations.wandb.artifacts import Artifact
from expstore.integrations.wandb.inert import Inert, NotInStoreWarning, say_once
from expstore.integrations.wandb.media import Histogram, Image, Table
from expstore.integrations.wandb.run import Error, Run, UsageError
from expstore.integrations.wandb.starting import Settings, begin
from expstore.integrations.wandb.values import Config, Summary

__all__ = [
    "Artifact",
    "Config",
    "Error",
    "Histogram",
    "Image",
    "NotInStoreWarning",
    "Run",
    "Settings",
    "Summary",
    "Table",
    "UsageError",
    "alert",
    "config",
    "define_metric",
    "finish",
    "init",
    "log",
    "log_artifact",
    "log_model",
    "login",
    "run",
    "save",
    "summary",
    "termlog",
    "termwarn",
    "unwatch",
    "watch",
]


class _BeforeInit:
    """What `config` and `summary` are while there is no run."""

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def _refuse(self, *_: object) -> Any:
        raise Error(f"You must call wandb.init() before wandb.{self.__dict__['_name']}")

    __getattr__ = __setattr__ = __getitem__ = __setitem__ = _refuse


run: Run | None = None
config: Any = _BeforeInit("config")
summary: Any = _BeforeInit("summary")


def init(project: str | None = None, entity: str | None = None, **options: Any) -> Run:
    """Start a run; the options are wandb's.

    `id` is the experiment's id, and `resume` as in wandb: "must", "allow", "auto" or True, "never".
    `resume_from="<id>?_step=<n>"` supersedes what was logged after step n. With
    `mode="disabled"`, and in processes of other ranks than 0, nothing is kept.

    Raises:
        UsageError: "must" without an id or an experiment of this id, or "never" with one.
        ExpStoreError: see `expstore.start`.
    """
    global run, config, summary  # noqa: PLW0603 - wandb's interface is a module with state
    if run is not None and not run.has_ended:
        if options.get("reinit") not in (True, "finish_previous", "create_new"):
            run.config.update(options.get("config") or {})
            return run
        if options["reinit"] != "create_new":
            run.finish()
    run = begin(project=project, entity=entity, on_end=_after_end, **options)
    config, summary = run.config, run.summary
    return run


def _after_end(ended: Run) -> None:
    global run, config, summary
    if run is ended:
        run, config, summary = None, _BeforeInit("config"), _BeforeInit("summary")


def _current(name: str) -> Run:
    if run is None:
        raise Error(f"You must call wandb.init() before wandb.{name}()")
    return run


def log(data: dict[str, Any], step: int | None = None, commit: bool | None = None) -> None:
    """Log to the current run; see `Run.log`."""
    _current("log").log(data, step, commit)


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """End the current run, if there is one; see `Run.finish`."""
    if run is not None:
        run.finish(exit_code, quiet)


def watch(models: Any, *args: Any, **options: Any) -> None:
    """See `Run.watch`."""
    _current("watch").watch(models, *args, **options)


def unwatch(models: Any = None) -> None:
    """See `Run.unwatch`."""
    _current("unwatch").unwatch(models)


def define_metric(name: str, *args: Any, **options: Any) -> None:
    """See `Run.define_metric`."""
    _current("define_metric").define_metric(name, *args, **options)


def save(*args: Any, **options: Any) -> list[str]:
    """See `Run.save`."""
    return _current("save").save(*args, **options)


def log_artifact(*args: Any, **options: Any) -> Artifact:
    """See `Run.log_artifact`."""
    return _current("log_artifact").log_artifact(*args, **options)


def log_model(*args: Any, **options: Any) -> Artifact:
    """See `Run.log_model`."""
    return _current("log_model").log_model(*args, **options)


def alert(title: str, text: str, **options: Any) -> None:
    """See `Run.alert`."""
    _current("alert").alert(title, text, **options)


def login(*args: object, **options: object) -> bool:
    """There is nothing to log in to."""
    return True


def termwarn(string: str = "", newline: bool = True, **options: object) -> None:
    """Print a warning."""
    print(f"warning: {string}", end="\n" if newline else "", file=sys.stderr)


def termlog(string: str = "", newline: bool = True, **options: object) -> None:
    """Print a line."""
    print(string, end="\n" if newline else "")


def generate_id(length: int = 8) -> str:
    """A random id, as `wandb.util.generate_id` makes it."""
    return os.urandom(length).hex()[:length]


util = SimpleNamespace(generate_id=generate_id)
errors = SimpleNamespace(Error=Error, UsageError=UsageError, CommError=Error)


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    say_once(f"wandb.{name}")
    return Inert(f"wandb.{name}")
