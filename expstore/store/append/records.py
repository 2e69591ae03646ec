"""Encoding what is logged as records.

Guarantees: a value that the format cannot hold is refused before any bytes are produced, and the
error names its metric and step; a name over the limit is cut at a character boundary, with a
warning. The cache of names is bounded.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from expstore.errors import NameTruncatedWarning
from expstore.model.table import MetricTable
from expstore.model.times import in_smaller_units, unit_fault
from expstore.model.values import RECORD_CODEC
from formats import FieldValueError, FormatError
from formats.fields import fit

if TYPE_CHECKING:
    from formats.columns import TextColumn

Names = tuple[str, ...]
Build = Callable[..., bytes]
"""`build(values, timestamp=..., step=...)`: one record per name that it was made for."""

_build = RECORD_CODEC.build
_NAME_LIMIT = int(RECORD_CODEC.schema["name"].range[1])
_SHORT = _NAME_LIMIT // 4  # characters that always fit: each takes four bytes at most
_CACHED = 4096  # names in all cached functions together; about 4 KB each
_SEEN = 1024  # sets of names remembered as seen once
_SHOWN = 60  # characters of a name or a step in a message
ROWS = 1 << 20
"""Rows that are built, and written, at a time; the system takes at most 2 GiB in one write."""
# The package's root, not this module's folder: warnings point outside the whole package.
_PACKAGE = os.path.abspath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir))


def record(name: str, value: float, *, timestamp: int, step: int) -> bytes:
    """One record.

    Raises:
        FieldValueError: a value that the format cannot hold.
    """
    try:
        return _build(timestamp=timestamp, step=step, value=value, name=name)
    except FormatError as refused:
        error = refused
    # Only now, since nearly all names fit.
    if not isinstance(name, str) or (fitted := _fit(name)) == name:
        raise error.at(source=_metric(name, step)) from None
    return record(fitted, value, timestamp=timestamp, step=step)


def _metric(name: object, step: object) -> str:
    """A metric as messages name it."""
    return f"metric {repr(name)[:_SHOWN]} at step {str(step)[:_SHOWN]}"


def check_mapping(values: object, step: object) -> None:
    """Raise FieldValueError if the metrics of a step are no mapping."""
    if not isinstance(values, Mapping):
        raise FieldValueError(
            f"the metrics at step {str(step)[:_SHOWN]} must be a mapping of names to values, such "
            f"as {{'loss': 0.5}}, got {type(values).__name__}"
        )


class StepBuilders(dict[Names, Build]):
    """Functions that build the records of a step, by the step's names.

    Names that occur a second time get a compiled function, which builds all records at once, while
    the cache has room; all others get a generic one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._room = _CACHED
        self._seen: set[int] = set()  # hashes, because the names may be large

    def __missing__(self, names: Names) -> Build:
        if not 0 < len(names) <= self._room:
            pass
        elif hash(names) not in self._seen:
            if len(self._seen) >= _SEEN:
                self._seen.clear()
            self._seen.add(hash(names))
        elif all(name.__class__ is str and len(name) <= _SHORT for name in names):
            texts = [{"name": name} for name in names]
            build = self[names] = RECORD_CODEC.batch(texts, "value", record)
            self._room -= len(names)
            return build
        return partial(_one_by_one, names)


def _one_by_one(names: Names, values: Iterable[float], *, timestamp: int, step: int) -> bytes:
    rows = zip(names, values, strict=True)
    return b"".join([record(*row, timestamp=timestamp, step=step) for row in rows])


def _fit(name: str) -> str:
    """The name, cut if it is too long for the format; cutting issues a warning."""
    try:
        fitted = fit(name, _NAME_LIMIT)
    except UnicodeEncodeError:
        return name  # building the record reports what is wrong
    if len(fitted) < len(name):
        warnings.warn(
            f"metric name {name[:20]!r}... is longer than {_NAME_LIMIT} bytes and was cut",
            NameTruncatedWarning,
            stacklevel=_outside(),
        )
    return fitted


def _outside() -> int:
    """The `stacklevel` at which the caller's warning points to code outside the package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    return level


def columns(metrics: MetricTable | Mapping[str, Any], now: int) -> dict[str, Any]:
    """The argument of `append` as columns of equal length, by field name.

    Raises:
        FieldValueError: a column is missing or unknown, or columns differ in length.
    """
    import numpy as np

    from formats.columns.given import named_columns, sequence

    if isinstance(metrics, MetricTable):
        from formats.columns import TextColumn

        return {
            "timestamp": metrics.timestamps,
            "step": metrics.steps,
            "value": metrics.values,
            "name": TextColumn(metrics.name_codes, metrics.names),
        }
    given = named_columns(metrics)
    known = {field.name for field in RECORD_CODEC.schema}
    for fault, keys in (
        ("unknown", given.keys() - known),
        ("missing", known - {"timestamp"} - given.keys()),
    ):
        if keys:
            raise FieldValueError(f"{fault} column: {', '.join(sorted(map(str, keys)))}")
    for key in given.keys() - {"name"}:
        given[key] = sequence(key, given[key])
    count = _length("value", given["value"])
    given.setdefault("timestamp", np.full(count, now))
    given["name"] = _encode_names(given["name"], count)
    for key, column in given.items():
        if _length(key, column) != count:
            raise FieldValueError(f"{len(column)} values, but {count} in column value", field=key)
    return given


def build_all(metrics: MetricTable | Mapping[str, Any], now: int) -> list[tuple[bytes, int]]:
    """The records of `append`, in parts: each its bytes and their number of records.

    Raises:
        FieldValueError: see `columns`; or a value that the format cannot hold, or a timestamp that
            is in milli-, micro- or nanoseconds.
    """
    from formats.columns import build_columns

    given = columns(metrics, now)
    size, parts = len(given["value"]), []
    for start in range(0, size, ROWS):
        part = {key: column[start : start + ROWS] for key, column in given.items()}
        try:
            data = build_columns(RECORD_CODEC.schema, part)
            _check_seconds(part["timestamp"])
        except FormatError as error:
            raise _at_row(error, given, start) from None
        parts.append((data, min(ROWS, size - start)))
    return parts


def _check_seconds(timestamps: Any) -> None:
    """Raise FieldValueError for the first timestamp that is in a smaller unit than seconds."""
    import numpy as np

    timestamps = np.asarray(timestamps)
    for row in in_smaller_units(timestamps)[:1].tolist():
        reason = unit_fault(int(timestamps[row]))
        raise FieldValueError(reason, field="timestamp", index=row)


def _at_row(error: FormatError, given: Mapping[str, Any], start: int) -> FormatError:
    """The error, with its row counted from the beginning of the columns, and the row's metric."""
    if error.index is None:
        return error
    row, names = start + error.index, given["name"]
    if 0 <= (code := int(names.codes[row])) < len(names.values):
        error.at(source=_metric(names.values[code], given["step"][row]))
    return error.at(index=row)


def _length(key: str, column: Any) -> int:
    try:
        return len(column)
    except TypeError as error:  # a zero-dimensional array
        raise FieldValueError(str(error), field=key) from None


def _encode_names(names: Any, count: int) -> TextColumn:
    """A column of names as codes and distinct names, cut to the limit."""
    import numpy as np

    from formats.columns import TextColumn
    from formats.columns.given import coded

    if isinstance(names, str):
        codes, texts = np.zeros(count, np.int32), [names]
    else:
        codes, texts = coded("name", names)
    # A name that is not a string is refused with its index when the records are built.
    fitted = tuple(_fit(text) if isinstance(text, str) else text for text in texts)
    return TextColumn(codes, fitted)
