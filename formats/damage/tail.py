"""How the end of a log looks: what a parser of whole records leaves out or should doubt.

Guarantees: looking never changes what is read. A torn tail (the data ends inside a record) is not
corruption: it is what a crash, or a writer in the middle of a write, leaves. A zero tail is what a
power loss can leave on a journalling file system; a naive reader takes it for records. Implausible
is what stands behind a torn record that others appended to: misaligned, to the end or for a while.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from formats.damage.plausible import first_implausible, size_of
from formats.fields import Roles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from formats.columns.types import Columns
    from formats.schema import Schema


@dataclass(frozen=True)
class TailStatus:
    """The state of a log's end.

    Attributes:
        kind: `clean`; `torn`, the data ends inside a record; `zero`, records of nothing but zeros;
            `implausible`, records that cannot be what was written.
        offset: the byte offset from which it holds, or None where clean.
        size: bytes from `offset` to the end.
        records: records that were read from there and should be doubted.
    """

    kind: Literal["clean", "torn", "zero", "implausible"]
    offset: int | None = None
    size: int = 0
    records: int = 0

    @property
    def can_be_cut(self) -> bool:
        """Whether the log is well-formed without it: no whole record of anyone's lies behind."""
        return self.kind in {"torn", "zero"}

    def __bool__(self) -> bool:
        return self.kind == "clean"

    def __str__(self) -> str:
        if self.kind == "clean":
            return "clean"
        if self.kind == "implausible":
            what = f"implausible from byte {self.offset} on"
            return f"{what} ({self.records} records, {self.size} bytes)"
        what = f"{self.kind} tail of {self.size} bytes at byte {self.offset}"
        return what + (f" ({self.records} records of zeros)" if self.records else "")


CLEAN = TailStatus("clean")


class TailWatch:
    """Looks at a log's records as they are parsed, part by part; holds a few numbers.

    Args:
        schema: the declaration of one record.
        roles: the fields by which a record is judged; None: nothing is implausible.
        start: the offset of the first record that it will see.

    Attributes:
        records: whole records seen.
        end: the offset behind them.
    """

    def __init__(self, schema: Schema, roles: Roles | None = None, start: int = 0) -> None:
        self._schema = schema
        self._roles = roles
        self._zeros = 0  # records of zeros at the end of what was seen
        self._doubted: tuple[int, int] | None = None  # offset and index of the first implausible
        self.records = 0
        self.end = start

    def feed(self, columns: Columns, end: int) -> None:
        """See the next records; `end` is the offset behind them."""
        count = len(columns)
        if self._roles is not None and self._doubted is None:
            first = first_implausible(self._roles, columns)
            if first is not None:
                offset = self.end + size_of(self._schema, columns, first)
                self._doubted = offset, self.records + first
        zeros = _trailing_zero_records(self._schema, columns)
        self._zeros = zeros + (self._zeros if zeros == count else 0)
        self.records += count
        self.end = end

    def status(self, size: int) -> TailStatus:
        """The state of the end of `size` bytes, all whole records of which were seen."""
        # An all-zero record has only empty texts, so it is of the least size.
        start = self.end - self._zeros * self._schema.min_size
        doubted = self._zeros
        if self._doubted is not None:
            offset, index = self._doubted
            # Zeros start at a page, so in the middle of a record, which then is doubted as well.
            if not self._zeros or index < self.records - self._zeros - 1:
                return TailStatus("implausible", offset, size - offset, self.records - index)
            start, doubted = offset, self.records - index
        if doubted:
            return TailStatus("zero", start, size - start, doubted)
        return TailStatus("torn", start, size - start) if size > start else CLEAN


def tail_status(
    schema: Schema, columns: Columns, size: int, roles: Roles | None = None
) -> TailStatus:
    """The state of the end of `size` bytes of which `columns` is what could be parsed.

    Args:
        schema: the declaration of one record.
        columns: the whole records.
        size: bytes of the data.
        roles: the fields by which a record is judged; None: nothing is implausible.
    """
    watch = TailWatch(schema, roles)
    watch.feed(columns, columns.end)
    return watch.status(size)


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
