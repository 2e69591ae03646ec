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

import struct
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from formats.codec.values import check_range, coerce
from formats.errors import FormatError, TruncatedError
from formats.fields import ENCODING, ERRORS
from formats.schema import Field, Run, Schema

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
        declaration: a `construct` Struct of fixed-width numbers, constants and texts.

    Attributes:
        schema: the declaration as a list of fields.
        parse: `parse(data, offset=0) -> (values by field name, offset of the end)`. Raises
            TruncatedError, UnsupportedVersionError, or FormatError for any other wrong constant.
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
        names: dict[str, Any] = {
            "_str": str,
            "_int": int,
            "_float": float,
            "_len": len,
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
        self._names = names
        every = ", ".join(f"{f.name!r}: v_{f.name}" for f in self.schema)
        self.parse = self._compiled("parse", _parse_source(self.schema, f"{{{every}}}, end", _TEXT))
        self.build = self._compiled("build", _build_source(self.schema))

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
        wanted = ", ".join(f"v_{self.schema[name].name}" for name in fields)
        source = _parse_source(self.schema, f"_make({wanted})", _TEXT_OF_BYTES)
        return cast("Callable[[bytes], Value]", self._compiled("parse", source, _make=make))

    @property
    def dtype(self) -> Any:
        """The fixed-width part (numbers and length prefixes) as a packed NumPy dtype.

        The length prefix of a text is named `len_` plus the field name. Only the first run has
        these offsets in every record. Without texts, the dtype describes the complete record.
        """
        import numpy as np

        return np.dtype([(f.length_name if f.is_text else f.name, f.dtype) for f in self.schema])

    def batch(
        self,
        texts: Sequence[Mapping[str, str]],
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
        coerced = tuple(coerce(f, v) for f, v in zip(self.schema, values, strict=True))
        for field, value in zip(self.schema, coerced, strict=True):
            if field.constant is not None:
                check_range(field, value)
        return coerced

    def _explain_values(self, *values: Any) -> FormatError:
        """The error for values that have the right kinds but cannot be packed."""
        for field, value in zip(self.schema, values, strict=True):
            try:
                check_range(field, value)
            except FormatError as error:
                return error
        raise AssertionError(f"packing failed, but every field is valid: {values!r}")

    def _explain_bytes(self, data: Buffer, offset: int) -> FormatError:
        """The error of the first field that cannot be parsed, for a value at `offset`."""
        from formats.codec.spans import annotate_value

        for span in annotate_value(self.schema, data, offset):
            if span.error is not None:
                return span.error
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
    yield "    size = _len(data)"
    yield "    try:"
    indent = "        "
    yield f"{indent}end = offset"
    for number, run in enumerate(schema.runs):
        first = run.fields[0]
        if first.default is not None:
            yield f"{indent}if end == size:"
            yield f"{indent}    v_{first.name} = _absent_{first.name}"
            yield f"{indent}else:"
            yield from _parse_run(number, run, indent + "    ", text)
        else:
            yield from _parse_run(number, run, indent, text)
    yield "    except (_StructError, IndexError):"
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
        if field.constant is not None:
            yield f"{indent}if v_{field.name} != _constant_{field.name}:"
            yield f"{indent}    raise _explain_bytes(data, offset)"
    if run.text is None:
        yield f"{indent}end += {run.width}"
    else:
        name = f"v_{run.text.name}"
        yield f"{indent}start = end + {run.width}"
        yield f"{indent}end = start + {name}"
        # A slice beyond the end is short, which the check of `end` after the last run detects.
        yield f"{indent}{name} = {text}"


def _build_source(schema: Schema) -> Iterator[str]:
    def parameter(field: Field) -> str:
        if field.constant is not None:
            return f"{field.name}=_constant_{field.name}"
        return field.name + (f"=_absent_{field.name}" if field.default is not None else "")

    def is_plain(field: Field) -> str:
        if field.constant is not None:
            return f"{field.name} == _constant_{field.name}"
        kind = "_str" if field.is_text else "_float" if field.is_float else "_int"
        return f"{field.name}.__class__ is {kind}"

    names = ", ".join(f.name for f in schema)
    yield f"def build(*, {', '.join(map(parameter, schema))}):"
    yield f"    if not ({' and '.join(map(is_plain, schema))}):"
    yield f"        {names}, = _coerce({names})"
    yield "    try:"
    parts = []
    for number, run in enumerate(schema.runs):
        arguments = [f"_len(_b_{f.name})" if f.is_text else f.name for f in run.fields]
        parts.append(f"_pack{number}({', '.join(arguments)})")
        if run.text is not None:
            name = run.text.name
            yield f"        _b_{name} = {name}.encode({ENCODING!r}, {ERRORS!r})"
            parts.append(f"_b_{name}")
    yield f"        return {' + '.join(parts)}"
    yield "    except (_StructError, OverflowError, UnicodeEncodeError):"
    yield f"        raise _explain_values({names}) from None"


def _record_spans(codec: RecordCodec, data: bytes) -> Iterator[tuple[int, int]]:
    """The start and end of each whole record."""
    start = 0
    try:
        while start < len(data):
            _, end = codec.parse(data, start)
            yield start, end
            start = end
    except TruncatedError:
        return


def whole_size(codec: RecordCodec, data: bytes) -> int:
    """The number of bytes of whole records at the beginning of the data."""
    if len(data) > _FEW:
        from formats.columns.parse import record_starts

        return int(record_starts(codec.schema, data)[1])
    end = 0
    for _, end in _record_spans(codec, data):  # noqa: B007 - only the last end is wanted
        pass
    return end
