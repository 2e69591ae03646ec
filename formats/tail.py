"""How the end of a log looks: what a parser of whole records leaves out or should doubt.

Guarantees: looking never changes what is read. A torn tail (the data ends inside a record) is not
corruption: it is what a crash, or a writer in the middle of a write, leaves. A zero tail is what a
power loss can leave on a journalling file system; a naive reader takes it for records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from formats.columns import Columns
    from formats.schema import Schema


@dataclass(frozen=True)
class TailStatus:
    """The state of a log's end.

    Attributes:
        kind: `clean`; `torn`, the data ends inside a record; `zero`, records of nothing but zeros.
        offset: the byte offset from which it holds, or None where clean.
        size: bytes from `offset` to the end.
        records: records that were read from there and should be doubted.
    """

    kind: Literal["clean", "torn", "zero"]
    offset: int | None = None
    size: int = 0
    records: int = 0

    def __bool__(self) -> bool:
        return self.kind == "clean"

    def __str__(self) -> str:
        if self.kind == "clean":
            return "clean"
        what = f"{self.kind} tail of {self.size} bytes at byte {self.offset}"
        return what + (f" ({self.records} records of zeros)" if self.records else "")


CLEAN = TailStatus("clean")


def tail_status(schema: Schema, columns: Columns, size: int, zeros_before: int = 0) -> TailStatus:
    """The state of the end of `size` bytes of which `columns` is what could be parsed.

    Args:
        schema: the declaration of one record.
        columns: the whole records, or the last of them.
        size: bytes of the data.
        zeros_before: records of nothing but zeros that end right before `columns`.
    """
    zeros = _trailing_zero_records(schema, columns)
    if zeros == len(columns):
        zeros += zeros_before
    # An all-zero record has only empty texts, so it is of the least size.
    start = columns.end - zeros * schema.min_size
    if zeros:
        return TailStatus("zero", start, size - start, zeros)
    return TailStatus("torn", start, size - start) if size > start else CLEAN


def _trailing_zero_records(schema: Schema, columns: Columns) -> int:
    """How many records at the end are all zeros; nearly always none, which one look tells."""
    count = len(columns)
    if not count or not _zeros(schema, columns, count - 1).all():
        return 0
    differs = ~_zeros(schema, columns, 0)
    return int(differs[::-1].argmax()) if differs.any() else count


def _zeros(schema: Schema, columns: Columns, start: int) -> NDArray[np.bool_]:
    """For each record from `start` on, whether all its bytes are zeros."""
    zeros: Any = True
    for field in schema:
        column = columns[field.name]
        if field.is_text:
            # A text of zero bytes is empty; of one value there is at most one code.
            empty = column.values.index("") if "" in column.values else -1
            zeros = zeros & (column.codes[start:] == empty)
        else:
            # Bits, not values: -0.0 is not a zero byte.
            zeros = zeros & (column[start:].view(f"u{field.width}") == 0)
    return cast("NDArray[np.bool_]", zeros)
