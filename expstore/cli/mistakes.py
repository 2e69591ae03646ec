"""What a word was probably meant as that a command cannot use where it is.

Guarantees: a hint names an option that the command has, or a command that there is; without a
reason for one there is none. No log is read, and nothing is written.
"""

from __future__ import annotations

import os
import shlex
from pathlib import PurePath
from typing import Any

from expstore import ExperimentNotFoundError
from expstore.cli.declared import choices
from expstore.model.texts import printable

OTHER_NAMES = {
    "rm": ("delete", "remove", "del"),
    "ls": ("list", "runs", "experiments"),
    "show": ("info", "view", "describe", "cat"),
    "serve": ("ui", "server", "board", "dashboard", "web", "open"),
    "prune": ("clean", "cleanup", "gc"),
    "new": ("create", "start"),
    "end": ("finish", "stop", "close"),
    "set": ("tag", "note", "notes", "param", "params", "edit"),
    "check": ("verify", "validate", "fsck"),
    "repair": ("fix", "recover"),
    "cp": ("copy", "download"),
    "diff": ("difference",),
    "plot": ("graph", "draw", "curves"),
    "--help": ("help",),
    "--version": ("version",),
}
"""For each command, what other programs call it."""

_OTHERS = {
    "cp": "to copy one file, use --name NAME",
    "import": "give a directory, or import one path at a time",
    "ls": "`expstore show` and `expstore compare` take ids",
    "prune": "`expstore rm` deletes chosen experiments, --protect keeps one",
}
_COUNTS = ("--port", "--limit", "--lines", "--last", "--keep")
_OUTPUTS = (".html", ".htm", ".csv", ".tsv", ".jsonl", ".json", ".parquet", ".png", ".svg", ".pdf")


class UnknownIdError(ExperimentNotFoundError):
    """No experiment is called as a word that was typed.

    Attributes:
        word: what was typed.
        problem: the message without what to do.
        near: what is like the word, as a question; empty if nothing is.
    """

    def __init__(self, problem: str, word: str, near: str) -> None:
        super().__init__(f"{problem}; {near or '`expstore ls` lists them'}")
        self.problem = problem
        self.word = word
        self.near = near


def other_name(word: str) -> list[str]:
    """The command that other programs call like this, if any."""
    return [name for name, others in OTHER_NAMES.items() if word.lower() in others]


def instead_of_option(typed: str, command: Any) -> list[str]:
    """What does what an option that there is not would do: a condition, or a count with its option.

    Args:
        typed: the option, as `--tag` or `-5`.
        command: the Typer command that got it.
    """
    from expstore.compare.naming import FIELDS  # which a mistake alone needs

    options = _options(command)
    name = typed.lstrip("-")
    if name in FIELDS and "--where" in options:
        return [f"--where '{name} == ...'"]
    if name.isdecimal():
        return [f"{one} {name}" for one in _COUNTS if one in options]
    return []


def hint(word: str, command: Any) -> str:
    """What to write in place of a word that is no id, or is one too many; empty if unknown.

    Args:
        word: as it was typed.
        command: the Typer command that got it.
    """
    options = _options(command)
    shown = shlex.quote(printable(word))
    if "--output" in options and PurePath(word).suffix.lower() in _OUTPUTS:
        return f"to write to a file, use -o {shown}"
    if "--param" in options and "=" in word:
        return f"to set a parameter, use --param {shown}"
    for name, option in options.items():
        if word in choices(option, command):
            return f"did you mean {name} {shown}?"
    if word.isdecimal():
        return "".join(f"did you mean {one} {word}?" for one in _COUNTS if one in options)
    if _is_store(word, command):
        return f"did you mean --root {shown}?"
    if "--metric" in options:
        return f"to choose a metric, use --name {shown}"
    return _OTHERS.get(command.name or "", "")


def _options(command: Any) -> dict[str, Any]:
    return {name: one for one in command.params for name in one.opts if name.startswith("-")}


def _is_store(word: str, command: Any) -> bool:
    """Whether it may be the directory of a store, and of nothing else."""
    takes_paths = any(
        one.metavar in ("DIR", "PATH") and one.param_type_name == "argument"
        for one in command.params
    )
    return not takes_paths and (command.name == "init" or os.path.isdir(word))
