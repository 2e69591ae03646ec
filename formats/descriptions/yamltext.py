"""YAML in block style, for the Kaitai schemas; written here, so that deriving one needs no library.

Guarantees: any YAML parser reads back the same mapping.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_PLAIN = re.compile(r"[A-Za-z][^:#\n\"'&*!|>%@`{}\[\]]*(?<! )")
_RESERVED = frozenset({"true", "false", "null", "yes", "no", "on", "off"})  # not strings in YAML


def lines(value: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """A mapping of mappings, lists, strings and numbers."""
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield f"{indent}{key}:"
            yield from lines(item, indent + "  ")
        elif isinstance(item, list):
            yield f"{indent}{key}:"
            for element in item:
                if not isinstance(element, Mapping):
                    yield f"{indent}  - {_scalar(element)}"
                    continue
                first, *rest = lines(element, indent + "    ")
                yield f"{indent}  - {first.lstrip()}"
                yield from rest
        elif isinstance(item, str) and "\n" in item:
            yield f"{indent}{key}: |"
            yield from (f"{indent}  {line}".rstrip() for line in item.split("\n"))
        else:
            yield f"{indent}{key}: {_scalar(item)}"


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return repr(value)
    is_plain = _PLAIN.fullmatch(value) and value.isprintable() and value.lower() not in _RESERVED
    return value if is_plain else _quoted(value)


def _quoted(value: str) -> str:
    def escape(character: str) -> str:
        if character in '"\\':
            return "\\" + character
        return character if character.isprintable() else f"\\U{ord(character):08x}"

    return '"' + "".join(map(escape, value)) + '"'
