"""Orders of records that whole logs repeat: what agrees with one, and the numbers in it."""

from __future__ import annotations

import numpy as np
import pytest
from construct import Float32b, Int16ub, Int64sb, Struct
from hypothesis import given
from hypothesis import strategies as st

from formats import RECORD, RecordCodec
from formats.columns import parse_columns
from formats.columns.clock import Clock
from formats.columns.order import Order
from formats.damage.plausible import EARLIEST, LATEST
from formats.fields import Text
from formats.schema import Schema
from tests.helpers.logs import NOW, log

CLOCK = Clock("timestamp", EARLIEST, LATEST)
SCHEMA = Schema.of(RECORD)
TWO = Struct("timestamp" / Int64sb, "kind" / Text, "x" / Float32b, "name" / Text, "n" / Int16ub)


def learned(data: bytes) -> Order | None:
    """The order of a log of metrics."""
    return Order.learned(SCHEMA, CLOCK, "name", data)


def known(data: bytes) -> Order:
    """The order of a log of metrics that has one."""
    found = learned(data)
    assert found is not None
    return found


def test_an_order_is_the_shortest_that_a_log_repeats() -> None:
    """One that repeats nothing is an order by itself."""
    order = known(log(30, names=("loss", "acc", "lr")))
    assert (order.records, order.labels) == (3, [b"loss", b"acc", b"lr"])
    odd = known(log(7))
    assert (odd.records, odd.size) == (7, len(log(7)))


@pytest.mark.parametrize(
    "data",
    [log(30)[:-1], log(30) + b"\0", b"\0" * 25 * 30, log(30, timestamp=5), log(4)[3:]],
    ids=["torn", "more", "zeros", "other clocks", "inside a record"],
)
def test_what_needs_a_closer_look_has_no_order(data: bytes) -> None:
    """Whatever is not certainly clean."""
    assert learned(data) is None


def test_clocks_that_an_order_does_not_prove_have_none() -> None:
    """Their high bytes change within the log, or a range of theirs is not usual throughout."""
    border = (NOW >> 24) + 1 << 24
    assert learned(log(40, timestamp=border - 20)) is None
    assert learned(log(40, timestamp=border)) is not None
    assert not known(log(40)).may_have(log(40, timestamp=border))


def test_a_log_agrees_only_if_all_of_its_bytes_do() -> None:
    """But for the numbers; the beginning alone does not decide."""
    order = known(log(40))
    other = bytearray(log(60))
    assert order.may_have(bytes(other))
    assert order.agrees(bytes(other))
    assert order.agrees(log(40) + bytes(other))
    other[-3:] = b"ACC"
    assert order.may_have(bytes(other))
    assert not order.agrees(bytes(other))
    assert not order.agrees(log(40) + bytes(other))
    assert not order.may_have(log(41))
    assert not order.may_have(b"\0" * len(log(40)))


numbers = st.tuples(st.integers(NOW, NOW + 1000), st.floats(width=32), st.integers(0, 65535))


@given(
    turn=st.lists(
        st.tuples(st.sampled_from(["a", "b", ""]), st.sampled_from(["x", "yy"])),
        min_size=1,
        max_size=5,
    ),
    rows=st.integers(1, 4),
    data=st.data(),
)
def test_the_numbers_are_those_of_all_columns(
    turn: list[tuple[str, str]], rows: int, data: st.DataObject
) -> None:
    """Of a record with several texts, too; of any of its places in any of the repetitions."""
    codec = RecordCodec(TWO)
    drawn = data.draw(st.lists(numbers, min_size=len(turn) * rows, max_size=len(turn) * rows))
    built = b"".join(
        codec.build(kind=kind, timestamp=clock, x=x, name=name, n=n)
        for (kind, name), (clock, x, n) in zip(turn * rows, drawn, strict=True)
    )
    clock = Clock("timestamp", EARLIEST, LATEST)
    order = Order.learned(Schema.of(TWO), clock, "name", built)
    assert order is not None
    places = sorted(data.draw(st.sets(st.integers(0, order.records - 1))))
    chosen = sorted(data.draw(st.sets(st.integers(0, len(built) // order.size - 1))))
    found = order.numbers(built, places, np.array(chosen, np.int64))
    columns = parse_columns(TWO, built)
    which = [row * order.records + place for row in chosen for place in places]
    for name in ("timestamp", "x", "n"):
        expected = columns[name][np.array(which, np.intp)]
        assert found[name].dtype == expected.dtype
        assert found[name].tobytes() == expected.tobytes()
        assert order.column(built, name).tobytes() == columns[name].tobytes()


@pytest.mark.parametrize("names", [3, 40])
@pytest.mark.parametrize("rows", [1, 50, 150, 1300])
def test_a_column_has_all_records(names: int, rows: int) -> None:
    """In whichever way it is read that costs least."""
    turn = [f"n{number % 7}" * (1 + number % 2) for number in range(names)]
    data = log(names * rows, names=turn)
    order, columns = known(data), parse_columns(RECORD, data)
    for name in ("timestamp", "step", "value"):
        found = order.column(data, name)
        assert found.dtype == columns[name].dtype
        assert found.tobytes() == columns[name].tobytes()
