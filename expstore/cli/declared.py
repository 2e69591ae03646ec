"""What a parameter of a command takes, by its declaration.

Guarantees: the words are those of this program, whatever Typer calls a type.
"""

from __future__ import annotations

from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints


def takes(param: Any, command: Any) -> str:
    """What a parameter takes: a number, or one of some words; empty if it takes any text."""
    hint, information = _declared(param, command)
    if hint is int:
        return "a whole number" + _range(information)
    if hint is float:
        return "a number" + _range(information)
    words = choices(param, command)
    return f"one of {', '.join(words)}" if words else ""


def in_range(param: Any, command: Any, number: int) -> bool:
    """Whether an option of numbers takes this one."""
    _, information = _declared(param, command)
    lowest, highest = getattr(information, "min", None), getattr(information, "max", None)
    return (lowest is None or number >= lowest) and (highest is None or number <= highest)


def choices(param: Any, command: Any) -> list[str]:
    """The words of which a parameter takes one; empty if it takes others, too."""
    hint, _ = _declared(param, command)
    if get_origin(hint) is Literal:
        return list(map(str, get_args(hint)))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [str(one.value) for one in hint]
    return []


def _declared(param: Any, command: Any) -> tuple[Any, Any]:
    """The type of a parameter of the command's function, and what Typer knows of it."""
    callback = getattr(command, "callback", None)
    if param is None or callback is None:
        return None, None
    hint = get_type_hints(callback, include_extras=True).get(param.name)
    information: Any = None
    while get_origin(hint) in (Annotated, Union, UnionType, list):
        if get_origin(hint) is Annotated:
            information = get_args(hint)[1]
        hint = next(one for one in get_args(hint) if one is not NoneType)
    return hint, information


def _range(information: Any) -> str:
    lowest, highest = getattr(information, "min", None), getattr(information, "max", None)
    if lowest is None and highest is None:
        return ""
    if highest is None:
        return f" of {lowest} or more"
    return f" up to {highest}" if lowest is None else f" from {lowest} to {highest}"
