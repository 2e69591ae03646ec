"""An annotated hex dump: offsets, bytes, and what the bytes mean.

Guarantees: every byte of every span is in exactly one row; each span begins a new row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from formats.codec.spans import Span

ROW = 8
"""Bytes per row: the width of the widest number."""


@dataclass(frozen=True)
class Row:
    """A row of a dump: up to `ROW` bytes of one span.

    Attributes:
        span: the span that the bytes belong to.
        offset, data: the bytes of this row.
        heading: the heading of the record that begins here; otherwise empty.
    """

    span: Span
    offset: int
    data: bytes
    heading: str = ""

    @property
    def place(self) -> str:
        """The offset, in hexadecimal."""
        return f"{self.offset:08x}"

    @property
    def hex(self) -> str:
        """The bytes in hexadecimal, padded to the width of a full row."""
        return self.data.hex(" ").ljust(3 * ROW - 1)

    @property
    def ascii(self) -> str:
        """The bytes as ASCII, with dots for unprintable ones, padded."""
        return "".join(chr(b) if 32 <= b < 127 else "." for b in self.data).ljust(ROW)

    @property
    def what(self) -> str:
        """A description of the span in its first row; empty in its other rows."""
        return str(self.span) if self.offset == self.span.offset else ""

    @property
    def mark(self) -> str:
        """`!` for errors, `?` for doubtful bytes, otherwise a space."""
        return "!" if self.span.error else "?" if self.span.note else " "

    def __str__(self) -> str:
        return f"{self.mark} {self.place}  {self.hex}  {self.ascii}  {self.what}".rstrip()


def rows(spans: Iterable[Span]) -> Iterator[Row]:
    """The rows of a dump."""
    record = None
    for span in spans:
        heading = ""
        if span.index is not None and span.index != record:
            heading = f"record {span.index}" + (f": {span.note}" if span.note else "")
        record = span.index
        for start in range(0, max(len(span.data), 1), ROW):
            yield Row(span, span.offset + start, span.data[start : start + ROW], heading)
            heading = ""


def dump(spans: Iterable[Span]) -> str:
    """The dump as text, each record under a heading."""
    return "\n".join(f"{row.heading}\n{row}" if row.heading else str(row) for row in rows(spans))
