"""What is wrong with a command line, in words of this program.

Guarantees: a wrong value is reported with its option and what that takes, whatever Typer and the
libraries below it call it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer


class RefusedValue(typer.BadParameter):
    """A value of the right type that an option does not take; the message says why."""


def explain(error: Any) -> str:
    """The message for a Click `UsageError` of Typer's; empty if it is the whole help."""
    text: str = error.format_message().rstrip(".")
    name, kind, takes = _name(error), error.__class__.__name__, _takes(error)
    if kind == "NoSuchOption":
        known = error.possibilities or ()
        near = [one for one in known if one.startswith(error.option_name)]
        near = near or get_close_matches(error.option_name, known)
        return f"there is no option {error.option_name}{_hint(near)}"
    if unknown := re.match(r"No such command '(.*?)'", text):
        near = get_close_matches(unknown[1], error.ctx.command.commands)
        return f"there is no command {unknown[1]}{_hint(near)}"
    if kind == "MissingParameter":
        values = f", {takes}" if takes.startswith("one of") else ""
        return f"{error.ctx.info_name} needs {name}{values}"
    if flag := re.match(r"Option '(.*?)' does not take a value", text):
        return f"{flag[1]} takes no value"
    if takes and kind == "BadParameter":
        given = _given(error.param, sys.argv[1:])
        return f"{name} takes {takes}" + (f", not {given!r}" if given is not None else "")
    if text.startswith("Got unexpected extra argument"):
        extra = re.search(r"\(([^()]*)\)$", error.message.rstrip("."))
        named = f"; what is {extra[1]}?" if extra else ""
        return f"{error.ctx.info_name} takes no more arguments{named}"
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


def _given(param: Any, words: Sequence[str]) -> str | None:
    """The value of an option on the command line, if it is there in one of the usual ways."""
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word in param.opts:
            return following
        if word.startswith("--") and word.partition("=")[0] in param.opts:
            return word.partition("=")[2]
    return None


def _takes(error: Any) -> str:
    """What a parameter takes, by its declaration; empty if that does not say."""
    param, context = getattr(error, "param", None), getattr(error, "ctx", None)
    callback = context and getattr(context.command, "callback", None)
    if param is None or callback is None:
        return ""
    hint = get_type_hints(callback, include_extras=True).get(param.name)
    information: Any = None
    while get_origin(hint) in (Annotated, Union, UnionType, list):
        if get_origin(hint) is Annotated:
            information = get_args(hint)[1]
        hint = next(one for one in get_args(hint) if one is not NoneType)
    if hint is int:
        return "a whole number" + _range(information)
    if hint is float:
        return "a number" + _range(information)
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return "one of " + ", ".join(str(one.value) for one in hint)
    return ""


def _range(information: Any) -> str:
    lowest, highest = getattr(information, "min", None), getattr(information, "max", None)
    if lowest is None and highest is None:
        return ""
    if highest is None:
        return f" of {lowest} or more"
    return f" up to {highest}" if lowest is None else f" from {lowest} to {highest}"
