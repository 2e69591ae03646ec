"""What is logged, as the bytes of its records.

Guarantees: a value that the format cannot hold is refused before there are any bytes; a name beyond
the limit is cut at a whole character, with a warning. What is remembered of names is bounded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from expstore.codecs import RECORD_CODEC
from expstore.errors import NameTruncatedWarning
from expstore.model import MetricTable
from formats import FieldValueError
from formats.fields import fit

if TYPE_CHECKING:
    from formats.columns import TextColumn

Names = tuple[str, ...]
Build = Callable[..., bytes]
"""`build(values, timestamp=..., step=...)`: one record for each name it was made for."""

_NAME_LIMIT = int(RECORD_CODEC.schema["name"].range[1])
_KEPT = 64  # sets of names for which a function is kept
_MET = 1024  # sets of names of which it is known that they came once


class Builders(dict[Names, Build]):
    """Functions that build the records of a step, by the step's names.

    Names that come again get a function of their own, which builds all records at once; those that
    come for the first time are served without one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._met: set[Names] = set()

    def __missing__(self, names: Names) -> Build:
        if names not in self._met:
            if len(self._met) >= _MET:
                self._met.clear()
            self._met.add(names)
        elif names and all(name.__class__ is str and _is_short(name) for name in names):
            if len(self) >= _KEPT:
                self.clear()
            build = self[names] = RECORD_CODEC.batch([{"name": name} for name in names], "value")
            return build
        return one_by_one(*names)


def one_by_one(*names: str) -> Build:
    """A function that takes whatever names there are, and says what is wrong with one."""
    return partial(_build, names)


def _build(names: Names, values: Iterable[float], *, timestamp: int, step: int) -> bytes:
    records = []
    for name, value in zip(names, values, strict=True):
        fitted = _fit(name, 4) if name.__class__ is str and not _is_short(name) else name
        records.append(RECORD_CODEC.build(timestamp=timestamp, step=step, value=value, name=fitted))
    return b"".join(records)


def _is_short(name: str) -> bool:
    """Whether it is known to fit without encoding it: a character takes at most four bytes."""
    return len(name) * 4 <= _NAME_LIMIT


def _fit(name: str, stacklevel: int) -> str:
    """The name, cut where it is too long for the format, which its logger is warned of."""
    fitted = fit(name, _NAME_LIMIT)
    if len(fitted) < len(name):
        warnings.warn(
            f"metric name {name[:20]!r}... is longer than {_NAME_LIMIT} bytes and was cut",
            NameTruncatedWarning,
            stacklevel=stacklevel,
        )
    return fitted


def columns(metrics: MetricTable | Mapping[str, Any], now: int) -> dict[str, Any]:
    """What `append` takes, as columns by the format's field names, of equal length.

    Raises:
        FieldValueError: a column is missing or unknown, or is not as long as the others.
    """
    import numpy as np

    if isinstance(metrics, MetricTable):
        from formats.columns import TextColumn

        return {
            "timestamp": metrics.timestamps,
            "step": metrics.steps,
            "value": metrics.values,
            "name": TextColumn(metrics.name_codes, metrics.names),
        }
    given = dict(metrics)
    known = {field.name for field in RECORD_CODEC.schema}
    for fault, keys in (
        ("unknown", given.keys() - known),
        ("missing", known - {"timestamp"} - given.keys()),
    ):
        if keys:
            raise FieldValueError(f"{fault} column: {', '.join(sorted(map(str, keys)))}")
    count = len(given["value"])
    given.setdefault("timestamp", np.full(count, now))
    given["name"] = _coded(given["name"], count)
    for key, column in given.items():
        if len(column) != count:
            raise FieldValueError(f"{len(column)} values, but {count} in column value", field=key)
    return given


def _coded(names: Any, count: int) -> TextColumn:
    """A column of names: a code for each, and the names they stand for, none too long."""
    import numpy as np

    from formats.columns import TextColumn

    texts: tuple[str, ...]
    if isinstance(names, str):
        codes, texts = np.zeros(count, np.int32), (names,)
    elif isinstance(names, TextColumn):
        codes, texts = names.codes, names.values
    else:
        met: dict[str, int] = {}
        codes = np.fromiter((met.setdefault(name, len(met)) for name in names), np.int32)
        texts = tuple(met)
    fitted = list(texts)
    for code, text in enumerate(fitted):
        if isinstance(text, str):  # what is none is refused by its index
            fitted[code] = _fit(text, 5)
    return TextColumn(codes, tuple(fitted))
