"""Equally spaced records of a period: each once, and read as construct reads them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from construct import Float64b, GreedyRange, Int16ub, Int24ub, Int32ul, Struct
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.columns import (
    ColumnParser,
    Columns,
    memory,
    parse,
    reading,
    repetition,
    starts,
    strands,
)
from formats.columns.output import Output
from formats.columns.repetition import Match
from formats.columns.strands import strands_of
from formats.fields import LengthPrefixedText, Text
from formats.metrics import RECORD
from formats.schema import Schema
from tests.helpers.declarations import same

TWO_TEXTS = Struct("a" / Text, "n" / Int32ul, "b" / LengthPrefixedText(Int16ub), "x" / Float64b)
ODD = Struct("n" / Int24ub, "t" / Text)  # numbers that NumPy does not have
LAYERS = [f"layer{number}/grad" for number in range(120)]
EPOCH = ["loss", "lr", "accuracy"] * 50 + ["val/loss", "epoch"]
MIXED = [name for pair in zip(LAYERS, reversed(LAYERS), strict=True) for name in pair]


def built(declaration: Any, names: list[str]) -> bytes:
    """One record for each name."""
    texts = [field.name for field in Schema.of(declaration).texts]
    others = [field.name for field in Schema.of(declaration) if not field.is_variable]
    build = declaration.build
    return b"".join(
        build(dict.fromkeys(texts, name) | dict.fromkeys(others, 1000000 + i))
        for i, name in enumerate(names)
    )


def parsed(declaration: Any, data: bytes, pieces: list[int] | None = None) -> list[Columns]:
    """The columns of the data, fed in pieces of these sizes; the last has the rest."""
    parser, found, at = ColumnParser(declaration), [], 0
    for size in pieces or []:
        found.append(parser.feed(data[at : at + size]))
        at += size
    return [*found, parser.feed(data[at:])]


def equal(declaration: Any, data: bytes, found: list[Columns]) -> None:
    """Compare all columns with construct."""
    expected = GreedyRange(declaration).parse(data)
    assert sum(one.count for one in found) == len(expected)
    for field in Schema.of(declaration):
        column = [item for one in found for item in one[field.name].tolist()]
        assert all(map(same, column, (item[field.name] for item in expected)))


@pytest.fixture(autouse=True)
def _forgetful() -> None:
    """Nothing is remembered of what other tests read."""
    reading.reading_of.cache_clear()


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Long logs at any length, in small blocks; the turns of each part read strand by strand."""
    read, turns = Match.read_blocks, list[int]()

    def counted(self: Match, *args: Any) -> None:
        turns.append(self.turns)
        read(self, *args)

    monkeypatch.setattr(Match, "read_blocks", counted)
    monkeypatch.setattr(parse, "LIMIT", 0)
    monkeypatch.setattr(parse, "BLOCK", 1 << 16)
    monkeypatch.setattr(parse, "_LONGEST", 1 << 16)
    return turns


@pytest.mark.parametrize(
    "order", [LAYERS, EPOCH, MIXED], ids=["layers", "an epoch", "lengths that rise and fall"]
)
@pytest.mark.parametrize("declaration", [RECORD, TWO_TEXTS], ids=["one text", "two texts"])
def test_long_periods_are_read_strand_by_strand(
    declaration: Any, order: list[str], blocks: list[int]
) -> None:
    """Over blocks that end anywhere, with a strange record amid, and torn."""
    names = order * (16_000 // len(order))
    names.insert(9_000, "strange")
    data = built(declaration, names)[:-3]
    equal(declaration, data, parsed(declaration, data))
    assert sum(blocks) > 3 * 20  # of each number column
    for column in parsed(declaration, data)[0].values():
        assert len(column) == len(names) - 1


def test_each_call_gives_all_its_records(blocks: list[int]) -> None:
    """What waits for the rest of its period is given where a call ends."""
    data = built(RECORD, EPOCH * 60)
    pieces = [100_000, 17, 30_000, 1, 2_000]
    found = parsed(RECORD, data, pieces)
    at = 0
    for size, columns in zip(pieces, found, strict=False):
        at += size
        assert columns.end <= at < columns.end + 21 + 255
    equal(RECORD, data, found)
    assert blocks


@pytest.mark.parametrize("order", [["loss", "lr", "accuracy"], LAYERS], ids=["a few", "layers"])
def test_what_agrees_is_compared_once(
    order: list[str], blocks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a block that ends amid a period, its rest waits for the next one."""
    compared: list[int] = []
    agreed = repetition.agreed

    def counted(data: Any, *args: Any) -> int:
        compared.append(data.size)
        return agreed(data, *args)

    monkeypatch.setattr(repetition, "agreed", counted)
    data = built(RECORD, order * (30_000 // len(order)))
    count = -(-len(data) // parse.BLOCK)
    found = ColumnParser(RECORD).read(io.BytesIO(data).readinto, len(data))
    assert (found.count, found.end) == (30_000, len(data))
    assert count > 10
    assert len(compared) <= count + 1


def test_numbers_that_numpy_does_not_have_are_gathered(blocks: list[int]) -> None:
    """They are not read as blocks."""
    data = built(ODD, LAYERS * 60)
    equal(ODD, data, parsed(ODD, data))
    assert not blocks


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60))
@settings(max_examples=200)
def test_strands_have_each_place_once(lengths: list[tuple[int, int]]) -> None:
    """At equal distances, and with the same lengths; or there are none."""
    columns = [np.array(column, np.int64) for column in zip(*lengths, strict=True)]
    ends = np.cumsum([9 + first + second for first, second in lengths])
    starts = ends - ends[0]
    assert strands_of(columns, starts) in ([], _all_strands(columns, starts))
    found = _all_strands(columns, starts)
    places = [place for strand in found for place in range(len(lengths))[strand.places]]
    assert sorted(places) == list(range(len(lengths)))
    for strand in found:
        there = list(range(len(lengths))[strand.places])
        assert (there[0], len(there)) == (strand.first, strand.times)
        assert len({lengths[place] for place in there}) == 1
        expected = starts[strand.first] + strand.step * np.arange(strand.times)
        assert starts[there].tolist() == expected.tolist()


def _all_strands(lengths: list[Any], starts: Any) -> list[strands.Strand]:
    """The strands, however short they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strands, "_LEAST", 0)
        return strands_of(lengths, starts)


def test_strands_are_the_same_with_any_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy 2.0.0 gives the inverse of `unique` along an axis as many dimensions as its input."""
    lengths = [np.array([4, 4, 5] * 4), np.array([1, 2, 1] * 4)]
    starts = np.arange(0, 240, 20)
    expected = strands_of(lengths, starts)
    unique = np.unique

    def older(array: Any, *, axis: int, return_inverse: bool) -> Any:
        values, inverse = unique(array, axis=axis, return_inverse=return_inverse)
        return values, inverse.reshape(1, -1)

    monkeypatch.setattr(np, "unique", older)
    assert strands_of(lengths, starts) == expected != []


def test_a_period_with_too_many_strands_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gathering all records then costs less; so it does if strands are short."""
    lengths = np.repeat(np.arange(9, dtype=np.int64), 2)
    starts = np.cumsum(lengths + 21)
    assert len(strands_of([lengths], starts)) == 9
    assert strands_of([lengths[::2]], starts[::2]) == []
    monkeypatch.setattr(strands, "_MOST", 8)
    assert strands_of([lengths], starts) == []


def test_large_columns_are_the_same_in_any_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """They grow, are shortened, and can be written to; without huge pages NumPy's memory serves."""
    monkeypatch.setattr(memory, "_LARGE", 1)
    for is_huge in (True, False):
        if not is_huge:
            monkeypatch.setattr(memory.mmap, "mmap", _no_memory)
        output = Output({"x": np.float64, "v": np.dtype((np.int16, (3,))), "o": object}, 4, {})
        for first in range(0, 1000, 100):
            x = np.arange(first, first + 100)
            v = np.stack([x, x + 1, x + 2], axis=1)
            output.add({"x": x, "v": v, "o": x.astype(object)})
        columns = output.finish()
        assert columns["x"].tolist() == columns["o"].tolist() == list(range(1000))
        assert columns["v"].shape == (1000, 3)
        assert columns["v"][:, 2].tolist() == list(range(2, 1002))
        columns["x"][0] = 5
        assert columns["x"][0] == 5


def _no_memory(*_: Any, **__: Any) -> None:
    raise OSError("Cannot allocate memory")


def test_the_walk_is_short_where_an_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a long log little is read one record after another, however large the blocks are."""
    monkeypatch.setattr(parse, "LIMIT", 0)
    monkeypatch.setattr(parse, "_BEGINNING", 1 << 13)  # in which the order does not repeat
    learned: list[int] = []
    learn = repetition.Repetition.learn

    def counted(self: repetition.Repetition, data: Any, bounds: Any, *args: Any) -> bool:
        learned.append(bounds.size - 1)
        return learn(self, data, bounds, *args)

    monkeypatch.setattr(repetition.Repetition, "learn", counted)
    ColumnParser(RECORD).feed(built(RECORD, LAYERS * 300))
    assert 0 < sum(learned) < 6_000


@pytest.mark.parametrize("count", [500, 1000, 2000])
def test_many_names_in_turn_are_learned_from_two_turns(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record after another, as long as names are new: nothing of the rest is walked."""
    names = [f"layer{number}" for number in range(count)]
    data = built(RECORD, names * 20)
    monkeypatch.setattr(starts.RecordWalk, "bounds", None)  # cannot be called
    found = ColumnParser(RECORD).feed(data)
    assert found.count == 20 * count
    assert found["name"].values == tuple(names)
    assert (found["name"].codes == np.tile(np.arange(count), 20)).all()
