"""Declarations that can be pickled, so that worker processes get them.

Guarantees: what `formats` can express pickles, copies, and unpickles to an equal declaration.
`construct`'s own classes cannot: some look up attributes that are not restored yet, and its
singletons hide their classes. Nothing but pickling and copying changes for them.
"""

from __future__ import annotations

import copyreg
from typing import Any

import construct as c

_SINGLETONS = ("GreedyBytes", "Pass", "Flag")


def _labelled(subcon: Any) -> tuple[Any, ...]:
    pairs = subcon.flags if isinstance(subcon, c.FlagsEnum) else subcon.encmapping
    labels = {str.__str__(name): value for name, value in pairs.items()}
    return _make_labelled, (type(subcon), subcon.subcon, labels)


def _make_labelled(kind: Any, subcon: Any, labels: dict[str, int]) -> Any:
    return kind(subcon, **labels)


def choice_of(subcon: Any) -> tuple[Any, Any] | None:
    """OneOf or NoneOf, and its values; None for any other condition.

    `construct` keeps both in closures only: the condition is known by its code.
    """
    test = _inside(subcon._validate)
    for make in (c.OneOf, c.NoneOf):
        like: Any = make(c.Byte, ())
        if test.__code__ is _inside(like._validate).__code__:
            return make, _inside(test)
    return None


def _inside(function: Any) -> Any:
    return function.__closure__[0].cell_contents


def _choice(subcon: Any) -> tuple[Any, ...]:
    found = choice_of(subcon)
    if found is None:
        raise TypeError("a condition of its own cannot be pickled; use OneOf or NoneOf")
    make, values = found
    return make, (subcon.subcon, values)


def _string(subcon: Any) -> tuple[Any, ...]:
    # Without what its maker adds, which only construct's own export to Kaitai uses.
    return c.StringEncoded, (subcon.subcon, subcon.encoding)


copyreg.pickle(c.Renamed, lambda r: (c.Renamed, (r.subcon, r.name, r.docs, r.parsed)))
copyreg.pickle(c.Struct, lambda struct: (c.Struct, tuple(struct.subcons)))
copyreg.pickle(c.Enum, _labelled)
copyreg.pickle(c.FlagsEnum, _labelled)
copyreg.pickle(c.ExprValidator, _choice)
copyreg.pickle(c.StringEncoded, _string)
copyreg.pickle(c.Padded, lambda p: (c.Padded, (p.length, p.subcon, p.pattern)))
for _name in _SINGLETONS:
    copyreg.pickle(type(getattr(c, _name)), lambda _, name=_name: name)  # type: ignore[misc]
