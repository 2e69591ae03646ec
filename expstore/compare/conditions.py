"""How an experiment's value is compared with what was typed.

- A number is compared with a number by size, also if the parameter is text, such as "0.001". A NaN
  equals `nan`, and is neither smaller nor larger than anything.
- `true` and `false` mean a parameter that is either. Lists and objects are compared as JSON.
- Anything else is compared as text, case included. Quotes make text of what looks like a number.
- `~` matches a pattern, in which `*` is any text and `?` any character. A pattern without either
  matches if the text contains it.
- `none` means that there is no such value: `lr == none`. Every other comparison with a missing
  value is false, and a negated one true: `a != b` is always the same as `not a == b`.
- Of several values, as of tags, one that fits is enough.
- A time is compared with a date, a date and time, or the time before now: `created > 30d` is what
  was created in the last 30 days. A date is a whole day: `created <= 2026-01-31` includes it. `~`
  matches it as text: `created ~ '2026-01-*'`.
- A status is one of five words; another, as a typing mistake, is an error.
- A duration is compared with seconds, or with `90s`, `5m`, `1.5h`, `2d`, `1w`.

Guarantees: a comparison that cannot be true for any value of its kind is a `WhereError`.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from expstore.compare.expression import Comparison, Value
from expstore.errors import WhereError
from expstore.model.runinfo import Status

Kind = Literal["any", "number", "text", "texts", "status", "time", "duration"]
"""What values a name has: `any` for parameters, `number` for metrics."""

STATUSES = get_args(Status)

Test = Callable[[Any], bool]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|[-+]?inf|nan", re.IGNORECASE)
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EXACT = 40  # digits of a whole number that is not rounded
_MISSING = ("none", "null")


def test(comparison: Comparison, kind: Kind, text: str, now: float) -> Test:
    """A function that says whether a value passes a comparison; None stands for a missing value.

    Args:
        comparison: what is asked.
        kind: of the values that it will be asked for.
        text: the whole expression, for errors.
        now: seconds since 1970-01-01 UTC, from which `30d` is counted.

    Raises:
        WhereError: no value of this kind can pass.
    """
    tests = [_test(comparison, value, kind, text, now) for value in comparison.values]
    one = tests[0]
    chosen: Test = one if len(tests) == 1 else lambda actual: any(test(actual) for test in tests)
    if kind == "texts":
        each = chosen
        chosen = lambda actual: any(map(each, actual)) if actual else each(None)  # noqa: E731
    if comparison.negated:
        plain = chosen
        return lambda actual: not plain(actual)
    return chosen


def _test(comparison: Comparison, value: Value, kind: Kind, text: str, now: float) -> Test:
    sign = comparison.operator
    if not value.quoted and value.text.lower() in _MISSING and sign in ("==", "in"):
        return lambda actual: actual is None
    if sign == "~":
        matches = pattern(value.text)
        shown = _time_text if kind == "time" else as_text
        return lambda actual: actual is not None and matches(shown(actual))
    if kind == "time":
        return _time_test(sign, _interval(value, text, now))
    if kind == "duration":
        return _number_test(sign, _seconds(value, text))
    number = None if value.quoted else as_number(value.text)
    if sign in _ORDERS:
        is_text = kind in ("text", "texts", "status")
        if is_text or number is None:
            what = "text" if is_text else repr(value.text)
            raise WhereError(
                f"{sign} compares numbers, and {what} is none; use == or ~", text, value.column
            )
        return _number_test(sign, number)
    if kind == "number":
        if number is None:
            raise WhereError(
                f"{comparison.name} is a number, and {value.text!r} is none", text, value.column
            )
        return _number_test(sign, number)
    if kind == "status" and value.text not in STATUSES:
        words = ", ".join(STATUSES)
        raise WhereError(f"{value.text!r} is no status; there are: {words}", text, value.column)
    return _equality(value, number)


def _equality(value: Value, number: float | None) -> Test:
    """Whether a value of any kind equals what was typed."""
    wanted = value.text
    truth = None if value.quoted else {"true": True, "false": False}.get(wanted.lower())

    def equal(actual: Any) -> bool:
        if actual is None:
            return False
        if isinstance(actual, bool):
            return actual is truth if truth is not None else as_text(actual) == wanted
        if number is not None and (held := as_number(actual)) is not None:
            return _same(held, number)
        return as_text(actual) == wanted

    return equal


def _number_test(sign: str, number: float) -> Test:
    compare = _ORDERS.get(sign)

    def passes(actual: Any) -> bool:
        held = as_number(actual)
        if held is None:
            return False
        if compare is not None:
            return compare(held, number)
        return _same(held, number)

    return passes


def _same(one: float, other: float) -> bool:
    # Not by isnan, which cannot take every whole number.
    return one == other or str(one) == str(other) == "nan"


def _time_test(sign: str, interval: tuple[float, float]) -> Test:
    first, last = interval
    if sign in ("==", "in"):
        return lambda actual: actual is not None and first <= actual <= last
    bound = first if sign in ("<", ">=") else last
    compare = _ORDERS[sign]
    return lambda actual: actual is not None and compare(actual, bound)


def _interval(value: Value, text: str, now: float) -> tuple[float, float]:
    """The first and the last moment that a text means, in Unix seconds."""
    typed = value.text.strip()
    if match := _DURATION.fullmatch(typed):
        moment = now - float(match[1]) * UNITS[match[2]]
        return moment, moment
    if (number := as_number(typed)) is not None and math.isfinite(number) and len(typed) > 8:
        return number, number
    try:
        begin = datetime.fromisoformat(typed)
        first = begin.timestamp()
        if ":" in typed or "T" in typed:
            return first, first
        return first, math.nextafter((begin + timedelta(days=1)).timestamp(), -math.inf)
    except (ValueError, OverflowError, OSError):
        raise WhereError(
            f"{value.text!r} is not a time; use 36h, 30d, 2w, 2026-01-31 or 2026-01-31T12:00",
            text,
            value.column,
        ) from None


def _seconds(value: Value, text: str) -> float:
    if match := _DURATION.fullmatch(value.text.strip()):
        return float(match[1]) * UNITS[match[2]]
    if (number := as_number(value.text)) is not None:
        return number
    raise WhereError(
        f"{value.text!r} is not a duration; use 90s, 30m, 1.5h, 2d or 1w", text, value.column
    )


def as_number(value: Any) -> float | None:
    """The number that a value is, or that its text is; None if it is none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        whole = value.lstrip("+-").isdecimal() and len(value) <= _EXACT
        return int(value) if whole else float(value)
    return None


def as_text(value: Any) -> str:
    """The value as text: a text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return repr(value)  # as JSON has it, several times as fast
    return json.dumps(value, ensure_ascii=False)


def _time_text(value: float) -> str:
    try:
        return datetime.fromtimestamp(value).isoformat(sep=" ", timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return str(value)


def pattern(text: str) -> Callable[[str], bool]:
    """A function that says whether a text matches a pattern; see the module."""
    if not is_pattern(text):
        return lambda candidate: text in candidate
    first, *rest = ("".join(map(_one, part)) for part in re.split(r"\*+", text))
    if rest:
        # What is between two `*` is found at its first place, and not looked for again: to try
        # every place, as a plain `.*` does, takes time without end.
        *between, last = rest
        first += "".join(f"(?>.*?{part})" for part in between) + f".*{last}"
    matches = re.compile(first, re.DOTALL).fullmatch
    return lambda candidate: matches(candidate) is not None


def _one(character: str) -> str:
    return "." if character == "?" else re.escape(character)


def is_pattern(text: str) -> bool:
    """Whether it has a `*` or a `?`."""
    return "*" in text or "?" in text
