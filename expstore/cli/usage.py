"""What is wrong with a command line, in words of this program.

Guarantees: a wrong value is reported with its option and what that takes, whatever Typer and the
libraries below it call it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import typer

from expstore.cli.declared import takes
from expstore.cli.mistakes import hint, instead_of_option, other_name


class RefusedValue(typer.BadParameter):
    """A value of the right type that an option does not take; the message says why."""


def explain(error: Any) -> str:
    """The message for a Click `UsageError` of Typer's; empty if it is the whole help."""
    text: str = error.format_message().rstrip(".")
    name, kind = _name(error), error.__class__.__name__
    value = takes(getattr(error, "param", None), getattr(error.ctx, "command", None))
    if kind == "NoSuchOption":
        typed = error.option_name
        near = instead_of_option(typed, error.ctx.command)
        return f"there is no option {typed}{_hint(near)}"
    if unknown := re.match(r"No such command '(.*?)'", text):
        from difflib import get_close_matches  # which a mistake alone needs

        near = other_name(unknown[1]) or get_close_matches(unknown[1], error.ctx.command.commands)
        return f"there is no command {unknown[1]}{_hint(near)}"
    if kind == "MissingParameter":
        what = f", {value}" if value.startswith("one of") else _described(error.param)
        return f"{error.ctx.info_name} needs {name}{what}"
    if flag := re.match(r"Option '(.*?)' does not take a value", text):
        return f"{flag[1]} takes no value"
    if option := re.match(r"Option '(.*?)' requires", text):
        return f"{option[1]} needs a value"
    if value and kind == "BadParameter":
        given = _given(error.param, sys.argv[1:])
        return f"{name} takes {value}" + (f", not {given!r}" if given is not None else "")
    if text.startswith("Got unexpected extra argument"):
        extra = re.search(r"argument\S* \((.*)\)$", error.message.rstrip("."), re.DOTALL)
        named = extra[1] if extra else ""
        better = hint(_first(named, sys.argv[1:]), error.ctx.command) if named else ""
        better = better or (f"what is {named}?" if named else "")
        return f"{error.ctx.info_name} takes no more arguments{better and '; '}{better}"
    if text.startswith("Invalid value"):
        return f"{name}: {error.message}" if name else str(error.message)
    return "" if "\n" in text else text


def _hint(near: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _name(error: Any) -> str:
    """The option or argument, as it is typed."""
    hint = getattr(error, "param_hint", None)
    if hint:
        return str(hint)
    param = getattr(error, "param", None)
    if param is None:
        return ""
    typed = max(param.opts, key=len)
    return str(typed if typed.startswith("-") else param.metavar or param.name.upper())


def _described(param: Any) -> str:
    """What a parameter is: the first sentence of its help."""
    text = (getattr(param, "help", None) or "").partition(". ")[0].rstrip(".")
    return f": {text[0].lower()}{text[1:]}" if text else ""


def _first(named: str, words: Sequence[str]) -> str:
    """The first of the words that were joined with spaces: it may have some of its own."""
    found = [word for word in words if f"{named} ".startswith(f"{word} ")]
    return max(found, key=len, default=named.partition(" ")[0])


def _given(param: Any, words: Sequence[str]) -> str | None:
    """The value of an option on the command line, if it is there in one of the usual ways."""
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word in param.opts:
            return following
        if word.startswith("--") and word.partition("=")[0] in param.opts:
            return word.partition("=")[2]
    return None
