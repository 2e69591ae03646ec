"""The declared formats by name: the table that the schemas, the specification and the tools read.

Guarantees: `FORMATS` lists each format once. A format added here gets a Kaitai schema, a
specification table and support in the command line.
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
        name: one word; also its file name without the suffix.
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
                "file metrics.bin. It has no header, count or checksum.",
            ),
        )
    }
)
"""Every format, by name."""
