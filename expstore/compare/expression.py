"""The parts of a `where` expression; see `where`, which parses them.

Guarantees: they are plain immutable values, and `str` writes them as they are parsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Name:
    """What an experiment is asked for.

    Attributes:
        text: the name; if it was in backticks without them, otherwise as typed.
        quoted: whether it was in backticks.
        prefix: of a quoted name: `param`, `metric`, `field` or empty.
        aspect: of a quoted name: `last`, `min`, `max` or empty.
        column: where it is in the expression, from 1.
    """

    text: str
    quoted: bool = False
    prefix: str = ""
    aspect: str = ""
    column: int = field(default=1, compare=False)

    def __str__(self) -> str:
        if not self.quoted:
            return self.text
        prefix = f"{self.prefix}." if self.prefix else ""
        aspect = f":{self.aspect}" if self.aspect else ""
        return f"{prefix}`{self.text.replace('`', '``')}`{aspect}"


@dataclass(frozen=True, slots=True)
class Value:
    """What it is compared with: a bare word or, if `quoted`, any text."""

    text: str
    quoted: bool = False
    column: int = field(default=1, compare=False)

    def __str__(self) -> str:
        return "'" + self.text.replace("'", "''") + "'" if self.quoted else self.text


Operator = Literal["==", "~", "in", "<", "<=", ">", ">="]
_NEGATED = {"==": "!=", "~": "!~", "in": "not in"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A name compared with a value, or by `in` with several.

    Attributes:
        name: of what is compared.
        operator: how.
        values: one; for `in` one or more.
        negated: whether the result is the opposite, as for `!=`, `!~` and `not in`.
    """

    name: Name
    operator: Operator
    values: tuple[Value, ...]
    negated: bool = False

    def __str__(self) -> str:
        operator = _NEGATED[self.operator] if self.negated else self.operator
        values = ", ".join(map(str, self.values))
        return f"{self.name} {operator} " + (f"({values})" if self.operator == "in" else values)


@dataclass(frozen=True, slots=True)
class Not:
    """True if its part is false."""

    part: Expression

    def __str__(self) -> str:
        return f"not {_inner(self.part)}"


@dataclass(frozen=True, slots=True)
class Junction:
    """True if all of its parts are (`and`), or any of them (`or`); there are at least two."""

    word: Literal["and", "or"]
    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return f" {self.word} ".join(map(_inner, self.parts))


Expression = Comparison | Not | Junction


def comparisons(expression: Expression) -> Iterator[Comparison]:
    """All comparisons in an expression, in order."""
    if isinstance(expression, Comparison):
        yield expression
    elif isinstance(expression, Not):
        yield from comparisons(expression.part)
    else:
        for part in expression.parts:
            yield from comparisons(part)


def _inner(part: Expression) -> str:
    return f"({part})" if isinstance(part, Junction) else str(part)
