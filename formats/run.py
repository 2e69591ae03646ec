"""RUN: the contents of `run.json`, which says what a run tried, and how its starts ended.

Guarantees: what `parse_run` returns and `build_run` takes is of the declared form, which
`run.schema.json` is derived from; keys that are not declared are kept. No value is NaN or infinite.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from formats.errors import FieldValueError

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_DIRTY = {
    "type": "boolean",
    "description": "Whether files that git tracks differ from the commit.",
}

RUN: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "run.json",
    "description": "What a run of an experiment tried, and how its starts ended. All keys may be "
    "absent. A writer keeps those that it does not know.",
    "type": "object",
    "properties": {
        "params": {
            "type": "object",
            "description": "Hyperparameters by name. Objects may nest: a reader joins the names "
            "by dots, and where two spellings give one name, the later one wins. A number that "
            "JSON cannot hold is the text NaN, Infinity or -Infinity.",
        },
        "tags": {**_TEXTS, "description": "In the order in which they were added, each once."},
        "notes": {**_TEXT, "description": "Free text."},
        "origin": {
            "type": "object",
            "description": "Where the run was started for the first time.",
            "properties": {
                "host": {**_TEXT, "description": "The machine's name."},
                "python": {**_TEXT, "description": "The version of Python."},
                "expstore": {**_TEXT, "description": "The version of the writer."},
                "argv": {**_TEXTS, "description": "The command line; secrets are `***`."},
                "commit": {**_TEXT, "description": "The full hash of the commit at git's HEAD."},
                "branch": {**_TEXT, "description": "The branch; absent if HEAD is detached."},
                "dirty": _DIRTY,
            },
        },
        "starts": {
            "type": "array",
            "description": "The starts of the run, oldest first; one that was resumed has several.",
            "items": {
                "type": "object",
                "properties": {
                    "started": {
                        "type": "number",
                        "description": "When, in seconds since 1970-01-01 UTC.",
                    },
                    "ended": {
                        "type": "number",
                        "description": "Likewise; absent while it runs, and if it was killed.",
                    },
                    "outcome": {
                        "enum": ["finished", "failed", "stopped"],
                        "description": "How it ended; absent as `ended` is. `failed`: by an "
                        "exception or an exit code; `stopped`: by an interrupt or such a signal.",
                    },
                    "error": {
                        **_TEXT,
                        "description": "The type and text of the exception, or the exit code or "
                        "signal; without `ended`, what the program that ends it may keep.",
                    },
                    "host": {**_TEXT, "description": "The machine's name."},
                    "pid": {"type": "integer", "description": "The process id there."},
                    "from_step": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": 2**32 - 1,
                        "description": "The step from which the run went on: records before "
                        "`records` with this step or a later one are superseded. Absent: none.",
                    },
                    "records": {
                        "type": "integer",
                        "minimum": 0,
                        "description": "How many whole records metrics.bin had at this start.",
                    },
                    "commit": {
                        **_TEXT,
                        "description": "The commit at git's HEAD, of a start that resumed the run "
                        "with other code than `origin` has; otherwise absent, as the next two are.",
                    },
                    "branch": {**_TEXT, "description": "As in `origin`."},
                    "dirty": {**_DIRTY, "description": "As in `origin`."},
                },
                "required": ["started"],
            },
        },
    },
}
"""The declaration: a JSON Schema, of which only the keywords that are used here are checked."""

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list, tuple),
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
}


def to_json_schema() -> str:
    """The contents of `run.schema.json`, next to this module."""
    return json.dumps(RUN, indent=2) + "\n"


def parse_run(data: bytes) -> dict[str, Any]:
    """The values in the bytes of a run.json.

    Raises:
        FieldValueError: not JSON in UTF-8, or not of the declared form; `field` is the key.
    """
    try:
        values = _DECODER.decode(data.decode(json.detect_encoding(data), "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise FieldValueError(f"not JSON in UTF-8: {error}") from error
    check_run(values)
    found: dict[str, Any] = values
    return found


def build_run(values: Mapping[str, Any]) -> bytes:
    """The bytes of a run.json.

    Raises:
        FieldValueError: a value that JSON cannot hold, or not of the declared form.
    """
    values = dict(values)
    check_run(values)
    try:
        text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise FieldValueError(f"not possible in JSON: {error}") from error
    # A lone surrogate, as of a file name that is not UTF-8, becomes JSON's escape of it.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def check_run(values: object) -> None:
    """Check that values are of the declared form.

    Raises:
        FieldValueError: names the key.
    """
    if not _FITS(values):
        _check(values, RUN, "")


def _fits(schema: Mapping[str, Any]) -> Callable[[Any], bool]:
    """A function that says whether a value surely is of a form: a few times as fast as `_check`.

    It may not know a value, such as a text of a class derived from `str`.
    """
    kind = schema.get("type")
    if kind == "object":
        required = frozenset(schema.get("required", ()))
        inner = {name: _fits(one) for name, one in schema.get("properties", {}).items()}

        def is_object(value: Any) -> bool:
            if value.__class__ is not dict or not value.keys() >= required:
                return False
            for name, one in value.items():  # noqa: SIM110  a generator takes longer
                if name in inner and not inner[name](one):
                    return False
            return True

        return is_object
    if kind == "array":
        item = _fits(schema["items"])
        return lambda value: value.__class__ is list and all(map(item, value))
    if "enum" in schema:
        known = schema["enum"]
        return lambda value: value.__class__ is str and value in known
    if kind is None:
        return lambda value: True
    low, high = schema.get("minimum", -inf), schema.get("maximum", inf)
    if kind in ("integer", "number"):
        classes = (int,) if kind == "integer" else (int, float)
        return lambda value: value.__class__ in classes and low <= value <= high
    (of,) = _KINDS[kind]
    return lambda value: value.__class__ is of


def _check(value: Any, schema: Mapping[str, Any], key: str) -> None:
    kind = schema.get("type")
    if kind and not _is(value, kind):
        raise FieldValueError(f"expected {kind}, got {_shown(value)}", field=key or None)
    if "enum" in schema and value not in schema["enum"]:
        known = ", ".join(schema["enum"])
        raise FieldValueError(f"expected one of {known}, got {_shown(value)}", field=key)
    low, high = schema.get("minimum"), schema.get("maximum")
    if (low is not None and value < low) or (high is not None and value > high):
        raise FieldValueError(f"out of range: {_shown(value)}", field=key)
    if kind == "object":
        for name in schema.get("required", ()):
            if name not in value:
                raise FieldValueError("missing", field=f"{key}.{name}")
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                _check(value[name], inner, f"{key}.{name}" if key else name)
    elif kind == "array":
        if schema["items"] == _TEXT and all(item.__class__ is str for item in value):
            return  # a command line may be long
        for index, item in enumerate(value):
            _check(item, schema["items"], f"{key}[{index}]")


def _is(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _KINDS[kind])


_FITS = _fits(RUN)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _finite(text: str) -> float:
    value = float(text)
    if value - value:
        raise ValueError(f"{text[:60]} is out of the range of a double")
    return value


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse)
