"""Random declarations: everything derived from one, compared with `construct`.

`python -m tests.schemas` makes 100,000 declarations of every kind of field, with values, and
compares building, parsing, columns in one piece and in many, and the annotations, for the bytes as
they are, cut anywhere, and mutated. The quick form is tests/formats/test_random_schemas.py.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import multiprocessing
import os
import pickle
import random
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import construct as c
import numpy as np

from formats import (
    AbsentAtEnd,
    ColumnParser,
    FormatError,
    LengthPrefixedText,
    RecordCodec,
    Schema,
    UnsupportedSchema,
    Version,
    annotate,
    build_columns,
    describe,
    to_ksy,
)
from formats.codec.record import whole_size
from formats.columns import parse_columns, record_starts
from formats.descriptions.dump import dump
from formats.descriptions.spec import markdown

BATCH = 200
INTEGERS = {
    f"Int{bits}{sign}{order}": (bits, sign == "s")
    for bits in (8, 16, 24, 32, 64)
    for sign in "us"
    for order in "bl"
}
FLOATS = ["Float16b", "Float16l", "Float32b", "Float32l", "Float64b", "Float64l"]
LENGTHS = ["Int8ub", "Int16ub", "Int16ul", "Int32ub", "Int32ul"]

Sample = Callable[[random.Random], Any]
Same = Callable[[Any, Any], bool]


class ExcludedError(Exception):
    """A choice that excludes all values of its kind."""


@dataclass
class Made:
    """A random construct, its values, and how an item of its column compares with its value."""

    subcon: Any
    sample: Sample
    same: Same
    is_optional: bool = False


def plain(item: Any) -> Any:
    """An item of a column without NumPy's types."""
    if isinstance(item, np.ndarray):
        return [plain(one) for one in item.tolist()]
    if isinstance(item, np.void):
        return item.tobytes() if item.dtype.names is None else plain(item.tolist())
    return type(item)(map(plain, item)) if isinstance(item, list | tuple) else item


def equal(item: Any, value: Any) -> bool:
    """Equality of bits; of half-precision NaNs, Python keeps only that they are NaN."""
    if isinstance(item, float) and isinstance(value, float):
        if math.isnan(item) and math.isnan(value):
            return True
        return struct.pack(">d", item) == struct.pack(">d", value)
    if isinstance(item, list | tuple) and isinstance(value, list | tuple):
        return len(item) == len(value) and all(map(equal, item, value))
    if isinstance(item, dict) and isinstance(value, dict):
        names = [name for name in value if not name.startswith("_")]
        return list(item) == names and all(equal(item[name], value[name]) for name in names)
    return bool(item == value) and isinstance(item, bool) == isinstance(value, bool)


def integer(rng: random.Random) -> Made:
    """Any integer, also of three bytes."""
    name = rng.choice(list(INTEGERS))
    bits, signed = INTEGERS[name]
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return Made(
        getattr(c, name), lambda r: r.choice([low, high, 0, 1, r.randint(low, high)]), equal
    )


def floating(rng: random.Random) -> Made:
    """Any float."""
    return Made(
        getattr(c, rng.choice(FLOATS)),
        lambda r: r.choice([0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 6.1e-5]),
        equal,
    )


def raw(rng: random.Random) -> Made:
    """Bytes of a fixed number."""
    size = rng.choice([1, 2, 5, 16, 20])
    return Made(c.Bytes(size), lambda r: r.randbytes(size), equal)


def flag(rng: random.Random) -> Made:
    """A bool."""
    return Made(c.Flag, lambda r: r.random() < 0.5, equal)


def labels(rng: random.Random) -> dict[str, int]:
    """Some labels."""
    return {f"label{i}": value for i, value in enumerate(rng.sample(range(1, 100), 3))}


def enumeration(rng: random.Random) -> Made:
    """Labelled integers; a column has the integers."""
    names = labels(rng)
    number = getattr(c, rng.choice(["Int8ub", "Int16ul", "Int24ub", "Int32sb"]))
    return Made(
        c.Enum(number, **names),
        lambda r: r.choice([*names, 0, 101, *names.values()]),
        lambda item, value: item == int(value),
    )


def flags(rng: random.Random) -> Made:
    """Labelled bits; a column has the integers."""
    names = {f"bit{i}": value for i, value in enumerate(rng.sample([1, 2, 4, 8, 16, 96], 3))}
    return Made(
        c.FlagsEnum(getattr(c, rng.choice(["Int8ub", "Int16ul", "Int24ul"])), **names),
        lambda r: {name: r.random() < 0.5 for name in names},
        lambda item, value: all(value[name] == (item & bit == bit) for name, bit in names.items()),
    )


def text(rng: random.Random, limit: int) -> Sample:
    """Texts of at most so many bytes, without NUL at the end."""
    return lambda r: r.choice(["", "a", "ab\0c"[:limit], "é" if limit > 1 else "e", "x" * limit])[
        :limit
    ]


def padded_text(rng: random.Random) -> Made:
    """A text filled up with NUL."""
    size = rng.choice([1, 4, 9])
    sample = text(rng, size)
    return Made(c.PaddedString(size, "utf8"), lambda r: sample(r).rstrip("\0"), equal)


def pascal_text(rng: random.Random) -> Made:
    """A length, a text and NUL up to a size."""
    size = rng.choice([5, 12])
    length = getattr(c, rng.choice(["Int8ub", "Int16ul"]))
    subcon = c.FixedSized(size, c.PascalString(length, "utf8"))
    return Made(subcon, text(rng, size - length.sizeof()), equal)


def choice(rng: random.Random) -> Made:
    """Some of the values of another kind, or all others."""
    inner = rng.choice([integer, raw, flag])(rng)
    values = [inner.sample(rng) for _ in range(4)]
    if rng.random() < 0.5:
        return Made(c.OneOf(inner.subcon, values), lambda r: r.choice(values), inner.same)

    def other(r: random.Random) -> Any:
        for _ in range(50):
            value = inner.sample(r)
            if value not in values:
                return value
        raise ExcludedError

    return Made(c.NoneOf(inner.subcon, values), other, inner.same)


def constant(rng: random.Random) -> Made:
    """A constant number, constant bytes, or a version."""
    inner = rng.choice([integer, raw, raw])(rng)
    value = inner.sample(rng)
    kind = rng.choice([c.Const, Version])
    return Made(kind(value, inner.subcon), lambda r: value, inner.same, True)


def default(rng: random.Random) -> Made:
    """A value that need not be given."""
    inner = rng.choice(SCALARS[:-2])(rng)
    value = inner.sample(rng)
    return Made(c.Default(inner.subcon, value), inner.sample, inner.same, True)


def shown(rng: random.Random) -> Made:
    """A number or bytes that print in hexadecimal."""
    inner = rng.choice([integer, raw])(rng)
    return Made(c.Hex(inner.subcon), inner.sample, inner.same)


def array(rng: random.Random, depth: int = 0) -> Made:
    """Items of one kind."""
    inner = fixed(rng, depth + 1, False)
    count = rng.choice([1, 2, 5])
    return Made(
        c.Array(count, inner.subcon),
        lambda r: [inner.sample(r) for _ in range(count)],
        lambda item, value: len(item) == count and all(map(inner.same, item, value)),
    )


def group(rng: random.Random, depth: int = 0) -> Made:
    """A Struct of fixed parts; an item of its column is a tuple."""
    parts = {f"p{i}": fixed(rng, depth + 1) for i in range(rng.choice([1, 2, 3]))}
    subcons: list[Any] = [name / part.subcon for name, part in parts.items()]
    if rng.random() < 0.4:
        subcons.insert(rng.randrange(len(subcons) + 1), c.Padding(rng.choice([1, 3])))
    if rng.random() < 0.2:
        subcons.append(c.Const(b"end"))
    return Made(
        c.Struct(*subcons),
        lambda r: {name: part.sample(r) for name, part in parts.items()},
        lambda item, value: all(
            part.same(one, value[name])
            for one, (name, part) in zip(item, parts.items(), strict=True)
        ),
    )


SCALARS: list[Callable[[random.Random], Made]] = [
    *(integer, integer, floating, raw, flag, enumeration, flags),
    *(padded_text, pascal_text, shown, choice, constant),
]


def fixed(rng: random.Random, depth: int = 0, has_name: bool = True) -> Made:
    """Any kind of fixed width; only what has a name has a default."""
    if depth < 3 and rng.random() < 0.2:
        return rng.choice([array, group])(rng, depth)
    return rng.choice([*SCALARS, default] if has_name else SCALARS)(rng)


def variable(rng: random.Random) -> Made:
    """A text, or bytes, with a length."""
    length = getattr(c, rng.choice(LENGTHS))
    sizes = [0, 1, 7, 8, 9, 20, 70]
    if rng.random() < 0.6:
        return Made(
            LengthPrefixedText(length),
            lambda r: r.randbytes(r.choice(sizes)).decode("utf-8", "surrogateescape"),
            equal,
        )
    return Made(c.Prefixed(length, c.GreedyBytes), lambda r: r.randbytes(r.choice(sizes)), equal)


@dataclass
class Declaration:
    """A random Struct, and what its fields are; fields without a name are not among them."""

    struct: Any
    fields: dict[str, Made]

    def sample(self, rng: random.Random) -> dict[str, Any]:
        """Values; some that need not be given are left out."""
        return {
            name: made.sample(rng)
            for name, made in self.fields.items()
            if not (made.is_optional and rng.random() < 0.5)
        }


def random_struct(rng: random.Random, absent: bool = False) -> Declaration:
    """A Struct of one to six fields; the last may be absent at the end."""
    fields = {
        f"f{i}": variable(rng) if rng.random() < 0.25 else fixed(rng)
        for i in range(rng.choice([1, 2, 3, 4, 6]))
    }
    subcons: list[Any] = [name / made.subcon * "doc" for name, made in fields.items()]
    if rng.random() < 0.3:
        subcons.insert(rng.randrange(len(subcons) + 1), c.Padding(rng.choice([1, 2, 7])))
    if rng.random() < 0.2:
        subcons.insert(rng.randrange(len(subcons) + 1), c.Const(b"MAGIC"))
    if absent:
        for i in range(rng.choice([1, 2])):
            made = variable(rng) if rng.random() < 0.5 else fixed(rng)
            value = made.sample(rng)
            fields[f"a{i}"] = Made(
                AbsentAtEnd(made.subcon, value), made.sample, made.same, is_optional=True
            )
            subcons.append(f"a{i}" / fields[f"a{i}"].subcon)
    return Declaration(c.Struct(*subcons), fields)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """The bytes, cut or mutated."""
    kind, changed = rng.randrange(5), bytearray(data)
    at = rng.randrange(len(data) + 1)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data + rng.randbytes(rng.randrange(9))
    if kind == 2:
        return bytes(len(data)) if rng.random() < 0.3 else rng.randbytes(len(data))
    for _ in range(rng.choice([1, 1, 3])):
        if changed:
            changed[rng.randrange(len(changed))] = rng.choice([0, 1, 2, 200, 255])
    if kind == 4:
        changed[at:at] = rng.randbytes(rng.randrange(4))
    return bytes(changed)


def oracle(struct: Any, data: bytes) -> tuple[dict[str, Any] | None, int]:
    """What construct reads, and where it ends; None if it refuses."""
    stream = io.BytesIO(data)
    try:
        value = struct.parse_stream(stream)
    except Exception:  # any of construct's errors is a refusal
        return None, 0
    return {name: item for name, item in value.items() if name != "_io"}, stream.tell()


def check_value(struct: Any, codec: RecordCodec, data: bytes) -> None:
    """The codec and the annotations agree with construct about these bytes."""
    expected, end = oracle(struct, data)
    views: list[Any] = [data, memoryview(data), bytearray(data)]
    try:
        values, found = codec.parse(views[len(data) % 3])
    except FormatError as error:
        assert expected is None, f"refused: {error}"
        assert error.field is not None
        assert error.offset is not None
        assert 0 <= error.offset <= len(data)
        refused: FormatError | None = error
    else:
        assert expected is not None, "construct refuses it"
        assert found == end
        assert equal(values, expected), f"{values} is not {expected}"
        refused = None
    spans = list(annotate(Schema(codec.schema.fields), data))
    assert b"".join(span.data for span in spans) == data
    errors = [span.error for span in spans if span.error is not None]
    assert [str(error) for error in errors] == ([] if refused is None else [str(refused)])


def check_sequence(rng: random.Random, made: Declaration, schema: Schema, data: bytes) -> None:
    """Columns, at once and in pieces, agree with construct about these bytes."""
    stream = io.BytesIO(data)
    expected = c.GreedyRange(made.struct).parse_stream(stream)
    end = stream.tell()
    whole = parse_columns(schema, data)
    check_columns(made, whole, expected)
    assert (whole.count, whole.end) == (len(expected), end)
    if whole.error is not None:
        try:
            RecordCodec(schema).parse(data, whole.end)
        except FormatError as error:
            error.at(index=whole.count)
            assert (type(error), str(error)) == (type(whole.error), str(whole.error))
        else:
            raise AssertionError(f"the codec accepts what columns refuse: {whole.error}")
    rebuilt = build_columns(schema, whole)
    assert len(rebuilt) == end
    assert equal_records(c.GreedyRange(made.struct).parse(rebuilt), expected)
    parser, at, count = ColumnParser(schema), 0, 0
    while at < len(data):
        size = rng.choice([1, 3, 10, 40])
        part = parser.feed(data[at : at + size])
        check_columns(made, part, expected[count : count + part.count])
        count, at = count + part.count, at + size
    assert count == len(expected)
    if whole.error is None:
        starts, last = record_starts(schema, data)
        assert (len(starts), last) == (len(expected), end)


def equal_records(one: Any, other: Any) -> bool:
    """Whether construct read the same."""
    plain = [[{k: v for k, v in r.items() if k != "_io"} for r in each] for each in (one, other)]
    return repr(plain[0]) == repr(plain[1])


def check_columns(made: Declaration, columns: Any, expected: Any) -> None:
    """Every column has the values that construct reads."""
    assert list(columns) == list(made.fields)
    for name, field in made.fields.items():
        items = plain(columns[name].tolist())
        assert len(items) == len(expected)
        for item, record in zip(items, expected, strict=True):
            assert field.same(item, record[name]), f"{name}: {item} is not {record[name]}"


def check_header(rng: random.Random, made: Declaration, data: bytes) -> None:
    """A header before the records, inline or in a Struct of its own."""
    header = random_struct(rng)
    inline = rng.random() < 0.5 and len(header.struct.subcons) > 1
    before = header.struct.subcons if inline else ["head" / header.struct]
    declaration = c.Struct(*before, "records" / c.GreedyRange(made.struct))
    codec = RecordCodec(declaration)
    assert codec.header is not None
    values = header.sample(rng)
    first = codec.header.build(**values)
    assert first == header.struct.build(values)
    whole = first + data
    if rng.random() < 0.5:
        whole = damaged(rng, whole)
    expected, _ = oracle(declaration, whole)
    parser, count = ColumnParser(declaration), 0
    for at in range(0, len(whole), 11):
        part = parser.feed(whole[at : at + 11])
        count += part.count
    b"".join(span.data for span in annotate(declaration, whole))
    if expected is None:
        assert parser.header is None
        assert count == 0
        return
    found = {k: v for k, v in (expected if inline else expected["head"]).items() if k != "_io"}
    found.pop("records", None)
    assert equal(parser.header, found)
    assert count == len(expected["records"])
    columns = codec.parse_columns(whole)
    check_columns(made, columns, expected["records"])
    if columns.error is None:
        assert whole_size(codec, whole) == columns.end


def check_one(seed: str) -> None:
    """One random declaration, and everything derived from it."""
    try:
        _check_one(random.Random(seed))
    except ExcludedError:
        return  # a choice that excludes all its values


def _check_one(rng: random.Random) -> None:
    absent = rng.random() < 0.15
    made = random_struct(rng, absent)
    samples = [made.sample(rng) for _ in range(4)]
    codec = RecordCodec(made.struct)
    schema, data = codec.schema, b""
    for values in samples:
        built = codec.build(**values)
        assert built == made.struct.build(values), f"{values} is built differently"
        assert len(built) <= schema.max_size
        check_value(made.struct, codec, built)
        for _ in range(3):
            check_value(made.struct, codec, damaged(rng, built))
        data += built
    if not absent:
        check_sequence(rng, made, schema, data)
        for _ in range(3):
            check_sequence(rng, made, schema, damaged(rng, data))
        check_header(rng, made, data)
    check_descriptions(rng, made.struct, data)


def check_descriptions(rng: random.Random, declaration: Any, data: bytes) -> None:
    """Nothing derived as text fails, but for what Kaitai cannot express."""
    schema = Schema.of(declaration)
    assert dump(annotate(Schema(schema.fields, True), data))
    if rng.random() < 0.1:
        markdown(declaration)
        json.dumps(describe(declaration))
        assert RecordCodec(declaration).dtype.itemsize == sum(f.width for f in schema)
        again = Schema.of(pickle.loads(pickle.dumps(declaration)))
        assert repr(again) == repr(schema)  # a NaN equals itself
        try:
            to_ksy(declaration)
        except UnsupportedSchema as error:
            assert error.field is not None


def _work(seeds: list[str]) -> tuple[int, str]:
    for seed in seeds:
        try:
            check_one(seed)
        except Exception as error:
            return len(seeds), f"seed {seed!r}: {type(error).__name__}: {error}"
    return len(seeds), ""


def main() -> int:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schemas", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=max((os.cpu_count() or 2) - 1, 1))
    chosen = parser.parse_args()
    seeds = [f"{chosen.seed} {number}" for number in range(chosen.schemas)]
    batches = [seeds[start : start + BATCH] for start in range(0, len(seeds), BATCH)]
    done, differences, began = 0, 0, time.monotonic()
    with multiprocessing.Pool(chosen.processes) as pool:
        for count, wrong in pool.imap_unordered(_work, batches):
            done += count
            if wrong:
                differences += 1
                print(wrong, flush=True)
            if done % (50 * BATCH) == 0:
                print(f"{done:,} schemas, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{done:,} schemas: {differences} differences to construct")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
