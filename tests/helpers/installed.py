"""Which modules are there if only some extras are installed: all others are taken away.

A page's examples run with what its own text has installed by then, not with all that the tests
have.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers.paths import ROOT

_OURS = {"expstore", "expstore_pytest", "formats", "tests"}


def others(installed: Iterable[str]) -> set[str]:
    """The modules of all distributions that these requirements do not bring.

    Args:
        installed: requirements such as `expstore[cli]` or `duckdb`.
    """
    there = _with_dependencies(installed)
    return {
        module
        for module, owners in _owners().items()
        if module not in _OURS and not {*map(canonicalize_name, owners)} & there
    }


def take_away(modules: Iterable[str]) -> dict[str, Any]:
    """Make these modules fail to import; returns what `give_back` needs."""
    loaded = {module: sys.modules.get(module) for module in modules}
    sys.modules.update(dict.fromkeys(loaded))  # type: ignore[arg-type]
    return loaded


def give_back(loaded: dict[str, Any]) -> None:
    """Undo `take_away`."""
    for name, module in loaded.items():
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module


@cache
def _owners() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())


@cache
def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _with_dependencies(requirements: Iterable[str]) -> set[str]:
    """The names of distributions that `pip install` of these would leave."""
    found: set[tuple[str, str]] = set()  # with an extra of it, or none
    waiting = [Requirement(one) for one in requirements]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        for extra in ("", *one.extras):
            if (name, extra) not in found:
                found.add((name, extra))
                waiting += _required(name, extra)
    return {name for name, _ in found}


def _required(name: str, extra: str) -> list[Requirement]:
    if name == "expstore":  # as in the tree, whatever was installed
        lists = _project()["optional-dependencies"]
        texts = lists[extra] if extra else _project()["dependencies"]
        return [Requirement(text) for text in texts]
    try:
        texts = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    parsed = map(Requirement, texts)
    return [one for one in parsed if not one.marker or one.marker.evaluate({"extra": extra})]
