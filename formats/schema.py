"""A declaration as a list of fields, read from `construct`'s classes.

Guarantees: `Schema.of` lists a Struct's fields in order, by walking its subcons, or raises
`UnsupportedSchema` naming the field it cannot express. Every derived part (scalar codec, columns,
Kaitai schema, specification table) is built from this list alone. What the bytes of a field mean is
its kind (`formats.kinds`).

The list is split into *runs*: fixed-width fields up to and including the length prefix of the next
text. Within a run every offset is known; a text of variable length can only come at its end.
"""

from __future__ import annotations

import keyword
import struct
import unicodedata
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from construct import Construct, GreedyRange, Struct

from formats.errors import FormatError, UnsupportedSchema
from formats.kinds.base import Constant, Kind, OfKind
from formats.kinds.declared import Declared, declared, refuse, unnamed
from formats.kinds.texts import LengthPrefixed
from formats.kinds.value import Value


class Field(OfKind, Value):
    """One declared field.

    Attributes:
        name, doc: as declared. A field without a name has one that begins with `_`.
        kind: what its bytes mean.
        default: the value if the data ends before the field; None if the field is required.
        written: the value built if none is given; None if there is none.
    """

    name: str
    doc: str
    kind: Kind
    default: Any = None
    written: Any = None

    @property
    def format(self) -> str:
        """The `struct` format, with byte order, of the fixed-width part."""
        return self.order + self.code

    @cached_property
    def is_variable(self) -> bool:
        """Whether the field is a length prefix, then that many bytes or a text of that many."""
        return isinstance(self.kind, LengthPrefixed)

    @cached_property
    def is_text(self) -> bool:
        """Whether the field is a length prefix, then that many bytes of UTF-8."""
        return isinstance(self.kind, LengthPrefixed) and self.kind.is_text

    @property
    def length_name(self) -> str:
        """The name of a text's length prefix, where it needs one."""
        return f"len_{self.name}"

    @cached_property
    def has_name(self) -> bool:
        """Whether the declaration names it; otherwise it is not among the values."""
        return not self.name.startswith("_")

    @cached_property
    def is_column(self) -> bool:
        """Whether its values make a column: it has a name, and values."""
        return self.has_name and self.kind.has_value

    @property
    def is_required(self) -> bool:
        """Whether a value must be given to build it."""
        return self.kind.needs_value and self.default is None and self.written is None

    @property
    def constant(self) -> Any:
        """The only value allowed, or None."""
        return self.kind.value if isinstance(self.kind, Constant) else None

    @property
    def is_version(self) -> bool:
        """Whether `constant` is the format's version."""
        return isinstance(self.kind, Constant) and self.kind.is_version

    def encode(self, value: Any) -> Any:
        """What `struct` packs, or the bytes after a length prefix; errors name the field."""
        if value is None and self.written is not None:
            value = self.written
        try:
            return self.kind.encode(value)
        except FormatError as error:
            raise named(self.name, error) from None


def named(name: str, error: FormatError) -> FormatError:
    """The error with the field's name, in front of that of the part inside it."""
    inner = error.field or ""
    error.field = name + (inner if inner.startswith("[") or not inner else f".{inner}")
    return error


class Run(Value):
    """Consecutive fixed-width fields of one byte order; the last may be a text's length prefix."""

    fields: tuple[Field, ...]

    @property
    def format(self) -> str:
        """The `struct` format of the whole run."""
        return self.fields[0].order + "".join(field.code for field in self.fields)

    @cached_property
    def width(self) -> int:
        """Size of the run in bytes, without the text."""
        return struct.calcsize(self.format)

    @property
    def text(self) -> Field | None:
        """The text or bytes that follow the run, or None at the end of the declaration."""
        return self.fields[-1] if self.fields[-1].is_variable else None


class Schema(Value):
    """A declaration as a list of fields.

    Attributes:
        fields: in the order of their bytes; of a sequence, those of one record.
        is_sequence: whether values repeat to the end of the data (`GreedyRange`).
        header: what comes once before the records of a sequence, or None.
        header_name: the name of the header's Struct; empty if its fields are declared beside the
            records.
        records_name: the name of the records, where there is a header; otherwise empty.
    """

    fields: tuple[Field, ...]
    is_sequence: bool = False
    header: Schema | None = None
    header_name: str = ""
    records_name: str = ""

    @classmethod
    def of(cls, declaration: Any) -> Schema:
        """Read a Struct, the Struct inside a GreedyRange, or a header before such records.

        Anything that has been read already, a Schema or a Format, is accepted as well.

        Raises:
            UnsupportedSchema: the declaration is neither, or has a field that cannot be expressed.
        """
        if isinstance(declaration, Schema):
            return declaration
        if isinstance(schema := getattr(declaration, "schema", None), Schema):
            return schema
        if not isinstance(declaration, Construct):
            kind = type(declaration).__name__
            raise UnsupportedSchema(f"expected a declaration of construct, got {kind}")
        declaration = unnamed(declaration)
        if type(declaration) is GreedyRange:
            return cls(_fields(_elements(declaration)), True)
        if type(declaration) is not Struct:
            raise refuse("is not a Struct", declaration)
        *before, last = [None, *declaration.subcons]
        if before[1:] and type(records := unnamed(last)) is GreedyRange:
            return _with_header(before[1:], last.name or "", records)
        return cls(_fields(declaration))

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __hash__(self) -> int:
        return self._hash  # what is derived from a schema is kept by it, and asked for at each call

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(field.name for field in self.fields))  # of kinds, not all can be hashed

    def __getitem__(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The fields, split after each text, before each field that may be absent, and where the
        byte order changes."""
        runs: list[list[Field]] = []
        for field in self.fields:
            if (
                not runs
                or runs[-1][-1].is_variable
                or field.default is not None
                or field.order != runs[-1][-1].order
            ):
                runs.append([])
            runs[-1].append(field)
        return tuple(Run(tuple(run)) for run in runs)

    @cached_property
    def named(self) -> tuple[Field, ...]:
        """The fields that are among the values."""
        return tuple(field for field in self.fields if field.has_name)

    @cached_property
    def texts(self) -> tuple[Field, ...]:
        """The fields of variable length: texts, and bytes with a length."""
        return tuple(field for field in self.fields if field.is_variable)

    @cached_property
    def min_size(self) -> int:
        """Size in bytes of the shortest whole value: optional fields absent, texts empty."""
        return sum(field.width for field in self.fields if field.default is None)

    @cached_property
    def max_size(self) -> int:
        """Size in bytes of the longest whole value."""
        longest = sum(int(field.range[1]) for field in self.texts)
        return sum(field.width for field in self.fields) + longest

    @cached_property
    def records(self) -> Schema:
        """The records alone, without the header before them."""
        return self if self.header is None else Schema(self.fields, self.is_sequence)

    @cached_property
    def may_refuse(self) -> bool:
        """Whether some bytes of the right size are no value, such as a wrong constant."""
        return any(field.kind.may_refuse for field in self.fields)

    def require_columns(self) -> None:
        """Raise UnsupportedSchema if a field may be absent, or there is no named field."""
        if not any(field.is_column for field in self.fields):
            raise UnsupportedSchema("a declaration without a named field has no columns")
        for field in self.fields:
            if field.default is not None:
                raise UnsupportedSchema("may be absent, so it cannot be a column", field=field.name)


def _elements(sequence: Any) -> Any:
    """The Struct that a GreedyRange repeats."""
    element = unnamed(sequence.subcon)
    if type(element) is not Struct:
        raise refuse("is not a Struct", element)
    if sequence.discard:
        raise refuse("discards its values", sequence)
    return element


def _fields(declaration: Any) -> tuple[Field, ...]:
    return _checked([_field(subcon, at) for at, subcon in enumerate(declaration.subcons)])


def _with_header(before: list[Any], name: str, records: Any) -> Schema:
    """Fields, or a Struct of fields, before a sequence of records."""
    if not _is_plain(name):
        raise UnsupportedSchema("the records after a header need a plain name", field=name)
    header_name = ""
    if len(before) == 1 and type(inner := unnamed(before[0])) is Struct:
        header_name = before[0].name or ""
        if not _is_plain(header_name) or header_name == name:
            raise UnsupportedSchema("a header needs a plain name", field=header_name)
        before = inner.subcons
    header = Schema(_checked([_field(subcon, at) for at, subcon in enumerate(before)]))
    for field in header:
        if field.default is not None:
            raise UnsupportedSchema("may be absent, so nothing can follow it", field=field.name)
        if not header_name and field.name == name:
            raise UnsupportedSchema("declared twice", field=name)
    return Schema(_fields(_elements(records)), True, header, header_name, name)


def _checked(fields: list[Field]) -> tuple[Field, ...]:
    """The fields, if each has a name of its own and none follows one that may be absent."""
    if not fields:
        raise UnsupportedSchema("a Struct without fields takes no bytes")
    for position, field in enumerate(fields):
        if field.name in (earlier.name for earlier in fields[:position]):
            raise UnsupportedSchema("declared twice", field=field.name)
        if field.name in (text.length_name for text in fields if text.is_variable):
            raise UnsupportedSchema("clashes with the length of a text", field=field.name)
        if field.default is None and position and fields[position - 1].default is not None:
            raise UnsupportedSchema("follows a field that may be absent", field=field.name)
    return tuple(fields)


def _field(subcon: Any, position: int) -> Field:
    """One subcon of a Struct."""
    name = subcon.name
    if name is not None and not _is_plain(name):
        raise UnsupportedSchema("a field needs a plain name", field=str(name))
    try:
        found: Declared = declared(subcon)
    except UnsupportedSchema as error:
        raise (named(name, error) if name else error) from None
    return Field(name or f"_{position}", found.doc, found.kind, found.absent, found.default)


def _is_plain(name: str) -> bool:
    """Whether a name can be a parameter, unchanged: Python normalises identifiers by NFKC."""
    return (
        name.isidentifier()
        and not keyword.iskeyword(name)
        and not name.startswith("_")
        and unicodedata.normalize("NFKC", name) == name
    )
