"""The state of a log's end: what a parser of whole records drops or should doubt.

Guarantees: these checks never change what is read. A torn tail (the data ends inside a record) is
not corruption: a crash, or a writer in the middle of a write, leaves one. A zero tail is what a
power loss can leave on a journalling file system; a naive reader takes it for records. Implausible
records follow a torn one that others were appended to; they are misaligned, for a while or to the
end. So is a record that the declaration refuses, such as one with a wrong constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from formats.damage.plausible import (
    doubtful_before,
    first_implausible,
    has_usual_clocks,
    look_back,
    unit_of,
)
from formats.damage.recent import Recent
from formats.errors import counted
from formats.fields import Roles
from formats.schema import Schema

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from formats.columns.types import Columns


@dataclass(frozen=True)
class TailStatus:
    """The state of a log's end.

    Attributes:
        kind: `clean`; `torn`, the data ends inside a record; `zero`, only zeros; `implausible`,
            records that cannot be what was written.
        offset: the byte offset where that state begins, or None if clean.
        size: bytes from `offset` to the end.
        records: the number of doubtful records read from `offset` on.
    """

    kind: Literal["clean", "torn", "zero", "implausible"]
    offset: int | None = None
    size: int = 0
    records: int = 0

    @property
    def can_be_cut(self) -> bool:
        """Whether cutting it leaves a well-formed log: no whole record follows it."""
        return self.kind in {"torn", "zero"}

    def __bool__(self) -> bool:
        return self.kind == "clean"

    def __str__(self) -> str:
        if self.kind == "clean":
            return "clean"
        if self.kind == "implausible":
            what = f"implausible from byte {self.offset} on"
            return f"{what} ({counted(self.records, 'record')}, {counted(self.size, 'byte')})"
        what = f"{self.kind} tail of {counted(self.size, 'byte')} at byte {self.offset}"
        return what + (f" ({counted(self.records, 'record')} of zeros)" if self.records else "")


CLEAN = TailStatus("clean")


class TailWatch:
    """Examines a log's records as they are parsed, part by part, in constant memory.

    The parts are of one parser, so that a text has one code; see `Recent.forget`.

    Args:
        declaration: of the records; or its Schema.
        roles: the clock, counter and label fields; None: no record is implausible.
        start: the offset of the first record that will be fed.

    Attributes:
        records: whole records seen.
        end: the offset after them.
        recent: the last of them; None without roles.
    """

    def __init__(self, declaration: Any, roles: Roles | None = None, start: int = 0) -> None:
        self._schema = Schema.of(declaration)
        self._roles = roles
        self._zeros = 0  # all-zero records at the end of those seen
        self._doubted: tuple[int, int] | None = None  # offset and index of the first implausible
        self._unit: int | None = None  # of the first record's clock
        self._is_refused = False  # the record after the last is
        self._recent: Recent | None = None
        self.records = 0
        self.end = start

    @property
    def recent(self) -> Recent | None:
        """See the class; made when it is first needed, which it is not in a log of one part."""
        if self._recent is None and self._roles is not None:
            self._recent = Recent(self._schema, self._roles)
        return self._recent

    def feed(self, columns: Columns, end: int, *, more: bool = True) -> None:
        """Examine the next records.

        Args:
            columns: the records.
            end: the offset after them.
            more: whether others may follow.
        """
        count = columns.seen
        if count:
            roles, zeros = self._roles, 0
            if not _is_usual(roles, columns):
                if roles is not None and self._doubted is None:
                    self._doubt(roles, columns, end)
                zeros = _trailing_zero_records(self._schema, columns)
            self._zeros = zeros + (self._zeros if zeros == count else 0)
        self._is_refused = columns.error is not None
        self.records += count
        self.end = end
        if more and self._doubted is None and self.recent is not None:
            self.recent.add(columns)

    def _doubt(self, roles: Roles, columns: Columns, end: int) -> None:
        """Remember the first implausible record, if there is one among those fed now."""
        if not self.records and roles.label is None:
            self._unit = unit_of(int(columns[roles.clock][0]))
        first = first_implausible(roles, columns, self._unit)
        if first is None or self.recent is None:
            return
        from formats.columns.ends import record_ends

        most = look_back(roles)
        inside = doubtful_before(roles, columns, first, self.recent.known, most)
        before = self.recent.doubtful(most - inside) if inside == first else []
        first -= inside
        start = end - (columns.end - columns.start)  # there may be a header before it
        ends = record_ends(self._schema, columns) - columns.start
        offset = start + (int(ends[first - 1]) if first else -sum(before))
        self._doubted = offset, self.records + first - len(before)

    def status(self, size: int, *, only_zeros: bool = False) -> TailStatus:
        """The state of the end of `size` bytes, all of whose whole records were fed.

        Args:
            size: in bytes.
            only_zeros: whether all bytes after the last record are zero; matters only where a
                record was refused.
        """
        # An all-zero record has only empty texts, so it has the minimum size.
        start = self.end - self._zeros * self._schema.min_size
        doubted = self._zeros
        if self._doubted is not None:
            offset, index = self._doubted
            # Zeros start at a page, so usually inside a record, which is then doubtful as well.
            if not self._zeros or index < self.records - self._zeros - 1:
                return TailStatus("implausible", offset, size - offset, self.records - index)
            start, doubted = offset, self.records - index
        if self._is_refused and not only_zeros:
            return TailStatus("implausible", self.end, size - self.end)
        if doubted or self._is_refused:
            return TailStatus("zero", start, size - start, doubted)
        return TailStatus("torn", start, size - start) if size > start else CLEAN


def tail_status(
    declaration: Any, columns: Columns, size: int, roles: Roles | None = None
) -> TailStatus:
    """The state of the end of `size` bytes, of which `columns` is what was parsed.

    Args:
        declaration: of the records; or its Schema.
        columns: the whole records.
        size: size of the data in bytes.
        roles: the clock, counter and label fields; None: no record is implausible.
    """
    is_whole = columns.end == size and columns.error is None
    if is_whole and columns.count and _is_usual(roles, columns):
        return CLEAN  # as nearly always
    watch = TailWatch(declaration, roles, columns.start)
    watch.feed(columns, columns.end, more=False)
    return watch.status(size)


def _is_usual(roles: Roles | None, columns: Columns) -> bool:
    """Whether the clocks show that no record is doubtful; of at least one record."""
    return roles is not None and roles.label is not None and has_usual_clocks(roles, columns)


def _trailing_zero_records(schema: Schema, columns: Columns) -> int:
    """How many records at the end are all zeros; checking one is nearly always enough."""
    count = columns.count
    if any(_is_not_zero(columns[f.name]) for f in schema if f.is_column):
        return 0
    if not _zeros(schema, columns, count - 1).all():
        return 0
    differs = ~_zeros(schema, columns, 0)
    return int(differs[::-1].argmax()) if differs.any() else count


def _is_not_zero(column: Any) -> bool:
    """Whether the last item is a number other than zero, which nearly always decides."""
    last = column[-1:].tolist()[0]
    return isinstance(last, int | float) and bool(last)


def _zeros(schema: Schema, columns: Columns, start: int) -> NDArray[np.bool_]:
    """For each record from `start` on, whether all its bytes are zero."""
    from formats.columns.wire import zeros

    all_zero: Any = True
    for field in schema:
        if not field.is_column:
            continue
        column = columns[field.name]
        if field.is_variable:
            # An all-zero text is empty; each distinct text has one code.
            empty = column.raw.index(b"") if b"" in column.raw else -1
            all_zero = all_zero & (column.codes[start:] == empty)
        else:
            all_zero = all_zero & zeros(field.kind, column[start:])
    return cast("NDArray[np.bool_]", all_zero)
