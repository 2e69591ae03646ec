"""What stands in for the parts of wandb that an experiment store does not have.

Guarantees: each is reported once in a program, by a warning; using it raises no error.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from typing import Any

_said: set[str] = set()


class NotInStoreWarning(UserWarning):
    """A script uses something of wandb that does nothing here."""


def say_once(what: str, effect: str = "is not part of expstore; it does nothing") -> None:
    """Warn that something has no effect, unless that was said before."""
    if what not in _said:
        _said.add(what)
        warn(f"{what} {effect}")


def warn(message: str) -> None:
    """Warn at the script's own line."""
    warnings.warn(message, NotInStoreWarning, stacklevel=_depth_of_script())


def _depth_of_script() -> int:
    """How far up the stack the script's own line is."""
    package = os.path.dirname(__file__)
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(package):
        depth, frame = depth + 1, frame.f_back
    return depth


class Inert:
    """Has every attribute, may be called with anything, and does nothing.

    Calling it with one function, as a decorator, gives the function back.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Inert(f"{self._name}.{name}")

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Itself, or the function that it decorates."""
        is_decorator = len(args) == 1 and not options and callable(args[0])
        return args[0] if is_decorator else self

    def __enter__(self) -> Inert:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<{self._name}, which expstore does not have>"


class Partial:
    """A part of what wandb's class has: what is missing is reported once, and does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        missing = f"wandb.{type(self).__name__}.{name}"
        say_once(missing)
        return Inert(missing)
