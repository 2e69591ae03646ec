"""JSON as programs write it, which holds more than a store can.

Guarantees: a number that is too large for a float stays the text that it is, as in all parameters;
`json` alone makes infinity of it, which the source does not say. `NaN` and `Infinity` are numbers.
"""

from __future__ import annotations

import json
import math
from typing import Any


class LargeNumber(str):
    """The text of a number that is too large for a float."""

    __slots__ = ()


def _float(text: str) -> float | LargeNumber:
    number = float(text)
    return LargeNumber(text) if math.isinf(number) else number


DECODER = json.JSONDecoder(parse_float=_float)
"""Decodes a text."""


def loads(data: bytes | str) -> Any:
    """What a JSON document holds.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    if isinstance(data, bytes):
        data = data.decode(json.detect_encoding(data), "surrogatepass")
    return DECODER.decode(data)
