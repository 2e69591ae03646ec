"""Some records of a stream: those wanted, as if all had been read and the others left out."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from construct import Float64l, GreedyRange, Int32ul, Int64ul, Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from formats import RECORD, RecordCodec, Text
from formats.columns import ColumnParser, parse, reading, repetition
from formats.columns.clock import Choice, Clock
from formats.columns.period import mask_of
from formats.damage.plausible import EARLIEST, LATEST
from formats.schema import Schema

CLOCK = Clock("timestamp", EARLIEST, LATEST)
LITTLE = Struct("timestamp" / Int64ul, "name" / Text, "step" / Int32ul, "value" / Float64l)
EDGE = 101 << 24  # here the high bytes of a clock change


def records(declaration: Any, names: list[str], clocks: list[int]) -> bytes:
    """One record for each name."""
    build = RecordCodec(declaration).build
    rows = zip(names, clocks, strict=True)
    return b"".join(
        build(timestamp=clock, step=i, value=i / 7, name=name)
        for i, (name, clock) in enumerate(rows)
    )


@pytest.mark.parametrize("declaration", [RECORD, LITTLE], ids=["big-endian", "little-endian"])
@given(data=st.data())
@settings(max_examples=30)
def test_any_choice_of_any_order(declaration: Any, data: st.DataObject) -> None:
    """Whole or torn, in blocks or at once, with clocks of any kind."""
    order = data.draw(st.lists(st.sampled_from(["a", "bc", "", "def"]), min_size=1, max_size=6))
    names = order * data.draw(st.sampled_from([1, 7, 150]))
    if data.draw(st.booleans()):
        names.insert(data.draw(st.integers(0, len(names))), "strange")
    first = data.draw(st.sampled_from([1_700_000_000, EDGE - 40, EARLIEST - 9, 0, 1 << 50]))
    clocks = [first + i // 3 for i in range(len(names))]
    raw = records(declaration, names, clocks)
    raw = raw[: data.draw(st.integers(0, 30)) * -1 or None]
    wanted = data.draw(st.sets(st.sampled_from(["a", "bc", "", "strange", "none"])))
    with pytest.MonkeyPatch.context() as patch:
        reading.reading_of.cache_clear()
        patch.setattr(parse, "LIMIT", data.draw(st.sampled_from([0, 1 << 20])))
        block = data.draw(st.sampled_from([1 << 10, 1 << 19]))
        patch.setattr(parse, "BLOCK", block)
        patch.setattr(parse, "_STRETCH", min(block, 1 << 16))
        patch.setattr(repetition, "_MIN_RECORDS", 8)
        patch.setattr(repetition, "_FEW", data.draw(st.sampled_from([0, 4])))
        for _ in range(2):  # the second time with what is remembered
            parser = ColumnParser(declaration, None, CLOCK, Choice("name", wanted.__contains__))
            found = parser.feed(raw)
            everything = list(GreedyRange(declaration).parse(raw))
            expected = [record for record in everything if record.name in wanted]
            assert found["step"].tolist() == [record.step for record in expected]
            assert found["timestamp"].tolist() == [record.timestamp for record in expected]
            assert found["value"].tolist() == [record.value for record in expected]
            assert found["name"].tolist() == [record.name for record in expected]
            assert (found.count, found.seen) == (len(expected), len(everything))
            distinct = dict.fromkeys(record.name for record in everything)
            assert found["name"].values == tuple(distinct)
            low, high = found.clocks
            assert all(low <= record.timestamp <= high for record in everything)
            parser.choose_all(found.start)
            again = parser.feed(raw[found.start :])
            assert again["step"].tolist() == [record.step for record in everything]
            assert (again.start, again.end, again.seen) == (found.start, found.end, found.seen)


@pytest.mark.parametrize("limit", [0, 1 << 20], ids=["long", "short"])
def test_clocks_are_known_without_being_read(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the bytes compared: a range of 194 days if all of it is usual, and none otherwise."""
    monkeypatch.setattr(parse, "LIMIT", limit)
    reading.reading_of.cache_clear()
    names = ["a", "bc", "def"] * 400
    for first, expected in [
        (1_700_000_000, (101 << 24, (102 << 24) - 1)),
        (EARLIEST - 9, (-math.inf, math.inf)),
        (5, (-math.inf, math.inf)),
    ]:
        parser = ColumnParser(RECORD, None, CLOCK)
        parser.feed(b"")
        found = parser.feed(records(RECORD, names, [first] * len(names)))
        assert found.clocks == expected
    assert ColumnParser(RECORD).feed(records(RECORD, ["a"], [1])).clocks == (-math.inf, math.inf)


def test_a_range_holds_for_the_records_of_its_call() -> None:
    """Each feed has its own, and one of few records is exact."""
    parser = ColumnParser(RECORD, None, CLOCK)
    assert parser.feed(records(RECORD, ["a", "b"], [7, 5])).clocks == (5, 7)
    assert parser.feed(records(RECORD, ["a"], [9])).clocks == (9, 9)


def test_orders_are_remembered_of_each_range_of_clocks() -> None:
    """Logs of different years do not take each other's place; how many are kept is bounded."""
    reading.reading_of.cache_clear()
    names = ["a", "bc", "def"] * 100
    for number in range(100):
        ColumnParser(RECORD, None, CLOCK).feed(records(RECORD, names, [number << 24] * 300))
        known = reading.reading_of(Schema.of(RECORD), CLOCK).known
        assert number.to_bytes(5, "big") in known
        assert len(known) <= 64


def test_a_parser_that_chooses_is_pickled() -> None:
    """In the middle of a log, as any other."""
    raw = records(RECORD, ["a", "bc"] * 50, list(range(100)))
    parser = ColumnParser(RECORD, None, CLOCK, Choice("name", {"a"}.__contains__))
    parser.feed(raw[:1000])
    found = pickle.loads(pickle.dumps(parser)).feed(raw[1000:])
    assert np.unique(found["name"].codes).tolist() == [0]
    assert found["step"][-1] == 98


def test_the_mask_has_the_texts_and_the_high_bytes_of_the_clocks() -> None:
    """255 for what must repeat: here of two records, whose clock has its high bytes last."""
    texts = [[b"ab", b""]]
    length, number = b"\xff", b"\0"
    schema = Schema.of(LITTLE)  # timestamp, name, step, value
    clock = number * 3 + length * 5
    assert mask_of(schema, texts, (3, 8)) == (
        clock + length * 3 + number * 12 + clock + length + number * 12
    )
    assert mask_of(schema, texts) == number * 8 + length * 3 + number * 20 + length + number * 12
