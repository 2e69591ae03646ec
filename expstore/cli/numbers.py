"""Numbers as users write them on the command line.

Guarantees: a number that no double can hold is refused, not taken for infinity.
"""

from __future__ import annotations

import math
import sys

import typer


def parse_number(text: str, argument: str) -> float:
    """The number that a text is, also `nan`, `inf` and `-inf`.

    Raises:
        typer.BadParameter: it is none, or is out of the range of a double.
    """
    try:
        number = float(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a number, nan, inf or -inf", param_hint=argument
        ) from None
    if math.isinf(number) and any(character.isdigit() for character in text):
        raise typer.BadParameter(
            f"{text} is out of range: a value is at most {sys.float_info.max:.17g} in size; "
            "write inf or -inf if infinity is meant",
            param_hint=argument,
        )
    return number
