"""Immutable values: what frozen dataclasses are, without compiling six methods for each class.

Guarantees: two values are equal if they are of one class and their fields are equal. Importing the
kinds, which every program that logs does, takes a third of the time that dataclasses would.
"""

from __future__ import annotations

from inspect import get_annotations
from typing import Any, ClassVar, dataclass_transform


@dataclass_transform(frozen_default=True)
class Value:
    """Base of classes whose annotated attributes are arguments of the constructor, in order."""

    _names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        annotations = get_annotations(cls).items()
        own = (name for name, kind in annotations if "ClassVar" not in str(kind))
        cls._names = (*cls._names, *(name for name in own if name not in cls._names))

    def __init__(self, *args: Any, **given: Any) -> None:
        names, held = self._names, self.__dict__
        if len(args) > len(names) or given.keys() - set(names[len(args) :]):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)}")
        held.update(zip(names, args, strict=False))
        for name in names[len(args) :]:
            if name in given:
                held[name] = given[name]
            elif not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} needs {name}")
            else:
                held[name] = getattr(type(self), name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete field {name!r}")

    def _fields(self) -> tuple[Any, ...]:
        held = self.__dict__
        return tuple(held[name] for name in self._names)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        pairs = zip(self._names, self._fields(), strict=True)
        return f"{type(self).__name__}({', '.join(f'{n}={value!r}' for n, value in pairs)})"
