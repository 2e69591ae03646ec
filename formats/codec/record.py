"""A fast codec for single values, compiled from a declaration.

Guarantees: `parse` and `build` give the same results as the declaration's own `construct` methods,
for every value and every truncated prefix, but many times faster; invalid input raises a
`FormatError` that names the field (and, for bytes, its offset); a value is built completely or not
at all.

Both functions are generated (see `source`). The generated code is only the fast path: if it fails,
the fields are processed again, one by one, to find the reason.
"""

from __future__ import annotations

import copy
import struct
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from formats.codec.source import TEXT, TEXT_OF_BYTES, build_source, parse_source
from formats.codec.values import coerce
from formats.errors import FormatError, TruncatedError
from formats.schema import Schema
from formats.walk import flat, read_value, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from formats.codec.batch import BatchBuilder
    from formats.columns.types import Columns

    Buffer = bytes | bytearray | memoryview

Value = TypeVar("Value")

_FEW = 1 << 14  # up to this many bytes, a loop over records is faster than importing NumPy


class Parse(Protocol):
    """`RecordCodec.parse`."""

    def __call__(self, data: Buffer, offset: int = 0) -> tuple[dict[str, Any], int]:
        """Values by field name, and the offset of the end."""
        ...


class Build(Protocol):
    """`RecordCodec.build`."""

    def __call__(self, **values: Any) -> bytes:
        """The bytes of one value."""
        ...


class RecordCodec:
    """Parses and builds the values of one declaration.

    Args:
        declaration: a `construct` Struct, or a sequence of one (see `Schema.of`), whose records
            are then the values.

    Attributes:
        schema: the declaration as a list of fields.
        header: the codec of the header before the records, or None.
        parse: `parse(data, offset=0) -> (values by field name, offset of the end)`, from any
            C-contiguous buffer. Raises TruncatedError, UnsupportedVersionError, FormatError for
            any other bytes that the declaration refuses, or TypeError for any other buffer.
        build: `build(**values) -> bytes`. Constants and fields that may be absent have defaults.
            Numbers may be of any type that converts to the field's kind (NumPy scalars, arrays of
            one element); bools and strings are refused. Raises FieldValueError.

    Raises:
        UnsupportedSchema: the declaration has a field that is not supported; names the field.
    """

    parse: Parse
    build: Build
    _parse_any: Parse | None = None  # compiled when it is needed

    def __init__(self, declaration: Any) -> None:
        self.schema = Schema.of(declaration)
        self.header = None if self.schema.header is None else RecordCodec(self.schema.header)
        names: dict[str, Any] = {
            "_str": str,
            "_int": int,
            "_float": float,
            "_bytes": bytes,
            "_len": len,
            "_copy": copy.deepcopy,
            "_FormatError": FormatError,
            "_explain_bytes": self._explain_bytes,
            "_explain_values": self._explain_values,
            "_coerce": self._coerce,
            "_StructError": struct.error,
        }
        for number, run in enumerate(self.schema.runs):
            compiled = struct.Struct(run.format)
            names[f"_pack{number}"] = compiled.pack
            names[f"_unpack{number}"] = compiled.unpack_from
        for field in self.schema:
            names[f"_absent_{field.name}"] = field.default
            names[f"_constant_{field.name}"] = field.constant
            names[f"_written_{field.name}"] = field.written
            names[f"_decode_{field.name}"] = field.kind.decode
            names[f"_encode_{field.name}"] = field.encode
        self._names = names
        every = ", ".join(f"{f.name!r}: v_{f.name}" for f in self.schema.named)
        self._result = f"{{{every}}}, end"
        source = parse_source(self.schema, self._result, TEXT_OF_BYTES, "_parse_view")
        self.parse = self._compiled("parse", source, _parse_view=self._parse_view)
        self.build = self._compiled("build", build_source(self.schema))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.schema,)  # generated functions cannot be pickled

    def _compiled(self, name: str, source: Iterator[str], **names: Any) -> Any:
        title = f"<{name} of {', '.join(field.name for field in self.schema)}>"
        names |= self._names
        exec(compile("\n".join(source), title, "exec"), names)
        return names[name]

    def _parse_view(self, data: Any, offset: int) -> tuple[dict[str, Any], int]:
        """`parse` for any buffer but bytes."""
        if self._parse_any is None:
            source = parse_source(self.schema, self._result, TEXT)
            self._parse_any = self._compiled("parse", source)
        return self._parse_any(flat(data), offset)

    def parser(self, make: Callable[..., Value], *fields: str) -> Callable[[bytes], Value]:
        """A function that parses one value, and returns `make(*fields)` instead of a dict.

        It makes the same checks as `parse` and raises the same errors, but accepts only bytes.

        Args:
            make: called with the values of the fields.
            fields: names of fields, in the order of the arguments of `make`.

        Raises:
            KeyError: no such field.
        """
        for name in fields:
            if name not in (field.name for field in self.schema.named):
                raise KeyError(name)
        wanted = ", ".join(f"v_{name}" for name in fields)
        source = parse_source(self.schema, f"_make({wanted})", TEXT_OF_BYTES)
        return cast("Callable[[bytes], Value]", self._compiled("parse", source, _make=make))

    @property
    def dtype(self) -> Any:
        """The fixed-width part (numbers and length prefixes) as a packed NumPy dtype.

        The length prefix of a text is named `len_` plus the field name. Only the first run has
        these offsets in every record. Without texts, the dtype describes the complete record.
        """
        import numpy as np

        return np.dtype(
            [(f.length_name if f.is_variable else f.name, f.dtype) for f in self.schema]
        )

    def batch(
        self,
        texts: Sequence[Mapping[str, Any]],
        varying: str,
        build: Callable[..., bytes] | None = None,
    ) -> BatchBuilder:
        """A function that builds many records at once; see `formats.codec.batch.batch_builder`.

        Args:
            texts, varying: see there.
            build: builds one record; default: this codec's `build`.
        """
        from formats.codec.batch import batch_builder

        return batch_builder(self.schema, build or self.build, texts, varying)

    def parse_columns(self, data: Buffer) -> Columns:
        """All whole values of a sequence, as NumPy columns.

        Args:
            data: values one after another, as for `GreedyRange`.

        Returns:
            Columns by field name; `.end` is the offset of the end of the last whole value.

        Raises:
            UnsupportedSchema: a field may be absent, so a sequence cannot be split into values.
        """
        from formats.columns.parse import parse_columns

        return parse_columns(self.schema, data)

    def _coerce(self, *values: Any) -> tuple[Any, ...]:
        return tuple(coerce(f, v) for f, v in zip(self.schema.named, values, strict=True))

    def _explain_values(self, *values: Any) -> FormatError:
        """The error for values that have the right kinds but cannot be packed."""
        for field, value in zip(self.schema.named, values, strict=True):
            try:
                field.encode(value)
            except FormatError as error:
                return error
        raise AssertionError(f"packing failed, but every field is valid: {values!r}")

    def _explain_bytes(self, data: Buffer, offset: int) -> FormatError:
        """The error of the first field that cannot be parsed, for a value at `offset`."""
        for step in walk(self.schema, data, offset):
            if step.error is not None:
                return step.error
        raise AssertionError(f"parsing failed at byte {offset}, but every field is valid")


def whole_size(codec: RecordCodec, data: bytes, offset: int = 0) -> int:
    """The number of bytes of the header, if there is one, and whole records at the beginning.

    Args:
        codec: of the records.
        data: a part of a log, from the beginning or from the end of a record on.
        offset: where it begins in the log. A header, if one is declared, is expected at 0.

    Raises:
        FormatError: the header is not the declared one, or a whole record is refused.
    """
    schema = codec.schema.records if offset else codec.schema
    if len(data) > _FEW:
        return _many(schema, data, offset)
    schema.require_columns()
    end = 0
    if schema.header is not None:
        try:
            _, end = read_value(schema.header, data)
        except TruncatedError:
            return 0
    return _last_end(codec, data, end, offset)


def _many(schema: Schema, data: bytes, offset: int) -> int:
    if not schema.may_refuse:
        from formats.columns.starts import record_starts

        return int(record_starts(schema, data)[1])
    from formats.columns.parse import parse_columns

    columns = parse_columns(schema, data)
    if columns.error is not None:
        raise columns.error.at(offset=offset)
    return columns.end


def _last_end(codec: RecordCodec, data: bytes, start: int, offset: int) -> int:
    """The end of the last whole record."""
    steps = [
        (run.width, struct.Struct(run.text.format) if run.text is not None else None)
        for run in codec.schema.runs
    ]
    checked = codec.schema.may_refuse
    end = start
    while True:
        at = end
        for width, length in steps:
            at += width
            if length is not None and at <= len(data):
                at += length.unpack_from(data, at - length.size)[0]
        if at > len(data):
            return end
        if checked:
            try:
                codec.parse(data, end)
            except FormatError as error:
                raise error.at(offset=offset) from None
        end = at
