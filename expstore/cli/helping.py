"""What `--help` says of commands, in words of this program, and what they say of a wrong word.

Guarantees: no name of a Python type is shown: what takes a value names it (`--root DIR`), and a
flag takes none. Text is broken where the terminal ends, not where the source does.
"""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from expstore import ExperimentNotFoundError
from expstore.cli.mistakes import UnknownIdError, hint

_VALUES = {"root": "DIR", "output": "FILE", "names": "NAME", "to": "FORMAT", "source": "KIND"}
_VALUES |= {"to_id": "ID", "count": "N", "interval": "SECONDS", "notation": "NOTATION"}
_VALUES |= {"step_column": "NAME", "time_column": "NAME", "user": "NAME", "job": "TEXT"}
_VALUES |= {"prefix": "TEXT", "title": "TEXT", "host": "ADDRESS", "port": "N"}


# Click's class, whether Typer depends on Click or vendors it.
_UsageError: Any = typer.BadParameter.__base__


class Command(TyperCommand):
    """A command with plain help."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.help = whole_sentences(self.help or "")

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, each with what it is called in help."""
        return [_plain(one) for one in super().get_params(ctx)]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words; an error knows of which command they are."""
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def invoke(self, ctx: Any) -> Any:
        """Call the command; a word that is no id is reported with what was probably meant."""
        try:
            return super().invoke(ctx)
        except UnknownIdError as error:
            if not error.near and (better := hint(error.word, self, as_id=True)):
                raise ExperimentNotFoundError(f"{error.problem}; {better}") from error
            raise


class Group(TyperGroup):
    """The program itself, likewise."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, each with what it is called in help."""
        return [_plain(one) for one in super().get_params(ctx)]


def whole_sentences(text: str) -> str:
    """The text with the line breaks that end a sentence or a paragraph, and no others."""
    return re.sub(r"(?<![.:\n])\n(?!\n)", " ", text)


def _plain(param: Any) -> Any:
    if param.param_type_name == "argument" and hasattr(param, "display_type_rich"):
        param.display_type_rich = lambda ctx: None  # its name says it
    elif param.param_type_name == "argument":  # an older Typer shows no more than the name
        bare = param.metavar.strip("[].")
        bare = bare if param.required else f"[{bare}]"
        param.metavar = bare + "..." * (param.nargs == -1)
    elif getattr(param, "is_flag", False):
        param.metavar = ""
    elif param.metavar is None and param.name in _VALUES:
        param.metavar = _VALUES[param.name]
    return param
