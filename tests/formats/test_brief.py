"""Short logs: what is found by their own paths is what one record after another would give."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from construct import Float32b, Float64l, GreedyRange, Int8ub, Int16ub, Int32ul, Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from formats import RECORD, LengthPrefixedText, RecordCodec, Text
from formats.columns import ColumnParser, Columns, agreement, brief, numbers, period, reading
from formats.schema import Schema
from tests.helpers.declarations import same

TWO_TEXTS = Struct(
    "tag" / Text, "count" / Int32ul, "note" / LengthPrefixedText(Int16ub), "ratio" / Float64l
)
NEVER = 1 << 30
NAMES = ["loss", "accuracy", "val/loss", "lr", "", "grad/norm", "é", "x" * 255]


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    """Nothing is remembered of what other tests read."""
    reading.reading_of.cache_clear()


def records(names: list[str], first: int = 0) -> bytes:
    """One record for each name."""
    build = RecordCodec(RECORD).build
    return b"".join(
        build(timestamp=1_700_000_000 + i, step=i, value=i / 7, name=name)
        for i, name in enumerate(names, first)
    )


def equal(found: Columns, declaration: Any, data: bytes) -> None:
    """Compare with construct, and with the machinery for long logs."""
    expected = GreedyRange(declaration).parse(data)
    assert found.count == len(expected)
    for field in Schema.of(declaration):
        column = found[field.name].tolist()
        assert len(column) == len(expected)
        assert all(map(same, column, (item[field.name] for item in expected)))


def patterns() -> dict[str, list[str]]:
    """Orders of names, as training loops and others log them."""
    rnd = random.Random(5)
    turn = NAMES[:3] * 150
    every = [name for i in range(200) for name in NAMES[:2] + ([NAMES[3]] if i % 20 == 19 else [])]
    return {
        "one name": NAMES[:1] * 400,
        "three in turn": turn,
        "seven in turn": NAMES[:7] * 60,
        "another every twentieth step": every,
        "a beginning of its own": [NAMES[5], NAMES[6], *turn],
        "an order that changes": turn + NAMES[2:5] * 150,
        "a name amid": [*turn[:200], "strange", *turn],
        "at random": rnd.choices(NAMES, k=400),
        "ever new": [f"name {i}" for i in range(400)],
        "many in turn": [f"name {i % 90}" for i in range(400)],
        "few": NAMES[:2],
        "none": [],
    }


@pytest.mark.parametrize("names", patterns().values(), ids=patterns())
@pytest.mark.parametrize("few", [0, 1 << 11])
def test_orders_of_names(names: list[str], few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, torn, and as the second log of a parser that has read another one."""
    monkeypatch.setattr(brief, "_FEW", few)
    data = records(names)
    for size in {len(data), len(data) - 1, len(data) - 25, len(data) // 2, len(data) // 3} - {-1}:
        if size >= 0:
            equal(ColumnParser(Schema.of(RECORD)).feed(data[:size]), RECORD, data[:size])
    equal(ColumnParser(Schema.of(RECORD)).feed(data), RECORD, data)  # with what is remembered
    for other in patterns().values():
        parser = ColumnParser(Schema.of(RECORD))
        parser.feed(records(other, 1000))
        before = parser._end
        found = parser.feed(data)
        equal(found, RECORD, data)
        assert found.end == before + len(data)


@pytest.mark.parametrize(
    ("long", "few", "some", "many"),
    [(0, 0, 0, 0), (NEVER, NEVER, 0, 0), (NEVER, 0, NEVER, NEVER)],
    ids=["by number", "by run", "gathered"],
)
def test_periods_are_read_in_each_way(
    long: int, few: int, some: int, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a strided array for each number of the period, or for each run; or by a gather of all."""
    monkeypatch.setattr(numbers, "_LONG", long)
    monkeypatch.setattr(numbers, "_FEW_PLACES", few)
    monkeypatch.setattr(numbers, "_SOME_ROWS", some)
    monkeypatch.setattr(numbers, "_MANY_ROWS", many)
    for names in patterns().values():
        data = records(names)
        equal(ColumnParser(Schema.of(RECORD)).feed(data), RECORD, data)


@given(st.data())
@settings(max_examples=150)
def test_any_records_of_two_texts(data: st.DataObject) -> None:
    """Texts that repeat or not, cut anywhere, with a byte changed or not."""
    build = RecordCodec(TWO_TEXTS).build
    texts = data.draw(st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=3)), max_size=6))
    times = data.draw(st.integers(1, 30))
    raw = bytearray(
        b"".join(
            build(tag=tag, count=i, note=note, ratio=i / 3)
            for i, (tag, note) in enumerate(texts * times)
        )
    )
    if raw and data.draw(st.booleans()):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    whole = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        patch.setattr(brief, "_FEW", 0)
        patch.setattr(period, "UNIT", data.draw(st.sampled_from([1, 64, 1 << 10])))
        equal(ColumnParser(Schema.of(TWO_TEXTS)).feed(whole), TWO_TEXTS, whole)


@given(st.binary(max_size=3000))
def test_any_bytes(data: bytes) -> None:
    """Garbage is read as construct reads it."""
    equal(ColumnParser(Schema.of(RECORD)).feed(data), RECORD, data)


def test_what_is_read_one_by_one_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Data whose order does not repeat is left to the machinery for long logs."""
    rnd = random.Random(7)
    data = records(rnd.choices([f"name {i}" for i in range(40)], k=30_000))
    walk = brief.BriefWalk(reading.reading_of(Schema.of(RECORD), None), [brief.Vocabulary()])
    walk.walk(data)
    assert len(walk.columns()["step"]) <= 500
    walk.walk(data[:60_000])
    assert len(walk.columns()["step"]) <= 1_024


def test_the_order_of_another_log_does_not_keep_its_own_from_being_learned() -> None:
    """The orders of two logs may begin alike; each is read as one part once it was learned."""
    one, other = records(NAMES[:1] * 300), records(NAMES[:3] * 300)
    for data, expected in [(one, 1), (other, 3), (other, 3), (one, 1)]:
        equal(ColumnParser(Schema.of(RECORD)).feed(data), RECORD, data)
        assert reading.reading_of(Schema.of(RECORD), None).known[b""].records == expected


@pytest.mark.parametrize("size", [21, 64, 100, 276])
@pytest.mark.parametrize("rest", [0, 20])
def test_periods_are_counted_up_to_any_break(
    size: int, rest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one after another would be, however many there are."""
    monkeypatch.setattr(period, "UNIT", 200)
    names = ["a" * (size - 21)]
    turn = period.Period(records(names), b"\0" * 20 + b"\xff" * (size - 20), [0], [[b"a"]])
    for count in range(200 // min(size, 200) * 20):
        data = records(names * (count + 1))[: count * size + rest]
        assert turn.count(data, 0) == count
        if count:
            index = count * 7 % 11 * (count - 1) // 10
            wrong = bytearray(data)
            wrong[index * size + 20 + count % (size - 20)] ^= 1
            assert turn.count(bytes(wrong), 0) == index


@pytest.mark.parametrize(("broken", "most"), [(300, 0), (700, 1), (2_000, 3), (8_000, 15)])
def test_little_is_compared_after_a_break(
    broken: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most as much again, or a unit."""
    compared: list[int] = []

    def counted(data: Any, mask: Any, expected: Any, held: bytearray) -> int:
        same = agreement.agreed(data, mask, expected, held)
        compared.append(min(same // len(held) * len(held) + len(held), data.size))
        return same

    monkeypatch.setattr(period, "agreed", counted)
    names = NAMES[:1] * 10_000
    names[broken] = "odd"
    data = records(names)
    turn = period.Period(data[:25], b"\0" * 20 + b"\xff" * 5, [0], [[b"loss"]])
    assert turn.count(data, 0) == broken
    assert sum(compared) <= most * period.UNIT


@pytest.mark.parametrize("units", [1, 2, 5, 9, 10, 20])
def test_a_period_is_compared_to_its_last_byte(units: int) -> None:
    """Bytes that differ end it, wherever they are in the data that are compared at a time."""
    record = records(NAMES[:1])
    mask = b"\0" * 20 + b"\xff" * (len(record) - 20)
    turn = period.Period(record, mask, [0], [[b"loss"]])
    count = units * period.UNIT // len(record)
    data = b"before" + records(NAMES[:1] * count) + record[:7]
    assert turn.count(data, 6) == count
    for index in {0, 1, count // 3, count // 2, count - 1}:
        wrong = bytearray(data)
        wrong[6 + index * len(record) + 22] ^= 1
        assert turn.count(bytes(wrong), 6) == index


def test_a_tear_waits_for_the_next_feed() -> None:
    """Bytes of a record that is not whole are held, wherever the log is cut."""
    data = records(NAMES[:3] * 50)
    for size in range(len(data) - 120, len(data)):
        parser = ColumnParser(Schema.of(RECORD))
        first, second = parser.feed(data[:size]), parser.feed(data[size:])
        steps = np.concatenate([first["step"], second["step"]])
        assert steps.tolist() == list(range(150))
        assert second.end == len(data)


def test_numbers_of_one_byte_and_of_four() -> None:
    """Widths other than RECORD's."""
    declaration = Struct("level" / Int8ub, "name" / Text, "gain" / Float32b)
    build = RecordCodec(declaration).build
    data = b"".join(build(level=i % 256, name="ab"[i % 2], gain=i / 2) for i in range(500))
    equal(ColumnParser(Schema.of(declaration)).feed(data), declaration, data)


class _Watched(np.ndarray[Any, Any]):
    """Starts that another thread replaces right after their number was asked for."""

    def __len__(self) -> int:
        count = super().__len__()
        _Watched.replace()
        return count

    @staticmethod
    def replace() -> None:
        """Set by the test."""


def test_threads_may_share_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that needs fewer of an order's starts does not take them from one that needs more."""
    shared = period.Period(b"abc", b"\0\0\0", [0, 1], [[b"", b""]])
    few, many = shared.starts_of(2), shared.starts_of(9).copy()
    monkeypatch.setattr(_Watched, "replace", lambda: setattr(shared, "_starts", few[:4]))
    shared._starts = many.view(_Watched)
    assert shared.starts_of(9).tolist() == many.tolist()


def around(inner: list[str], steps: int, others: list[str], times: int) -> list[str]:
    """Names in turn for some steps, then others; so many times."""
    return (inner * steps + others) * times


@pytest.mark.parametrize("first", [0, 3, 250, 499])
@pytest.mark.parametrize("limit", [brief.LIMIT, 0], ids=["short", "long"])
def test_an_order_around_another_is_followed(
    first: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it has repeated, wherever in it the log begins: nothing else is learned after it."""
    monkeypatch.setattr("formats.columns.parse.LIMIT", limit)
    data = records(around(NAMES[:5], 100, ["a", "bc", "def"], 12)[first:])
    equal(ColumnParser(Schema.of(RECORD)).feed(data), RECORD, data)
    walk = brief.BriefWalk(reading.reading_of(Schema.of(RECORD), None), [brief.Vocabulary()])
    assert walk.walk(data) == len(data)
    orders = [part.period.records for part in walk._parts if isinstance(part, brief._Repeated)]
    assert 503 in orders[:4]
    assert len(orders) <= 5


def test_an_order_around_another_is_remembered() -> None:
    """A log of the same order is one part; one that is shorter learns its own again."""
    names = around(NAMES[:3], 30, ["a"], 20)
    for _ in range(2):
        data = records(names)
        equal(ColumnParser(Schema.of(RECORD)).feed(data), RECORD, data)
        assert reading.reading_of(Schema.of(RECORD), None).known[b""].records == 91
    short = records(names[:90])
    equal(ColumnParser(Schema.of(RECORD)).feed(short), RECORD, short)
    assert reading.reading_of(Schema.of(RECORD), None).known[b""].records == 3


@settings(max_examples=150)
@given(st.data())
def test_orders_around_others_are_read_as_construct_reads_them(data: st.DataObject) -> None:
    """Of any lengths, also with names in common, changed on the way, and cut anywhere."""
    some = st.lists(st.sampled_from(NAMES[:6]), min_size=1, max_size=4)
    names: list[str] = []
    for _ in range(data.draw(st.integers(1, 3))):
        inner, others = data.draw(some), data.draw(some)
        steps, times = data.draw(st.integers(2, 40)), data.draw(st.integers(1, 6))
        names += around(inner, steps, others, times)[data.draw(st.integers(0, 20)) :]
    if names and data.draw(st.booleans()):
        names[data.draw(st.integers(0, len(names) - 1))] = "strange"
    whole = records(names)
    whole = whole[: len(whole) - data.draw(st.integers(0, 30))]
    equal(ColumnParser(Schema.of(RECORD)).feed(whole), RECORD, whole)
    place = data.draw(st.integers(0, len(whole)))
    parser = ColumnParser(Schema.of(RECORD))
    found = [parser.feed(whole[:place]), parser.feed(whole[place:])]
    expected = GreedyRange(RECORD).parse(whole)
    for field in ("name", "step", "value"):
        assert [item for one in found for item in one[field].tolist()] == [
            item[field] for item in expected
        ]
