"""Parameters as columns: one for each, of one type in all rows.

Guarantees: a column has numbers if the parameter is one in every experiment that has it, truth
values likewise, else text, as JSON where it was none. Nothing is rounded: integers beyond 64 bits
are text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from expstore.extras import require

if TYPE_CHECKING:
    import pyarrow as pa

PARAM = "param:"
"""What the name of a parameter's column begins with."""

LIMIT = 2_000
"""Parameters that get a column."""

_WHOLE = 1 << 63


class ParamTypes:
    """Gathers the types of parameters, by flat name."""

    def __init__(self) -> None:
        self._found: dict[str, set[type]] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, params: Mapping[str, Any]) -> None:
        """Add those of an experiment; null is of no type."""
        for name, value in params.items():
            if value is not None:
                self._found.setdefault(name, set()).add(_type_of(value))

    @property
    def types(self) -> dict[str, type]:
        """The type of each column, in order of first appearance: bool, int, float or str."""
        return {name: _joint(types) for name, types in self._found.items()}


def arrow_type(kind: type) -> pa.DataType:
    """The Arrow type of a column; of texts, strings."""
    arrow = require("pyarrow", "arrow")
    made: pa.DataType = {
        str: arrow.string(),
        int: arrow.int64(),
        float: arrow.float64(),
        bool: arrow.bool_(),
    }[kind]
    return made


def as_cell(value: Any, kind: type) -> Any:
    """A parameter's value in a column of a type."""
    return json.dumps(value) if kind is str and not isinstance(value, str | None) else value


def _type_of(value: Any) -> type:
    if type(value) is int and not -_WHOLE <= value < _WHOLE:
        return str
    return type(value) if type(value) in (bool, int, float) else str


def _joint(types: Iterable[type]) -> type:
    """The type of a column that holds values of these types."""
    types = set(types)
    if len(types) == 1:
        return types.pop()
    return float if types <= {int, float} else str
