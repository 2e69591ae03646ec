"""A fast codec for single values, compiled from a declaration.

Guarantees: `parse` and `build` give the same results as the declaration's own `construct` methods,
for every value and every truncated prefix, but many times faster; invalid input raises a
`FormatError` that names the field (and, for bytes, its offset); a value is built completely or not
at all.

Both functions are generated as source, as `dataclasses` generates `__init__`, with one `struct`
call per run (see `formats.schema`). Field names are checked to be plain identifiers, and nothing
else from the declaration enters the source. The generated code is only the fast path: if it fails,
the fields are processed again, one by one, to find the reason.
"""

from __future__ import annotations

import copy
import struct
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from formats.codec.values import coerce, is_plain
from formats.errors import FormatError, TruncatedError
from formats.fields import ENCODING, ERRORS
from formats.schema import Field, Run, Schema
from formats.walk import flat, read_value, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from formats.codec.batch import BatchBuilder
    from formats.columns.types import Columns

    Buffer = bytes | bytearray | memoryview

Value = TypeVar("Value")

_FEW = 1 << 14  # up to this many bytes, a loop over records is faster than importing NumPy

# Expressions that decode the text in `data[start:end]`.
_TEXT = f"_str(data[start:end], {ENCODING!r}, {ERRORS!r})"  # for any buffer
_TEXT_OF_BYTES = f"data[start:end].decode({ENCODING!r}, {ERRORS!r})"  # faster, for bytes only
_BYTES = "_bytes(data[start:end])"
_VALUES = (int, float, str, bytes, bool)  # immutable: shared by all who get them


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

    def __init__(self, declaration: Any) -> None:
        self.schema = Schema.of(declaration)
        self.header = None if self.schema.header is None else RecordCodec(self.schema.header)
        names: dict[str, Any] = {
            "_str": str,
            "_int": int,
            "_float": float,
            "_bytes": bytes,
            "_len": len,
            "_flat": flat,
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
        self.parse = self._compiled("parse", _parse_source(self.schema, f"{{{every}}}, end", _TEXT))
        self.build = self._compiled("build", _build_source(self.schema))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.schema,)  # generated functions cannot be pickled

    def _compiled(self, name: str, source: Iterator[str], **names: Any) -> Any:
        title = f"<{name} of {', '.join(field.name for field in self.schema)}>"
        names |= self._names
        exec(compile("\n".join(source), title, "exec"), names)
        return names[name]

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
        source = _parse_source(self.schema, f"_make({wanted})", _TEXT_OF_BYTES)
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

    def batch(self, texts: Sequence[Mapping[str, Any]], varying: str) -> BatchBuilder:
        """A function that builds many records at once; see `formats.codec.batch.batch_builder`."""
        from formats.codec.batch import batch_builder

        return batch_builder(self.schema, self.build, texts, varying)

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


def _parse_source(schema: Schema, result: str, text: str) -> Iterator[str]:
    """The source of a function that parses one value.

    Args:
        schema: the declaration.
        result: the expression to return, in terms of the fields' values `v_<field>`.
        text: an expression that decodes the text in `data[start:end]`.
    """
    yield "def parse(data, offset=0):"
    yield "    if offset < 0: raise ValueError(f'offset {offset} is negative')"
    if text is not _TEXT_OF_BYTES:
        yield "    if data.__class__ is not _bytes: data = _flat(data)"
    yield "    size = _len(data)"
    yield "    try:"
    indent = "        "
    yield f"{indent}end = offset"
    for number, run in enumerate(schema.runs):
        first = run.fields[0]
        if first.default is not None:
            yield f"{indent}if end == size:"
            absent = f"_absent_{first.name}"
            copied = absent if isinstance(first.default, _VALUES) else f"_copy({absent})"
            yield f"{indent}    v_{first.name} = {copied}"
            yield f"{indent}else:"
            yield from _parse_run(number, run, indent + "    ", text)
        else:
            yield from _parse_run(number, run, indent, text)
    yield "    except (_StructError, IndexError, _FormatError):"
    yield "        raise _explain_bytes(data, offset) from None"
    yield "    if end > size:"
    yield "        raise _explain_bytes(data, offset)"
    yield f"    return {result}"


def _parse_run(number: int, run: Run, indent: str, text: str) -> Iterator[str]:
    if run.format[1:] == "B":
        # For a single byte, such as the length of a text after another text, indexing is faster.
        yield f"{indent}v_{run.fields[0].name} = data[end]"
    else:
        targets = ", ".join(f"v_{field.name}" for field in run.fields)
        yield f"{indent}{targets}, = _unpack{number}(data, end)"
    for field in run.fields:
        if field.is_variable:
            continue
        if not field.kind.is_raw:
            yield f"{indent}v_{field.name} = _decode_{field.name}(v_{field.name})"
        elif field.constant is not None:
            yield f"{indent}if v_{field.name} != _constant_{field.name}:"
            yield f"{indent}    raise _explain_bytes(data, offset)"
    if run.text is None:
        yield f"{indent}end += {run.width}"
    else:
        name = f"v_{run.text.name}"
        yield f"{indent}start = end + {run.width}"
        yield f"{indent}end = start + {name}"
        # A slice beyond the end is short, which the check of `end` after the last run detects.
        yield f"{indent}{name} = {text if run.text.is_text else _BYTES}"


def _build_source(schema: Schema) -> Iterator[str]:
    def parameter(field: Field) -> str:
        if field.constant is not None:
            return f"{field.name}=_constant_{field.name}"
        if field.default is not None:
            return f"{field.name}=_absent_{field.name}"
        return field.name + ("" if field.is_required else f"=_written_{field.name}")

    def check(field: Field) -> str:
        if field.constant is not None:
            return f"{field.name} == _constant_{field.name}"
        kind = "_str" if field.is_text else "_float" if field.is_float else "_int"
        return f"{field.name}.__class__ is {kind}"

    def packed(field: Field) -> str:
        if field.is_variable:
            return f"_len(_b_{field.name})"
        if not field.has_name:
            return f"_encode_{field.name}(None)"
        return field.name if is_plain(field) else f"_encode_{field.name}({field.name})"

    names = ", ".join(f.name for f in schema.named)
    checks = [check(f) for f in schema.named if f.is_text or is_plain(f)]
    parameters = ", ".join(map(parameter, schema.named))
    yield f"def build({parameters and '*, ' + parameters}):"
    if checks:
        yield f"    if not ({' and '.join(checks)}):"
        yield f"        {names}, = _coerce({names})"
    yield "    try:"
    parts = []
    for number, run in enumerate(schema.runs):
        parts.append(f"_pack{number}({', '.join(map(packed, run.fields))})")
        if run.text is not None:
            name = run.text.name
            encoded = f"_encode_{name}({name})"
            if run.text.is_text:
                encoded = f"{name}.encode({ENCODING!r}, {ERRORS!r})"
            yield f"        _b_{name} = {encoded}"
            parts.append(f"_b_{name}")
    yield f"        return {' + '.join(parts)}"
    yield "    except (_StructError, OverflowError, UnicodeEncodeError):"
    yield f"        raise _explain_values({names}) from None"


def whole_size(codec: RecordCodec, data: bytes) -> int:
    """The number of bytes of the header, if there is one, and whole records at the beginning.

    The records' constants are not checked, as in `columns.record_starts`.

    Raises:
        FormatError: the header is not the declared one.
    """
    if len(data) > _FEW:
        from formats.columns.parse import record_starts

        return int(record_starts(codec.schema, data)[1])
    codec.schema.require_columns()
    end = 0
    if codec.schema.header is not None:
        try:
            _, end = read_value(codec.schema.header, data)
        except TruncatedError:
            return 0
    return _last_end(codec.schema, data, end)


def _last_end(schema: Schema, data: bytes, start: int) -> int:
    """The end of the last whole record."""
    steps = [
        (run.width, struct.Struct(run.text.format) if run.text is not None else None)
        for run in schema.runs
    ]
    end = start
    while True:
        at = end
        for width, length in steps:
            at += width
            if length is not None and at <= len(data):
                at += length.unpack_from(data, at - length.size)[0]
        if at > len(data):
            return end
        end = at
