"""Fields as members of C-like structs, for the notations that have those.

Guarantees: a member takes the bytes that its field takes, so that all later ones are in their
places. A nested Struct, labels, and a text with a length have a type of their own, which comes
before the one that uses it; two types never have one name. What a notation lacks raises
`UnsupportedSchema`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from formats.descriptions.names import field_names
from formats.errors import UnsupportedSchema
from formats.kinds.base import Checked, Kind, Padding, RawBytes
from formats.kinds.composed import Array, Group
from formats.kinds.numbers import Enum, Flag, Flags, Number
from formats.kinds.texts import LengthPrefixed, PaddedText, PascalText
from formats.schema import Schema, named


class Member(NamedTuple):
    """What a field is in a struct.

    Attributes:
        type: the name of its type.
        times: how many of it there are; empty if it is one.
    """

    type: str
    times: str = ""


@dataclass(frozen=True)
class Notation:
    """What differs between the notations.

    Attributes:
        name: for errors.
        reserved, reserved_labels: the words that no field, or no label, may be.
        number: a number's type.
        text: the name of the type of a text, or of bytes, with this length.
        line: a field of a struct, from its kind, name, doc and member.
        flag, byte, padding: the types of a flag, a byte, and a byte without a meaning.
    """

    name: str
    reserved: frozenset[str]
    reserved_labels: frozenset[str]
    number: Callable[[Number], str]
    text: Callable[[LengthPrefixed], str]
    line: Callable[[Kind, str, str, Member], str]
    flag: str
    byte: str
    padding: str


@dataclass
class Types:
    """The types that fields need, as they are found: each has a name, and its lines of text."""

    notation: Notation
    declared: dict[str, list[str]] = field(default_factory=dict)

    def lines(
        self, parts: Iterable[tuple[str, Kind, str]], prefix: str = ""
    ) -> list[tuple[str, str]]:
        """The fields of a struct: each its name as the notation has it, and its line.

        Args:
            parts: their names, kinds and docs.
            prefix: of the names of their types.
        """
        notation, parts = self.notation, list(parts)
        names = field_names((n for n, *_ in parts), notation.reserved, notation=notation.name)
        found = []
        for name, kind, doc in parts:
            try:
                if not name.isascii():
                    raise UnsupportedSchema(f"{notation.name} has only names of ASCII characters")
                member = self.member(kind, prefix + name)
            except UnsupportedSchema as error:
                raise named(name, error) from None
            found.append((names[name], notation.line(kind, names[name], doc, member)))
        return found

    def fields(self, schema: Schema, prefix: str = "") -> list[tuple[str, str]]:
        """The fields of a schema; see `lines`."""
        return self.lines(((f.name, f.kind, f.doc) for f in schema), prefix)

    def member(self, kind: Kind, name: str) -> Member:
        """What a field of this kind is; the name is that of its type, if it needs one."""
        notation = self.notation
        if isinstance(kind, Checked):
            return self.member(kind.kind, name)
        if isinstance(kind, Number):
            return Member(notation.number(kind))
        if isinstance(kind, Flags):
            return Member(notation.number(kind.number))
        if isinstance(kind, Flag):
            return Member(notation.flag)
        if isinstance(kind, PaddedText):
            return Member("char", str(kind.width))
        if isinstance(kind, RawBytes | Padding):
            is_raw = isinstance(kind, RawBytes)
            return Member(notation.byte if is_raw else notation.padding, str(kind.width))
        if isinstance(kind, Array):
            return self._array(kind, name)
        return Member(self._type(kind, name))

    def _array(self, kind: Array, name: str) -> Member:
        item = self.member(kind.item, name)
        if item.times:
            raise UnsupportedSchema(f"{self.notation.name} has no array of arrays here")
        return Member(item.type, str(kind.count))

    def _type(self, kind: Kind, name: str) -> str:
        """Declare the type of a kind that needs one; its name."""
        notation = self.notation
        if isinstance(kind, LengthPrefixed):
            own = notation.text(kind)
            item = "char" if kind.is_text else notation.byte
            return self._declare(own, self._sized(own, kind.length, Member(item, "len")))
        if isinstance(kind, PascalText):
            room = Member("char", str(kind.width - kind.length.width))
            own = f"{name}_type"
            return self._declare(own, self._sized(own, kind.length, room))
        if isinstance(kind, Enum):
            own = f"{name}_label"
            labels = [f"    {label} = {value}," for label, value in self._labels(kind).items()]
            lines = [f"enum {own} : {notation.number(kind.number)} {{", *labels, "};"]
            return self._declare(own, lines)
        if isinstance(kind, Group):
            return self._group(kind, name)
        raise UnsupportedSchema(f"{notation.name} has no {kind.type_name}")

    def _labels(self, kind: Enum) -> dict[str, int]:
        """The values by label, as the notation has it."""
        labels: dict[str, int] = {}
        for label, value in kind.labels:
            if not label.isascii() or not label.isidentifier() or label.startswith("_"):
                raise UnsupportedSchema(f"labels need plain names, not {label!r}")
            own = f"{label}_label" if label in self.notation.reserved_labels else label
            if labels.setdefault(own, value) is not value:
                raise UnsupportedSchema(f"two labels would be {own!r}; rename one")
        return labels

    def _group(self, kind: Group, name: str) -> str:
        parts = ((part.name or f"_{at}", part.kind, part.doc) for at, part in enumerate(kind.parts))
        own = f"{name}_type"
        return self._declare(own, struct(own, (line for _, line in self.lines(parts, f"{name}_"))))

    def _sized(self, own: str, length: Number, value: Member) -> list[str]:
        size = f"{self.notation.number(length)} len;"
        return struct(own, [size, f"{value.type} value[{value.times}];"])

    def _declare(self, name: str, lines: list[str]) -> str:
        if self.declared.setdefault(name, lines) != lines:
            raise UnsupportedSchema(f"two types are called {name!r}; rename the field")
        return name


def struct(name: str, lines: Iterable[str]) -> list[str]:
    """The lines of a struct."""
    return [f"struct {name} {{", *(f"    {line}" for line in lines), "};"]
