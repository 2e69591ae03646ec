"""Columns equal what `construct` would parse and build, on every code path."""

from __future__ import annotations

import io
import pickle
import random
import struct
from typing import Any

import numpy as np
import pandas as pd
import pytest
from construct import (
    Array,
    Const,
    Float32b,
    Float32l,
    Float64b,
    GreedyRange,
    Int8ub,
    Int16sl,
    Int16ub,
    Int16ul,
    Int32ub,
    Int32ul,
    Int64ul,
    Struct,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.columns import (
    ColumnParser,
    Columns,
    TextColumn,
    build_columns,
    parse_columns,
    record_starts,
)
from formats.columns import parse as columns_module
from formats.columns import repetition as repetition_module
from formats.columns import starts as starts_module
from formats.columns.repetition import Repetition
from formats.columns.starts import RecordWalk
from formats.columns.vocabulary import words_of
from formats.errors import FieldValueError, UnsupportedSchema
from formats.fields import LengthPrefixedText, Text
from formats.meta import META
from formats.metrics import RECORD
from formats.schema import Schema

TWO_TEXTS = Struct(
    "kind" / Int16ul,
    "title" / LengthPrefixedText(Int16ub),
    "score" / Float32l,
    "body" / LengthPrefixedText(Int16ul),
    "flags" / Int8ub,
)
FIXED = Struct("a" / Int64ul, "b" / Int16sl, "c" / Float64b)
MARKED = Struct(
    "magic" / Const(0xABCD, Int16ub), "n" / Int32ub, "t" / Text, "end" / Const(7, Int8ub)
)
LONG = Struct("t" / LengthPrefixedText(Int32ul))
BARE = Struct("t" / Text)
DECLARATIONS = [RECORD, TWO_TEXTS, FIXED, MARKED, LONG, BARE]
NAMES = ["loss", "acc", "lr", "grad/norm", "val/loss"]


def record(name: str | bytes, index: int = 0) -> bytes:
    """The bytes of one RECORD."""
    raw = name.encode() if isinstance(name, str) else name
    return struct.pack(">qIdB", 1_700_000_000 + index // 7, index, index / 7, len(raw)) + raw


def same(found: Any, expected: list[Any]) -> bool:
    """Whether a column holds these values, floats compared by their bits."""
    if isinstance(found, TextColumn):
        return found.tolist() == expected
    return found.tobytes() == np.array(expected, found.dtype).tobytes()


def check(declaration: Any, data: bytes, found: Columns | None = None) -> Columns:
    """Compare columns with `construct`: with and without what short logs are read by."""
    schema = Schema.of(declaration)
    stream = io.BytesIO(data)
    expected = GreedyRange(declaration).parse_stream(stream)
    if found is None:
        parser = ColumnParser(schema)
        parser._brief = None
        compare(schema, parser.feed(data), expected, stream.tell())
        found = parse_columns(schema, data)
    compare(schema, found, expected, stream.tell())
    return found


def compare(schema: Schema, found: Columns, expected: list[Any], end: int) -> None:
    """Compare columns with the records that `construct` found up to `end`."""
    assert found.count == len(expected)
    assert found.end == end
    assert list(found) == [field.name for field in schema]
    for field in schema:
        if field.is_text:
            distinct = dict.fromkeys(item[field.name] for item in expected)
            assert found[field.name].values[: len(distinct)] == tuple(distinct)
            assert found[field.name].codes.dtype == np.int32
        else:
            assert found[field.name].dtype.isnative
        assert same(found[field.name], [item[field.name] for item in expected])


def test_records_become_columns() -> None:
    """Numbers are native arrays; texts are codes in order of first appearance."""
    found = check(RECORD, b"".join(record(name, i) for i, name in enumerate(["b", "a", "b"])))
    assert found["name"].codes.tolist() == [0, 1, 0]
    assert found["name"].values == ("b", "a")
    assert found["timestamp"].dtype == np.int64
    assert found["step"].dtype == np.uint32


def test_no_bytes_are_no_records() -> None:
    """Empty input gives all columns, with no items."""
    for declaration in DECLARATIONS:
        assert check(declaration, b"").count == 0


@pytest.mark.parametrize("declaration", DECLARATIONS)
def test_every_truncation_ends_at_the_last_whole_record(declaration: Any) -> None:
    """For any cut."""
    data = b"".join(declaration.build(sample(declaration, random.Random(i))) for i in range(4))
    for size in range(len(data) + 1):
        check(declaration, data[:size])


def sample(declaration: Any, rnd: random.Random, longest: int = 20) -> dict[str, Any]:
    """A record's values."""
    values: dict[str, Any] = {}
    for field in Schema.of(declaration):
        low, high = field.range
        if field.is_text:
            raw = rnd.randbytes(rnd.choice([0, 1, 7, 8, 9, longest]))
            values[field.name] = raw.decode("utf-8", "surrogateescape")
        elif field.constant is None:
            values[field.name] = (
                rnd.choice([0.0, -0.0, 1.5, float("inf"), 3e-41])
                if field.is_float
                else rnd.choice([0, low, high, int(low) // 2 + int(high) // 3])
            )
    return values


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(DECLARATIONS), st.binary(max_size=400))
def test_any_bytes_parse_as_construct_does(declaration: Any, data: bytes) -> None:
    """Including garbage."""
    if declaration is RECORD or declaration is FIXED or declaration is TWO_TEXTS:
        # Their floats may be signalling NaNs, which Python's floats need not preserve.
        stream = io.BytesIO(data)
        count = len(GreedyRange(declaration).parse_stream(stream))
        found = parse_columns(Schema.of(declaration), data)
        assert (found.count, found.end) == (count, stream.tell())
        assert (
            build_columns(Schema.of(declaration), {n: found[n] for n in found})
            == (data[: found.end])
        )
    else:
        check(declaration, data)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(DECLARATIONS), st.integers(0, 2**32), st.integers(0, 900))
def test_any_split_feeds_the_same_records(declaration: Any, seed: int, count: int) -> None:
    """Codes are stable across feeds, and ends add up."""
    rnd = random.Random(seed)
    some = [declaration.build(sample(declaration, rnd)) for _ in range(rnd.choice([1, 3, 50]))]
    data = b"".join(rnd.choices(some, k=count)) + some[0][: rnd.randrange(9)]
    whole = check(declaration, data)
    parser, parts, at = ColumnParser(Schema.of(declaration)), [], 0
    while at < len(data):
        size = rnd.choice([1, 10, 100, 5000])
        parts.append(parser.feed(memoryview(data)[at : at + size]))
        at += size
    assert sum(part.count for part in parts) == whole.count
    for name in whole:
        if isinstance(whole[name], TextColumn):
            joined = [code for part in parts for code in part[name].codes.tolist()]
            assert joined == whole[name].codes.tolist()
            assert not parts or parts[-1][name].values == whole[name].values
        else:
            joined = b"".join(part[name].tobytes() for part in parts)
            assert joined == whole[name].tobytes()
    assert not parts or parts[-1].end == whole.end


def test_columns_are_a_mapping_and_texts_a_sequence() -> None:
    """In every way that a container can be asked."""
    data = b"".join(record(name, i) for i, name in enumerate(["b", "a", "b"])) + record("c")
    found = parse_columns(RECORD, data)
    assert len(found) == len(dict(found)) == 4
    assert found.count == 4
    assert "name" in found
    text = found["name"]
    assert list(text) == ["b", "a", "b", "c"]
    assert ("a" in text, "x" in text, "c" in text[:3]) == (True, False, False)
    assert (text[0], text[-1], text[1:3].tolist()) == ("b", "c", ["a", "b"])
    assert text[np.array([False, True, True, False])].tolist() == ["a", "b"]
    assert (text.index("a"), text.count("b"), next(reversed(text))) == (1, 2, "c")
    assert text == TextColumn([0, 1, 0, 2], ["b", "a", "c"])
    assert np.array(text).tolist() == text.to_numpy().tolist() == ["b", "a", "b", "c"]
    with pytest.raises(IndexError):
        text[4]
    assert pickle.loads(pickle.dumps(found))["name"] == text


def test_other_libraries_take_columns() -> None:
    """pandas, NumPy and Arrow."""
    found = parse_columns(RECORD, record("b", 7) + record("a", 14))
    frame = pd.DataFrame(found)
    assert frame["name"].tolist() == ["b", "a"]
    assert frame["step"].tolist() == [7, 14]
    assert found.to_numpy()[1]["name"] == "a"
    assert found.to_arrow().to_pydict()["name"] == ["b", "a"]


def test_texts_that_are_no_utf8_are_bytes_in_arrow_if_asked_for() -> None:
    """As they are in the file; else an error, since the type depends on the declaration alone."""
    text = parse_columns(RECORD, record(b"\xff") + record("a"))["name"]
    assert text.raw == (b"\xff", b"a")
    assert text.to_arrow(as_bytes=True).to_pylist() == [b"\xff", b"a"]
    assert text[1:].to_arrow(as_bytes=True).to_pylist() == [b"a"]
    for as_bytes in (None, False):
        with pytest.raises(FieldValueError, match="as_bytes=True"):
            text.to_arrow(as_bytes)


def test_a_narrow_signalling_nan_keeps_its_bits() -> None:
    """Also in an array; construct's own value has them changed, since Python's floats are wide."""
    declared = Struct("f" / Float32b, "many" / Array(2, Float32b))
    data = bytes.fromhex("7f800001" * 3)
    found = parse_columns(declared, data)
    assert found["f"].view(np.uint32).tolist() == [0x7F800001]
    assert build_columns(declared, found) == data
    assert declared.build(declared.parse(data)) != data


def test_nan_payloads_survive() -> None:
    """Float bits are moved, not converted."""
    bits = [0x7FF0000000000001, 0xFFF8000000C0FFEE, 0x8000000000000000, 1]
    data = b"".join(struct.pack(">qIQB", 1, 2, pattern, 0) for pattern in bits)
    found = parse_columns(Schema.of(RECORD), data)
    assert found["value"].view(np.uint64).tolist() == bits
    assert build_columns(Schema.of(RECORD), {name: found[name] for name in found}) == data


class Paths:
    """Counts the records found by the fast paths."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.matched: list[int] = []
        self.dense: list[bool] = []
        self.lanes: list[int] = []
        match, lanes = Repetition.match, RecordWalk._lanes

        def counted_match(*args: Any, **options: Any) -> Any:
            found = match(*args, **options)
            self.matched.append(found.count)
            self.dense.append(bool(found.count) and found.is_dense(found.places("", None)))
            return found

        def counted_lanes(*args: Any) -> Any:
            bounds = lanes(*args)
            self.lanes.append(bounds.size - 1)
            return bounds

        monkeypatch.setattr(Repetition, "match", counted_match)
        monkeypatch.setattr(RecordWalk, "_lanes", counted_lanes)


@pytest.fixture
def paths(monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Blocks small enough that a test's data spans several, all read as of a long log."""
    monkeypatch.setattr(columns_module, "LIMIT", 0)
    monkeypatch.setattr(columns_module, "BLOCK", 1 << 16)
    monkeypatch.setattr(columns_module, "_BEGINNING", 1 << 13)
    monkeypatch.setattr(columns_module, "_STRETCH", 1 << 15)
    monkeypatch.setattr(columns_module, "_LONGEST", 1 << 16)
    monkeypatch.setattr(repetition_module, "_DENSE", 256)  # of blocks an eighth as long
    return Paths(monkeypatch)


def test_an_order_that_repeats_is_left_and_found_again(paths: Paths) -> None:
    """One strange record mid-file ends the prediction; the order is then learned again."""
    turn = [record(NAMES[i % 5], i) for i in range(20_000)]
    turn[9_001] = record("strange", 9_001)
    check(RECORD, b"".join(turn))
    assert any(0 < count < 2000 for count in paths.matched)
    assert sum(paths.matched) > 10_000
    assert any(paths.dense)
    assert sum(paths.lanes) > 2_000


@pytest.mark.parametrize(("length", "most", "least"), [(3_000, 5, 0), (20_000, 6, 70_000)])
def test_orders_that_soon_break_are_not_looked_for_each_time(
    length: int, most: int, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others that last are, so that most of their records match."""
    monkeypatch.setattr(columns_module, "_BEGINNING", 1 << 13)
    paths, learn, learned = Paths(monkeypatch), Repetition.learn, []

    def counted(*args: Any) -> bool:
        learned.append(learn(*args))
        return learned[-1]

    monkeypatch.setattr(Repetition, "learn", counted)
    rnd, order, turn = random.Random(1), list(NAMES), []
    for start in range(0, 100_000, length):
        rnd.shuffle(order)
        turn += [record(order[i % 5], i) for i in range(start, start + length)]
    found = parse_columns(RECORD, b"".join(turn))
    assert found["step"].tolist() == list(range(len(turn)))
    assert 0 < sum(learned) <= len(learned) <= most
    assert sum(paths.matched) > least


def test_a_text_of_the_same_length_is_not_taken_for_another(paths: Paths) -> None:
    """Predictions compare texts, not just their lengths."""
    turn = [record(NAMES[i % 5], i) for i in range(12_000)]
    for index in (7_000, 7_001, 11_999):
        turn[index] = record("x" * len(NAMES[index % 5]), index)
    check(RECORD, b"".join(turn))
    assert sum(paths.matched) > 4_000


def test_a_long_period_is_found(paths: Paths) -> None:
    """Some names are logged only every 100th step."""
    names = [n for s in range(100) for n in NAMES[:2] + (["a", "bc"] if s == 99 else [])]
    check(RECORD, b"".join(record(names[i % len(names)], i) for i in range(20_000)))
    assert sum(paths.matched) > 10_000


def test_a_random_order_is_walked_in_lanes(paths: Paths) -> None:
    """Nothing repeats, and few records are walked one by one."""
    rnd = random.Random(3)
    check(RECORD, b"".join(record(rnd.choice(NAMES), i) for i in range(20_000)))
    assert sum(paths.lanes) > 18_000


def test_lanes_give_way_to_garbage(paths: Paths) -> None:
    """Records followed by random bytes are still parsed one after another."""
    rnd = random.Random(4)
    records = b"".join(record(rnd.choice(NAMES), i) for i in range(6_000))
    check(RECORD, records + rnd.randbytes(200_000) + records)


def test_wrongly_entered_lanes_are_walked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guesses only affect speed."""
    rnd = random.Random(5)
    data = b"".join(record(rnd.choice(NAMES), i) for i in range(20_000))
    for guess in (lambda edges: edges, lambda edges: edges + np.arange(edges.size) % 30):
        monkeypatch.setattr(
            RecordWalk, "_guess", lambda self, data, edges, *_, g=guess: g(edges).copy()
        )
        check(RECORD, data)
    monkeypatch.setattr(starts_module, "_REPAIRS", 0)
    check(RECORD, data)


@pytest.mark.parametrize("declaration", DECLARATIONS)
@pytest.mark.parametrize("kind", ["turn", "strides", "random", "long"])
def test_every_declaration_at_length(
    declaration: Any, kind: str, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several blocks of repeating, random and long texts; repeats are read in both ways."""
    monkeypatch.setattr(repetition_module, "_DENSE", 1 if kind == "strides" else 1 << 40)
    monkeypatch.setattr(repetition_module, "_FEW", 0)
    rnd = random.Random(6)
    longest = 255 if kind == "long" else 30
    if kind == "long" and declaration in (TWO_TEXTS, LONG):
        longest = 3_000
    some = [declaration.build(sample(declaration, rnd, longest)) for _ in range(60)]
    count = 12_000
    repeats = kind in ("turn", "strides")
    picks = [i % 7 for i in range(count)] if repeats else rnd.choices(range(60), k=count)
    data = b"".join(some[i] for i in picks)[:2_000_000]
    found = check(declaration, data)
    if repeats and Schema.of(declaration).texts:
        assert any(paths.matched)
        assert any(paths.dense) == (kind == "strides")
    built = build_columns(Schema.of(declaration), {name: found[name] for name in found})
    assert built == data[: found.end]


@pytest.mark.parametrize("byte", [0, 1, 7, 255])
@pytest.mark.parametrize("declaration", DECLARATIONS)
def test_one_byte_repeated(declaration: Any, byte: int) -> None:
    """Zeros, as from a lost page, and other constant bytes."""
    check(declaration, bytes([byte]) * min(300_000, 30_000 * Schema.of(declaration).min_size))


def test_many_distinct_texts() -> None:
    """Texts of all lengths that never repeat, including NUL bytes."""
    rnd = random.Random(7)
    texts = [rnd.randbytes(rnd.choice([0, 1, 2, 8, 16, 63, 64, 65, 255])) for _ in range(8_000)]
    texts += [b"\0" * n for n in range(256)] + [b"a" + b"\0" * n for n in range(255)]
    check(RECORD, b"".join(record(text, i) for i, text in enumerate(texts + texts[::-1])))


@pytest.mark.parametrize(
    "lengths", [[0, 7, 8, 9], [8], [9, 16, 200], [15, 16, 17], [63, 64, 65], [64], [65]]
)
def test_words_are_the_bytes_of_a_text_and_zeros(lengths: list[int]) -> None:
    """Whatever follows the text, and whether or not all texts fill a word."""
    rnd = random.Random(9)
    rows = np.frombuffer(rnd.randbytes(70 * len(lengths)), np.uint8).reshape(-1, 70)
    texts = [row[5 : 5 + length].tobytes()[:64] for row, length in zip(rows, lengths, strict=True)]
    words = words_of(rows, 5, np.array(lengths, np.int64))
    assert len(words) == 64 // 8
    for place, word in enumerate(words):
        parts = (text[8 * place : 8 * place + 8] for text in texts)
        assert word.tolist() == [int.from_bytes(part, "little") for part in parts]


def test_texts_that_share_a_slot_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if all hashes are equal."""
    monkeypatch.setattr("formats.columns.vocabulary.random.getrandbits", lambda bits: 0)
    texts = [f"{i:03}".encode() for i in range(600)] + [b"", b"\0", b"a", b"a\0"]
    check(RECORD, b"".join(record(texts[i * 7 % len(texts)], i) for i in range(3_000)))


def test_a_text_longer_than_blocks_waits_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The buffer grows to fit the record."""
    monkeypatch.setattr(columns_module, "BLOCK", 1 << 10)
    monkeypatch.setattr(columns_module, "_STRETCH", 1 << 10)
    monkeypatch.setattr(columns_module, "_LONGEST", 1 << 10)
    data = b"".join(LONG.build({"t": "x" * n}) for n in (5, 100_000, 3, 9_000, 0))
    check(LONG, data)
    check(LONG, data[:-1])


def test_after_a_long_text_no_more_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read at once, and so held, is limited, however long one record was."""
    monkeypatch.setattr(columns_module, "BLOCK", 1 << 10)
    monkeypatch.setattr(columns_module, "_STRETCH", 1 << 9)
    monkeypatch.setattr(columns_module, "_LONGEST", 1 << 12)
    texts = ["x" * 100_000, *("y" * (i % 50) for i in range(9_000))]
    data = b"".join(LONG.build({"t": text}) for text in texts)
    stream, asked = io.BytesIO(data), list[int]()

    def readinto(buffer: memoryview) -> int:
        asked.append(len(buffer))
        return stream.readinto(buffer)

    assert ColumnParser(LONG).read(readinto, len(data)).count == len(texts)
    assert max(asked) == 1 << 12


def test_a_wrong_constant_ends_the_records_and_is_reported() -> None:
    """The first wrong constant, with its field, record and offset in the stream."""
    good = b"".join(MARKED.build({"n": i, "t": "ab"}) for i in range(5_000))
    parser = ColumnParser(Schema.of(MARKED))
    assert parser.feed(good).error is None
    found = parser.feed(MARKED.build({"n": 1, "t": "new"}) + b"\xab\xcd\0\0\0\1\1x\6" + good)
    assert (found.count, found.end) == (1, len(good) + 11)
    assert found.error is not None
    assert (found.error.field, found.error.index) == ("end", 5_001)
    assert found.error.offset == len(good) + 11 + 8
    assert found["t"].values == ("ab", "new")
    assert parser.feed(good).count == 0


def test_a_wrong_constant_amid_repeating_records(paths: Paths) -> None:
    """Constants are compared, too."""
    good = [MARKED.build({"n": i, "t": NAMES[i % 5]}) for i in range(30_000)]
    good[23_456] = b"\xab\xce" + good[23_456][2:]
    found = check(MARKED, b"".join(good))
    assert sum(paths.matched) > 10_000
    assert found.error is not None
    assert (found.error.field, found.error.index) == ("magic", 23_456)


def test_a_constant_compares_as_in_python() -> None:
    """0.1 is not a 32-bit float, and -0.0 equals 0.0."""
    check(Struct("c" / Const(0.1, Float32b)), struct.pack(">f", 0.1))
    assert check(Struct("c" / Const(0.0, Float32b)), struct.pack(">ff", 0.0, -0.0)).count == 2


def test_reading_needs_no_right_size() -> None:
    """A file may shrink or grow during the read, and reads may be short."""
    rnd = random.Random(8)
    data = b"".join(record(rnd.choice(NAMES), i) for i in range(9_000))
    expected = GreedyRange(RECORD).parse(data)
    for size in (0, 1, len(data) // 2, len(data), 3 * len(data)):
        stream = io.BytesIO(data)

        def readinto(buffer: memoryview, stream: io.BytesIO = stream) -> int:
            return stream.readinto(buffer[: rnd.choice([1, 1_000, 70_000])])

        found = ColumnParser(Schema.of(RECORD)).read(readinto, size)
        compare(Schema.of(RECORD), found, expected, len(data))


@pytest.mark.parametrize(("size", "most"), [(0, 20), (1_000, 10), (1 << 40, 4), (1 << 60, 4)])
def test_blocks_are_full_however_little_comes_at_a_time(
    size: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A size that is too small costs a few small blocks, and a short read none."""
    monkeypatch.setattr(columns_module, "BLOCK", 1 << 16)
    data = b"".join(record(NAMES[i % 5], i) for i in range(5_000))
    decode, decoded = ColumnParser._decode, list[int]()

    def counted(self: ColumnParser, fresh: int, *args: Any, **options: Any) -> None:
        decoded.append(fresh)
        decode(self, fresh, *args, **options)

    monkeypatch.setattr(ColumnParser, "_decode", counted)
    stream = io.BytesIO(data)
    found = ColumnParser(RECORD).read(lambda buffer: stream.readinto(buffer[:100]), size)
    assert (found.count, found.end) == (5_000, len(data))
    assert sum(decoded) == len(data)
    assert len(decoded) <= most


def test_record_starts() -> None:
    """Only the starts, and the end of the last whole record."""
    data = b"".join(record(name, i) for i, name in enumerate(NAMES * 900))
    starts, end = record_starts(Schema.of(RECORD), data + b"torn")
    sizes = [21 + len(name) for name in NAMES * 900]
    assert starts.tolist() == np.cumsum([0, *sizes[:-1]]).tolist()
    assert end == len(data)


def test_a_field_that_may_be_absent_is_refused() -> None:
    """Columns could not distinguish absent from empty."""
    with pytest.raises(UnsupportedSchema) as caught:
        ColumnParser(Schema.of(META))
    assert caught.value.field == "job_name"
    with pytest.raises(UnsupportedSchema):
        build_columns(Schema.of(META), {})


GOOD: dict[str, Any] = {
    "timestamp": [1, 2],
    "step": [3, 4],
    "value": [0.5, 1],
    "name": ([0, 1], ["a", "b"]),
}


def test_building_takes_lists_and_leaves_out_unused_texts() -> None:
    """Unused texts need not fit."""
    columns = GOOD | {"name": ([2, 0], ["a", "x" * 300, "é"])}
    expected = struct.pack(">qIdB", 1, 3, 0.5, 2) + "é".encode()
    assert build_columns(Schema.of(RECORD), columns).startswith(expected)
    empty = {"timestamp": [], "step": [], "value": [], "name": ([], [])}
    assert build_columns(Schema.of(RECORD), empty) == b""


@pytest.mark.parametrize(
    ("field", "column", "index"),
    [
        ("step", [3, -1], 1),
        ("step", [1 << 32, 0], 0),
        ("step", [1.0, 2.0], 0),
        ("step", [True, False], 0),
        ("step", np.array([1.0, 2.0]), None),
        ("timestamp", [0, 1 << 63], 1),
        ("timestamp", [0, 1 << 80], 1),
        ("name", ([0], ["a"]), None),
        ("value", [0.5, "b"], 1),
        ("value", [[1.0], [2.0]], 0),
        ("name", ([0, 1], ["a", "x" * 256]), 1),
        ("name", ([0, 2], ["a", "b"]), 1),
        ("name", ([-1, 0], ["a", "b"]), 0),
        ("name", ([0, 0], [b"a"]), 0),
        ("name", ([0.0, 0.0], ["a"]), None),
        ("name", ([0, 1], ["a", "\ud800"]), 1),
        ("other", [1, 2], None),
    ],
)
def test_building_refuses_what_a_field_cannot_hold(
    field: str, column: Any, index: int | None
) -> None:
    """The error has the field and the index."""
    with pytest.raises(FieldValueError) as caught:
        build_columns(Schema.of(RECORD), GOOD | {field: column})
    assert (caught.value.field, caught.value.index) == (field, index)


def test_building_needs_every_field_but_constants() -> None:
    """A constant may be given if its value is right."""
    with pytest.raises(FieldValueError):
        build_columns(Schema.of(RECORD), {k: v for k, v in GOOD.items() if k != "step"})
    schema, columns = Schema.of(MARKED), {"n": [1], "t": ([0], ["x"])}
    assert build_columns(schema, columns) == MARKED.build({"n": 1, "t": "x"})
    assert build_columns(schema, columns | {"end": [7]}) == build_columns(schema, columns)
    with pytest.raises(FieldValueError):
        build_columns(schema, columns | {"end": [8]})


def test_building_refuses_floats_too_large_for_their_field() -> None:
    """Infinity is a value; overflow is an error."""
    schema = Schema.of(Struct("f" / Float32b))
    assert build_columns(schema, {"f": [float("inf"), 1e-50]}) == struct.pack(">ff", np.inf, 0)
    with pytest.raises(FieldValueError):
        build_columns(schema, {"f": [0.0, 1e39]})
