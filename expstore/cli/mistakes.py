"""What a word was probably meant as that a command cannot use where it is.

Guarantees: a hint names an option that the command has, with a value that it takes, or a command
that there is; without a reason for one there is none. No log is read, and nothing is written.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import PurePath
from typing import Any

from expstore import ExperimentNotFoundError
from expstore.cli.declared import choices, in_range
from expstore.cli.roots import likely_root
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
_WRITERS = {
    "report": (".html", ".htm"),
    "plot": (".png", ".svg", ".pdf"),
    "export --to csv": (".csv", ".tsv"),
    "export --to jsonl": (".jsonl", ".json"),
    "export --to parquet": (".parquet",),
}
"""What writes which files."""

_READ_EXPORTS = ("compare", "ls", "plot", "report")
_LIKE_A_COMMIT = re.compile(r"(?=.*[0-9])[0-9a-f]{4,64}(-[0-9]+)?")


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
    """What was meant by an option that there is not: one like it, a condition, or a count.

    Args:
        typed: the option, as `--tag` or `-5`.
        command: the Typer command that got it.
    """
    from difflib import get_close_matches  # which a mistake alone needs

    from expstore.compare.naming import FIELDS

    options = _options(command)
    if longer := [one for one in options if one.startswith(typed) or typed == f"{one}s"]:
        return longer
    name = typed.lstrip("-")
    for field in (name, name.removesuffix("s")):
        if field in FIELDS and "--where" in options:
            return [f"--where '{field} == ...'"]
    if name.isdecimal():
        return _counts(name, command)
    # Without the dashes, which all have alike.
    known = {one.lstrip("-"): one for one in options if one.startswith("--")}
    return [known[one] for one in get_close_matches(name, known)]


def hint(word: str, command: Any, *, as_id: bool = False) -> str:
    """What to write in place of a word that is no id, or is one too many; empty if unknown.

    Args:
        word: as it was typed.
        command: the Typer command that got it.
        as_id: whether it is where an id is expected.
    """
    if as_id and _LIKE_A_COMMIT.fullmatch(word):
        return ""  # a mistyped one
    options = _options(command)
    shown = shlex.quote(printable(word))
    if root := _root(word, command):
        return f"did you mean --root {shlex.quote(printable(root))}?"
    if writer := _writer(word, command):
        return writer
    if "--param" in options and "=" in word:
        return f"to set a parameter, use --param {shown}"
    for name, option in options.items():
        if word in choices(option, command):
            return f"did you mean {name} {shown}?"
    if word.isdecimal():
        return "".join(f"did you mean {one}?" for one in _counts(word, command))
    if "--metric" in options:
        return f"to choose a metric, use --name {shown}"
    return _OTHERS.get(command.name or "", "")


def _options(command: Any) -> dict[str, Any]:
    return {name: one for one in command.params for name in one.opts if name.startswith("-")}


def _counts(number: str, command: Any) -> list[str]:
    """The option that counts, with this number, if it takes that."""
    options = _options(command)
    return [
        f"{one} {number}"
        for one in _COUNTS
        if one in options and in_range(options[one], command, int(number))
    ]


def _writer(word: str, command: Any) -> str:
    """How to write a file of this name, where a command reads metrics."""
    suffix, options = PurePath(word).suffix.lower(), _options(command)
    if "--metric" not in options and "--output" not in options:
        return ""
    for writer, suffixes in _WRITERS.items():
        if suffix in suffixes:
            output = f"-o {shlex.quote(printable(word))}"
            if writer.split()[0] == command.name:
                return f"to write to a file, use {output}"
            return f"`expstore {writer} {output}` writes such a file"
    return ""


def _root(word: str, command: Any) -> str | None:
    """The store, or an export that this command reads, that a path was meant as."""
    if any(
        one.metavar in ("DIR", "PATH") and one.param_type_name == "argument"
        for one in command.params
    ):
        return None
    if command.name == "init":
        return None if os.path.isfile(word) else word
    return likely_root(word, exports=command.name in _READ_EXPORTS)
