"""Joining JavaScript modules into one script, so that a page needs no other file.

Guarantees: each module keeps a scope of its own, and runs once, after those that it imports. Only
what the modules here use is understood: `import { a, b } from "./other.js";` and `export` before a
function, class or const; anything else raises ValueError, and so does a circle of imports.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from graphlib import CycleError, TopologicalSorter

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([\w-]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) ([\w$]+))", re.MULTILINE)
_OTHER = re.compile(r"^(?:import|export)\b.*|\bimport\(", re.MULTILINE)


def join(main: str, read: Callable[[str], str]) -> str:
    """The script that does what loading the module `main` would do.

    Args:
        main: the file name of the first module.
        read: gives the text of a module by its file name.

    Raises:
        ValueError: a module has an import or export that is not understood, or they form a circle.
    """
    texts: dict[str, str] = {}
    imports: dict[str, list[str]] = {}
    waiting = [main]
    while waiting:
        name = waiting.pop()
        if name not in texts:
            texts[name] = read(name)
            imports[name] = [match[2] for match in _IMPORT.finditer(texts[name])]
            waiting += imports[name]
    try:
        order = list(TopologicalSorter(imports).static_order())
    except CycleError as error:
        raise ValueError(f"modules import each other: {error.args[1]}") from error
    return "".join(_wrapped(name, texts[name]) for name in order)


def _wrapped(name: str, text: str) -> str:
    """A module as a function that returns what it exports."""
    exports = [match[1] for match in _EXPORT.finditer(text)]
    text = _IMPORT.sub(_binding, _EXPORT.sub("", text))
    if other := _OTHER.search(text):
        raise ValueError(f"{name}: not understood: {other[0]}")
    return (
        f"const {_variable(name)} = (() => {{\n{text}return {{ {', '.join(exports)} }};\n}})();\n"
    )


def _binding(match: re.Match[str]) -> str:
    names = re.sub(r"\s+as\s+", ": ", " ".join(match[1].split()))
    return f"const {{ {names} }} = {_variable(match[2])};\n"


def _variable(name: str) -> str:
    return "$" + re.sub(r"\W", "_", name.removesuffix(".js"))
