"""Parameters as they are typed on a command line: `lr=0.1`, `--lr 0.1`, `--lr=0.1`.

A value is read as JSON where it is JSON: `0.1` is a number, `true` and `null` are what they say,
`[1, 2]` is a list, and `"0.1"` in double quotes is a text. `.5`, `1.` and `+1` are numbers too, and
`True`, `False` and `None` are Python's. Anything else is a text, as it is: also `007`, which JSON
does not have, and numbers that no float can hold.

Guarantees: every text is a value, and nothing raises for one.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from expstore.errors import RunFileError

_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_LONG = 400  # characters, more than any float needs
_PYTHON = {"True": True, "False": False, "None": None}
_PAIR = re.compile(r"\+{0,2}([A-Za-z_][\w./-]*)=(.*)", re.ASCII | re.DOTALL)  # also Hydra's `+x=1`
_OPTION = re.compile(r"--([A-Za-z_][\w./-]*)(?:=(.*))?", re.ASCII | re.DOTALL)
_SCRIPTS = ".py", ".sh", ".ipynb"


def parse_value(text: str) -> Any:
    """The value that a text is; see the module."""
    if text in _PYTHON:
        return _PYTHON[text]
    if len(text) > _LONG and _NUMBER.fullmatch(text):
        return text
    try:
        found = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        found = text
    if isinstance(found, str) and found is text and _NUMBER.fullmatch(text):
        found = float(text) if re.search(r"[.eE]", text) else int(text)
    return text if _is_huge(found) else found


def _refuse(name: str) -> Any:
    """NaN and the infinities stay texts, as in all parameters."""
    raise ValueError(name)


def _is_huge(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_is_huge, value))
    if isinstance(value, dict):
        return any(map(_is_huge, value.values()))
    if isinstance(value, int):
        return abs(value) >= 1 << 63
    return isinstance(value, float) and not math.isfinite(value)


def parse_pair(text: str) -> tuple[str, Any]:
    """The name and the value of a `NAME=VALUE`.

    Raises:
        RunFileError: it has no `=`, or no name before it.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise RunFileError(f"a parameter is NAME=VALUE, such as lr=0.1, got {text!r}")
    return name.strip(), parse_value(value)


def parse_arguments(command: Sequence[str]) -> dict[str, Any]:
    """The parameters in a program's command line, by name.

    What precedes and names the script (`python -u`, `torchrun`) is left out. Then `--lr 0.1`,
    `--lr=0.1` and `lr=0.1` are parameters, `--amp` alone is true, and `--no-amp` alone makes `amp`
    false. Numbers that follow an option are a list, and so are the values of an option that is
    repeated. A dash in an option's name is an underscore, as in argparse. Options of one dash and
    words that belong to no option are none.

    Args:
        command: the program and its arguments.
    """
    found: dict[str, Any] = {}
    repeated: set[str] = set()

    def add(name: str, value: Any) -> None:
        if name not in found:
            found[name] = value
        elif name in repeated:
            found[name] = [*found[name], value]
        else:
            repeated.add(name)
            found[name] = [found[name], value]

    words = list(command[script_place(command) + 1 :])
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if word == "--":
            continue
        if pair := _PAIR.fullmatch(word):
            add(pair[1], parse_value(pair[2]))
        elif option := _OPTION.fullmatch(word):
            values = [] if option[2] is not None else _values(words[place:])
            place += len(values)
            add(*_of_option(option[1], option[2], values))
    return found


def _of_option(typed: str, attached: str | None, values: list[str]) -> tuple[str, Any]:
    """The name and the value of an option.

    Args:
        typed: its name.
        attached: what follows its `=`; None: there is none.
        values: the words after it that belong to it.
    """
    name = typed.replace("-", "_")
    if attached is not None:
        return name, parse_value(attached)
    if values:
        parsed = list(map(parse_value, values))
        return name, parsed[0] if len(parsed) == 1 else parsed
    if name.startswith("no_"):
        return name.removeprefix("no_"), False
    return name, True


def _values(words: Sequence[str]) -> list[str]:
    """The words at the beginning that are an option's values: one, or several numbers."""
    if not words or (words[0].startswith("-") and not _NUMBER.fullmatch(words[0])):
        return []
    if _PAIR.fullmatch(words[0]):
        return []
    count = 0
    while count < len(words) and _NUMBER.fullmatch(words[count]):
        count += 1
    return list(words[: max(count, 1)])


def script_place(command: Sequence[str]) -> int:
    """The index of the script or module in a command line; 0, the program, if there is none."""
    for place, word in enumerate(command[1:], 1):
        if command[place - 1] == "-m":
            return place
        if word.endswith(_SCRIPTS) and not command[place - 1].startswith("--"):
            return place
    return 0


def job_of(command: Sequence[str]) -> str:
    """What a command line is called: its script's or module's name, or its program's."""
    place = script_place(command)
    word = command[place]
    if place and command[place - 1] == "-m":
        return word
    return PurePath(word).stem if word.endswith(_SCRIPTS) else PurePath(word).name
