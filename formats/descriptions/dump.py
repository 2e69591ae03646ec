"""Annotated bytes as text: an offset, the bytes, and what they are.

Guarantees: every byte of every span is in exactly one row, and a span begins a new row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from formats.codec.spans import Span

ROW = 8
"""Bytes in a row: as wide as the widest number."""


@dataclass(frozen=True)
class Row:
    """A row of a dump: up to `ROW` bytes of one span.

    Attributes:
        span: what the bytes belong to.
        offset, data: the bytes of this row.
        heading: names the record that begins here; empty elsewhere.
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
        """The bytes in hexadecimal, padded to the width of a whole row."""
        return self.data.hex(" ").ljust(3 * ROW - 1)

    @property
    def ascii(self) -> str:
        """The bytes as ASCII, dots for what is not printable, padded."""
        return "".join(chr(b) if 32 <= b < 127 else "." for b in self.data).ljust(ROW)

    @property
    def what(self) -> str:
        """The span in words, in its first row; empty in the others."""
        return str(self.span) if self.offset == self.span.offset else ""

    @property
    def mark(self) -> str:
        """`!` where something is wrong, `?` where something should be doubted."""
        return "!" if self.span.error else "?" if self.span.note else " "

    def __str__(self) -> str:
        return f"{self.mark} {self.place}  {self.hex}  {self.ascii}  {self.what}".rstrip()


def rows(spans: Iterable[Span]) -> Iterator[Row]:
    """A dump's rows: each span begins a new one."""
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
    """The rows as text, each record under a heading."""
    return "\n".join(f"{row.heading}\n{row}" if row.heading else str(row) for row in rows(spans))
