"""Builds many records that differ in one number and in their texts, in one call.

Guarantees: the function that `batch_builder` returns gives the same bytes as building each record
by itself, and raises the same errors for the same values; a batch is built completely or not at
all.

As in `record`, the function is generated. A record is a sequence of *pieces*, each of adjacent
fields of one kind. Fixed pieces (texts, constants) are encoded when the function is generated;
shared pieces are packed once per call; then a single `struct` call packs all records.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

from formats.codec.values import is_plain
from formats.errors import UnsupportedSchema
from formats.schema import Field, Schema

BatchBuilder = Callable[..., bytes]
_Kind = Literal["fixed", "shared", "varying"]


def batch_builder(
    schema: Schema,
    build: Callable[..., bytes],
    texts: Sequence[Mapping[str, Any]],
    varying: str,
) -> BatchBuilder:
    """A function `build(values, **shared) -> bytes` for records with known texts.

    Args:
        schema: the declaration of one record.
        build: builds one record from values by field name, like `RecordCodec.build`.
        texts: the texts of each record, by field name; bytes with a length count as texts.
        varying: the name of the number that differs between records.

    Returns:
        A function that takes the varying numbers, one per record, and the other numbers by field
        name, which all records share. It raises FieldValueError, and ValueError for a wrong count.

    Raises:
        FieldValueError: a text does not fit its field.
        UnsupportedSchema: a field may be absent, so no record can follow another; or `varying` is
            not the name of a number.
    """
    vary = _varying(schema, varying)
    shared = [f for f in schema if _kind(f, vary) == "shared"]

    def one_by_one(values: Iterable[Any], **numbers: Any) -> bytes:
        # Handles all input that is not on the generated function's fast path, and raises errors.
        rows = zip(values, texts, strict=True)
        return b"".join(build(**numbers, **{varying: value}, **row) for value, row in rows)

    for row in texts:
        for field in schema.texts:
            field.encode(row[field.name])  # raises if it does not fit
    names: dict[str, Any] = {
        "_int": int,
        "_float": float,
        "_StructError": struct.error,
        "_one_by_one": one_by_one,
        **{f"_encode_{field.name}": field.encode for field in shared},
    }
    source = "\n".join(_source(schema, texts, vary, shared, names))
    exec(compile(source, f"<batch of {len(texts)}>", "exec"), names)
    built: BatchBuilder = names["build"]
    return built


def _varying(schema: Schema, name: str) -> Field:
    for field in schema:
        if field.default is not None:
            raise UnsupportedSchema(
                "may be absent, so no other record can follow", field=field.name
            )
    for field in schema:
        if field.name == name and field.constant is None and is_plain(field):
            return field
    raise UnsupportedSchema("is not a number that can vary", field=name)


def _kind(field: Field, varying: Field) -> _Kind:
    if field.is_variable or field.constant is not None or not field.has_name:
        return "fixed"
    return "varying" if field is varying else "shared"


def _source(
    schema: Schema,
    texts: Sequence[Mapping[str, Any]],
    varying: Field,
    shared: list[Field],
    names: dict[str, Any],
) -> Iterable[str]:
    """The source of the function; adds the constants it uses to `names`."""
    values = [f"_v{row}" for row in range(len(texts))]
    format, arguments, packing = [varying.order], [], {}
    for row, record in enumerate(texts):
        for piece, (kind, run) in enumerate(groupby(schema, lambda f: _kind(f, varying))):
            fields = list(run)
            if kind == "varying":
                format.append(varying.code)
                arguments.append(values[row])
            elif kind == "fixed":
                fixed = b"".join(_fixed(field, record) for field in fields)
                names[f"_b{row}_{piece}"] = fixed
                format.append(f"{len(fixed)}s")
                arguments.append(f"_b{row}_{piece}")
            else:
                packing[f"_s{piece}"] = fields
                format.append(f"{sum(field.width for field in fields)}s")
                arguments.append(f"_s{piece}")
    names["_pack"] = struct.Struct("".join(format)).pack

    plain = [
        f"{f.name}.__class__ is {'_float' if f.is_float else '_int'}" for f in shared if is_plain(f)
    ]
    plain += [f"{v}.__class__ is {'_float' if varying.is_float else '_int'}" for v in values]
    passed = "".join(f", {f.name}={f.name}" for f in shared)
    yield f"def build(_values{', *' if shared else ''}{''.join(f', {f.name}' for f in shared)}):"
    yield f"    {''.join(v + ', ' for v in values) or '()'} = _values"
    yield f"    if {' and '.join(plain) or 'True'}:"
    yield "        try:"
    for name, fields in packing.items():
        packed: list[str] = []
        for order, group in groupby(fields, lambda f: f.order):
            members = list(group)
            pack = f"_pack{name}_{len(packed)}"
            names[pack] = struct.Struct(order + "".join(f.code for f in members)).pack
            arguments_ = (f.name if is_plain(f) else f"_encode_{f.name}({f.name})" for f in members)
            packed.append(f"{pack}({', '.join(arguments_)})")
        yield f"            {name} = {' + '.join(packed)}"
    yield f"            return _pack({', '.join(arguments)})"
    yield "        except (_StructError, OverflowError):"
    yield "            pass"
    yield f"    return _one_by_one(({''.join(v + ', ' for v in values)}){passed})"


def _fixed(field: Field, record: Mapping[str, Any]) -> bytes:
    return field.kind.build(record[field.name] if field.is_variable else field.written)
