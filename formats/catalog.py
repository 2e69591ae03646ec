"""The declared formats by name: the table that the schemas, the specification and the tools read.

Guarantees: `FORMATS` lists each format once. A format added here gets a Kaitai schema, a
specification table and support in the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from formats.codec.record import RecordCodec
from formats.errors import UnsupportedSchema
from formats.fields import Roles
from formats.kinds.numbers import Number
from formats.kinds.value import Value
from formats.meta import META
from formats.metrics import METRICS, ROLES
from formats.schema import Schema


class Format(Value):
    """A declared format.

    Attributes:
        name: one word; also its file name without the suffix.
        declaration: the `construct` object.
        title: what it holds, as a heading.
        doc: what it holds, as a paragraph.
        roles: the fields by which damage in a log is recognised; None: only by what the declaration
            refuses.
    """

    name: str
    declaration: Any
    title: str = ""
    doc: str = ""
    roles: Roles | None = None

    @classmethod
    def of(cls, declaration: Any, roles: Roles | None = None) -> Format:
        """A declaration as a format; one that is a Format already is returned as it is.

        Args:
            declaration: the declaration, or its Format.
            roles: for one that has none.

        Raises:
            UnsupportedSchema: see `Schema.of`; or a role is not that of a fitting field.
        """
        if isinstance(declaration, Format):
            if roles is None or declaration.roles is not None:
                return declaration
            own = declaration.declaration, declaration.title, declaration.doc
            return cls(declaration.name, *own, roles)
        format = cls(getattr(declaration, "name", None) or "log", declaration, roles=roles)
        format.check_roles()
        return format

    @cached_property
    def schema(self) -> Schema:
        """The declaration as a list of fields."""
        return Schema.of(self.declaration)

    @cached_property
    def codec(self) -> RecordCodec:
        """Parses and builds single values; of a sequence, its records."""
        return RecordCodec(self.schema)

    def check_roles(self) -> None:
        """Check that each role is that of a field which can have it.

        Raises:
            UnsupportedSchema: it is not; names the role and the field.
        """
        roles = self.roles or Roles("")
        fields = {field.name: field for field in self.schema.named}
        for role, name in (("clock", roles.clock), ("counter", roles.counter)):
            if not name:
                continue
            kind = fields[name].kind if name in fields else None
            if not isinstance(kind, Number) or kind.is_float or not kind.is_raw:
                raise UnsupportedSchema(
                    f"the {role} must be an integer of 1, 2, 4 or 8 bytes", field=name
                )
        if roles.label and not (roles.label in fields and fields[roles.label].is_variable):
            raise UnsupportedSchema("the label must be a text with a length", field=roles.label)


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
                ROLES,
            ),
        )
    }
)
"""Every format, by name."""
