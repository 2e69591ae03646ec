"""Hyperparameters as JSON holds them, whatever library they come from.

Guarantees: everything is converted, so a run is never lost to an odd parameter. What JSON has is
kept: None, bool, int, float, str, and lists and objects of these. The rest becomes, in this order:

- a mapping, argparse.Namespace, dataclass or named tuple, and what OmegaConf makes: an object, with
  names as text;
- a list, tuple or set (sorted by text), and an array or tensor of at most 1,000 elements: a list;
  a larger one, or one without data: its shape;
- a scalar of NumPy or another library: the number; NaN and the infinities: the texts `NaN`,
  `Infinity` and `-Infinity`, which `float` takes;
- an enumeration's member: its value; a date or time: ISO 8601; a path: its text;
- a class or a function: its full name; another object: its `str`, or the name of its class if
  that would be an address in memory, or fails.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from expstore.errors import RunFileError

_DEPTH = 64  # levels; what nests deeper most likely contains itself
_ELEMENTS = 1000  # of an array that is listed


def as_params(params: object) -> dict[str, Any]:
    """Parameters given as a mapping, or as any object that has them, as JSON holds them.

    Args:
        params: a mapping, argparse.Namespace, dataclass, an OmegaConf or pydantic object, an object
            with `to_dict()`, or one with attributes; None: no parameters.

    Raises:
        RunFileError: not one of these, or it contains itself; or two of them have one flat name, as
            `{"a.b": 1, "a": {"b": 2}}`.
    """
    params = _resolved(params)
    found = {} if params is None else _mapping(params)
    if found is None:
        found = _attributes(params)
    if found is None:
        raise RunFileError(
            f"params must be a mapping or an object with attributes, got {type(params).__name__}"
        )
    converted = _object(found, 0)
    _check_spellings(converted)
    return converted


def _check_spellings(params: Mapping[str, Any]) -> None:
    """Raise RunFileError if two parameters have one flat name."""
    seen: dict[str, tuple[str, ...]] = {}
    for path in _paths(params, ()):
        name = ".".join(path)
        if name in seen:
            one, other = (" of ".join(map(repr, reversed(p))) for p in (seen[name], path))
            raise RunFileError(
                f"two params are both named {name!r}: {one} and {other}; rename or leave out one"
            )
        seen[name] = path


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters with others added; a new value replaces an old one, whatever its spelling.

    `{"model": {"depth": 3}}` and `{"model.depth": 3}` are two spellings of one parameter.
    """
    names = {".".join(path): path for path in _paths(new, ())}  # the last of two spellings
    return _joined(_without(old, names, ()), _without(new, names, ()))


def removed(params: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Parameters without those of these flat names."""
    return _without(params, dict.fromkeys(names, ()), ())


def _paths(params: Mapping[str, Any], above: tuple[str, ...]) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            paths += _paths(value, (*above, name))
        else:
            paths.append((*above, name))
    return paths


def _without(
    params: Mapping[str, Any], names: Mapping[str, tuple[str, ...]], above: tuple[str, ...]
) -> dict[str, Any]:
    """Parameters without other spellings of these names than the given path."""
    kept = {}
    for name, value in params.items():
        path = (*above, name)
        if isinstance(value, Mapping) and value:
            if left := _without(value, names, path):
                kept[name] = left
        elif names.get(".".join(path), path) == path:
            kept[name] = value
    return kept


def _joined(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(old)
    for name, value in new.items():
        before = joined.get(name)
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        joined[name] = _joined(before, value) if both else value  # type: ignore[arg-type]
    return joined


def plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON holds it; see the module.

    Raises:
        RunFileError: it contains itself.
    """
    if value is None or value.__class__ in (bool, int, str):
        return value
    if depth > _DEPTH:
        raise RunFileError(f"params nest deeper than {_DEPTH} levels, or contain themselves")
    if value.__class__ is float:
        return value if math.isfinite(value) else _not_finite(value)
    value = _resolved(value)
    if (found := _mapping(value)) is not None:
        return _object(found, depth)
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item, depth + 1) for item in value), key=str)
    return _scalar(value, depth)


def _scalar(value: Any, depth: int) -> Any:
    from datetime import date, time
    from enum import Enum

    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float):
        return plain(float(value))
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and hasattr(value, "tolist"):
        return _listed(value, shape, depth)
    return _text(value)


def _listed(value: Any, shape: tuple[int, ...], depth: int) -> Any:
    try:
        items = value.tolist() if math.prod(shape) <= _ELEMENTS else None
    except Exception:  # it has no data here, as a tensor on device `meta`
        items = None
    if items is None:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    return plain(items, depth + 1)


def _text(value: object) -> str:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        return name
    try:
        return str(value)
    except Exception:  # another library's object may raise anything
        return name


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _object(found: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    for key, value in found.items():
        name = key if key.__class__ is str else str(plain(key))
        if name in converted:
            raise RunFileError(f"two params have the name {name!r} as text; rename one")
        converted[name] = plain(value, depth + 1)
    return converted


def _resolved(value: Any) -> Any:
    """A value, or the plain one that an object of OmegaConf stands for.

    References are followed, if all can be.
    """
    if not type(value).__module__.startswith("omegaconf."):
        return value
    # Installed, since the value is one of its objects.
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        return OmegaConf.to_container(value, resolve=True)
    except OmegaConfBaseException:
        return OmegaConf.to_container(value)


def _mapping(value: Any) -> Mapping[Any, Any] | None:
    """What a value maps, if it is a kind of mapping."""
    if isinstance(value, Mapping):
        return value
    argparse = sys.modules.get("argparse")  # not imported for this: who has one has imported it
    if argparse is not None and isinstance(value, argparse.Namespace):
        return dict(vars(value))
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return {name: getattr(value, name) for name in fields if hasattr(value, name)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(value._asdict())
    return None


def _attributes(value: Any) -> Mapping[Any, Any] | None:
    """What an object says of itself, or its public attributes; None for values and classes."""
    if isinstance(value, type | str | bytes | int | float | list | tuple | set | frozenset):
        return None
    for name in ("to_dict", "model_dump", "flag_values_dict"):
        if callable(method := getattr(value, name, None)):
            found = method()
            return found if isinstance(found, Mapping) else None
    if hasattr(value, "__dict__"):
        return {name: item for name, item in vars(value).items() if not name.startswith("_")}
    return None
