"""The declared formats by name: the one table that the schemas, the specification and the tools
read.

Guarantees: `FORMATS` lists each format once; adding one here gives it a Kaitai schema, a table in
the specification and a place in the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from formats.meta import META
from formats.metrics import METRICS
from formats.schema import Schema


@dataclass(frozen=True)
class Format:
    """A declared format.

    Attributes:
        name: one word; also the name of its file, without the suffix.
        declaration: the `construct` object.
        title: what it holds, as a heading.
        doc: what it holds, as a paragraph.
    """

    name: str
    declaration: Any
    title: str
    doc: str

    @cached_property
    def schema(self) -> Schema:
        """The declaration as a list of fields."""
        return Schema.of(self.declaration)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        format.name: format
        for format in (
            Format(
                "meta",
                META,
                "Experiment metadata",
                "Describes one experiment of an experiment store: the file meta.bin.",
            ),
            Format(
                "metrics",
                METRICS,
                "Experiment metrics",
                "The data points of one experiment, in the order in which they were logged: the "
                "file metrics.bin. There is no header, no count and no checksum.",
            ),
        )
    }
)
"""Each format by its name."""
