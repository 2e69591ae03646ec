"""Split points of a long sequence, compared with its record starts."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import pytest
from construct import Const, Float64b, Int8ub, Int32ub, Struct
from hypothesis import given
from hypothesis import strategies as st

from formats import RECORD, RecordCodec, Schema, Text
from formats.columns import record_starts
from formats.columns.splits import split_points
from tests.helpers.tables import metrics

SCHEMA = Schema.of(RECORD)
CODEC = RecordCodec(RECORD)


def expected(schema: Schema, data: bytes, every: int) -> list[int]:
    """For each multiple the first start at or after it, without repeats."""
    starts = [int(start) for start in record_starts(schema, data)[0]]
    found = []
    for due in range(every, len(data) + every, every):
        at = bisect_left(starts, due)
        if at < len(starts):
            found.append(starts[at])
    return list(dict.fromkeys(found))


def found(schema: Schema, data: bytes, every: int, block: int) -> list[int]:
    """The result of `split_points` for blocks of this size."""
    view = memoryview(data)
    blocks = (view[start : start + block] for start in range(0, len(data), block))
    return list(split_points(schema, blocks, every))


@given(
    rows=st.lists(metrics, max_size=40),
    tail=st.binary(max_size=30),
    every=st.integers(1, 500),
    block=st.integers(1, 700),
)
def test_any_log_is_cut_where_records_begin(
    rows: list[object], tail: bytes, every: int, block: int
) -> None:
    """For any names, block sizes, and bytes at the end."""
    data = b"".join(CODEC.build(**row._asdict()) for row in rows) + tail  # type: ignore[attr-defined]
    assert found(SCHEMA, data, every, block) == expected(SCHEMA, data, every)


@pytest.mark.parametrize("order", ["in turn", "at random", "changing"])
def test_a_long_log_is_cut_where_records_begin(order: str) -> None:
    """Even if the order of names repeats, stops repeating, and is learned again."""
    names, count = ["loss", "a", "val/accuracy", "", "x" * 255], 30_000
    codes = np.arange(count) % 5
    if order == "at random":
        codes = np.random.default_rng(1).integers(0, 5, count)
    elif order == "changing":
        codes[count // 2 :] = np.arange(count - count // 2) % 3
    data = b"".join(
        CODEC.build(timestamp=1_700_000_000, step=step, value=0.5, name=names[code])
        for step, code in enumerate(codes.tolist())
    )
    for every, block in [(100_000, 1 << 17), (4096, 1 << 20), (1 << 20, 10_000)]:
        assert found(SCHEMA, data, every, block) == expected(SCHEMA, data, every)


def test_other_declarations_are_cut_alike() -> None:
    """Two texts and a constant, and records of fixed width."""
    two = Struct("a" / Text, "mark" / Const(7, Int8ub), "b" / Text, "value" / Float64b)
    codec = RecordCodec(two)
    data = b"".join(codec.build(a="k" * (i % 7), b="v", value=1.0) for i in range(5000))
    schema = Schema.of(two)
    assert found(schema, data, 1000, 3000) == expected(schema, data, 1000)
    fixed = Schema.of(Struct("a" / Int32ub, "b" / Float64b))
    assert found(fixed, bytes(12 * 1000 + 5), 1000, 77) == expected(fixed, bytes(12005), 1000)
