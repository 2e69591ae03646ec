"""Starting a run from the options of `wandb.init` and the environment variables of wandb.

Guarantees: an option here wins over `settings`, and those over the environment; an option that has
no meaning for an experiment store is reported once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from expstore.integrations.session import StartOptions, is_main_process
from expstore.integrations.wandb.inert import say_once
from expstore.integrations.wandb.run import Run, UsageError
from expstore.model.params import as_params
from expstore.store.defaults import default_root, expand
from expstore.store.origin import git_state
from expstore.store.repository import ExperimentStore
from expstore.store.start import start

_VARIABLES = {
    "project": "WANDB_PROJECT",
    "entity": "WANDB_ENTITY",
    "name": "WANDB_NAME",
    "notes": "WANDB_NOTES",
    "group": "WANDB_RUN_GROUP",
    "job_type": "WANDB_JOB_TYPE",
    "id": "WANDB_RUN_ID",
    "resume": "WANDB_RESUME",
    "dir": "WANDB_DIR",
    "mode": "WANDB_MODE",
}
_OTHERS = {"tags", "config", "resume_from", "reinit", "save_code", "settings", "force", "anonymous"}
_OTHERS |= {"allow_val_change", "config_exclude_keys", "config_include_keys"}


class Settings:
    """Options for `init`, under wandb's names; `run_id`, `run_name` and so on as without `run_`."""

    def __init__(self, **options: Any) -> None:
        self.__dict__.update(options)

    def options(self) -> dict[str, Any]:
        """Those that `init` knows."""
        named = {name.removeprefix("run_"): value for name, value in vars(self).items()}
        return {name: named[name] for name in named if name in _VARIABLES | dict.fromkeys(_OTHERS)}


def begin(*, on_end: Callable[[Run], object], **options: Any) -> Run:
    """Start a run; see `wandb.init`."""
    settings = options.pop("settings", None)
    for name in options.keys() - _VARIABLES.keys() - _OTHERS:
        if options[name] not in (None, False):
            say_once(f"wandb.init({name}=...)", "has no effect")
    found: dict[str, Any] = {
        name: os.environ.get(variable) for name, variable in _VARIABLES.items()
    }
    found["tags"] = [tag for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag] or None
    given = settings.options() if isinstance(settings, Settings) else dict(settings or {})
    for layer in (given, options):
        found.update({name: value for name, value in layer.items() if value is not None})
    names = {
        name: str(found[name] or "") for name in ("project", "name", "group", "job_type", "entity")
    }
    config = _config(found.get("config"), found)
    if found["mode"] == "disabled" or not is_main_process():
        run = Run(None, names, 0, on_end)
        run.config.update(config)
        return run
    started: StartOptions = {
        "root": _root(found["dir"]),
        "job_name": names["name"] or names["project"],
        "tags": _tags(found["tags"], names),
        "notes": found["notes"] or "",
        "save_patch": bool(found.get("save_code") and git_state().commit),
        **_which(found),
    }
    store_run = start(**started)
    last = store_run.last_step if started.get("resume") else None
    run = Run(store_run, names, 0 if last is None else last + 1, on_end)
    if started.get("resume"):
        kept = store_run.info.params
        run.config.load({name: kept[name] for name in kept if name != "summary"})
    run.config.update(config)
    return run


def _root(directory: str | None) -> Path | str:
    if directory and "EXPSTORE_ROOT" not in os.environ:
        return Path(directory) / "experiments"
    return default_root()


def _tags(tags: Iterable[str] | str | None, names: dict[str, str]) -> list[str]:
    given = [tags] if isinstance(tags, str) else list(tags or ())
    about = [names["project"] if names["name"] else "", names["group"], names["job_type"]]
    return [*given, *(name for name in about if name)]


def _which(found: dict[str, Any]) -> StartOptions:
    """The experiment's id, and whether and from which step it goes on."""
    if "fork_from" in found:
        say_once("wandb.init(fork_from=...)", "has no effect: the run starts at step 0")
    if rewind := found.get("resume_from"):
        match = re.fullmatch(r"(.+)\?_step=(\d+)", rewind)
        if match is None:
            raise UsageError(f"resume_from must be '<id>?_step=<number>', got {rewind!r}")
        return {"commit_id": match[1], "resume": True, "from_step": int(match[2]) + 1}
    resume, commit_id = found["resume"], found["id"]
    if resume in (None, False, ""):
        return {"commit_id": commit_id}
    if commit_id is None:
        if resume == "must":
            raise UsageError("resume='must' needs the id of the run to resume; pass id='...'")
        say_once(f"wandb.init(resume={resume!r}) without an id", "starts a new run")
        return {}
    store = ExperimentStore(expand(_root(found["dir"])))
    exists = store.experiment_path(commit_id).is_dir()
    if resume == "must" and not exists:
        raise UsageError(f"resume='must', but there is no run {commit_id!r} in {store.root}")
    if resume == "never" and exists:
        raise UsageError(f"resume='never', but {store.root} has a run {commit_id!r} already")
    return {"commit_id": commit_id, "resume": resume != "never"}


def _config(config: Any, found: dict[str, Any]) -> dict[str, Any]:
    if isinstance(config, str):
        say_once("wandb.init(config='file')", "keeps nothing: load the file, and pass a dict")
        return {}
    params: dict[str, Any] = {}
    if config is not None:
        params = dict(config) if hasattr(config, "keys") else as_params(config)
    included, excluded = found.get("config_include_keys"), found.get("config_exclude_keys") or ()
    names = params if included is None else included
    return {name: params[name] for name in names if name in params and name not in excluded}
