"""The source of the functions that parse and build one value, derived from its fields.

Guarantees: field names are checked to be plain identifiers, and nothing else from the declaration
enters the source. There is one `struct` call per run (see `formats.schema`). Values come from names
that `record` provides, such as `_decode_<field>`.
"""

from __future__ import annotations

from collections.abc import Iterator

from formats.codec.values import is_plain
from formats.fields import ENCODING, ERRORS
from formats.schema import Field, Run, Schema

# Expressions that decode the text in `data[start:end]`.
TEXT = f"_str(data[start:end], {ENCODING!r}, {ERRORS!r})"  # for any buffer
TEXT_OF_BYTES = f"data[start:end].decode({ENCODING!r}, {ERRORS!r})"  # faster, for bytes only
_BYTES = "_bytes(data[start:end])"
_VALUES = (int, float, str, bytes, bool)  # immutable: shared by all who get them


def parse_source(schema: Schema, result: str, text: str, other: str = "") -> Iterator[str]:
    """The source of a function that parses one value.

    Args:
        schema: the declaration.
        result: the expression to return, in terms of the fields' values `v_<field>`.
        text: an expression that decodes the text in `data[start:end]`.
        other: a function to call instead, if the data are not bytes.
    """
    yield "def parse(data, offset=0):"
    yield "    if offset < 0: raise ValueError(f'offset {offset} is negative')"
    if other:
        yield f"    if data.__class__ is not _bytes: return {other}(data, offset)"
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


def build_source(schema: Schema) -> Iterator[str]:
    """The source of a function that builds one value from keyword arguments."""

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
