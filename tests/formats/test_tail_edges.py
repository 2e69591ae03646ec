"""The state of a log's end, in every order of good, implausible and zero records."""

from __future__ import annotations

import itertools
import struct

import pytest
from construct import Bytes, Int64ub, Struct

from formats import CLEAN, RECORD, Roles, TailStatus, tail_status
from formats.columns import ColumnParser, parse_columns
from formats.damage.tail import TailWatch
from formats.metrics import ROLES
from formats.schema import Schema
from tests.helpers.logs import CODEC, NOW

SCHEMA = Schema.of(RECORD)
GOOD = CODEC.build(timestamp=NOW, step=1, value=0.5, name="loss")
BAD = CODEC.build(timestamp=5, step=1, value=0.5, name="\x01\x02")
ZERO = bytes(SCHEMA.min_size)


def status(*records: bytes, rest: bytes = b"") -> TailStatus:
    """The status of records and what follows them, found at once and record by record."""
    data = b"".join(records) + rest
    at_once = tail_status(SCHEMA, parse_columns(SCHEMA, data), len(data), ROLES)
    watch, end = TailWatch(SCHEMA, ROLES), 0
    for record in records:
        end += len(record)
        watch.feed(parse_columns(SCHEMA, record), end)
    assert watch.status(len(data)) == at_once
    return at_once


@pytest.mark.parametrize("good", [0, 1, 3])
@pytest.mark.parametrize("after", [0, 1, 4])
@pytest.mark.parametrize("zeros", [0, 1, 2, 5])
def test_implausible_records_are_no_zero_tail(zeros: int, after: int, good: int) -> None:
    """If good records follow them: repair would cut those."""
    records = [GOOD] * good + [BAD] + [GOOD] * after + [ZERO] * zeros
    found = status(*records)
    first = len(GOOD) * good
    size = sum(map(len, records)) - first
    if after or not zeros:
        assert found == TailStatus("implausible", first, size, 1 + after + zeros)
        assert not found.can_be_cut
    else:  # zeros may start inside a record, which is then the doubtful one
        assert found == TailStatus("zero", first, size, 1 + zeros)


@pytest.mark.parametrize("rest", [b"", b"\x01" * 5])
def test_last_record_alone_may_be_implausible(rest: bytes) -> None:
    """It is not called a zero tail: there are no zeros."""
    found = status(GOOD, GOOD, BAD, rest=rest)
    assert found == TailStatus("implausible", 2 * len(GOOD), len(BAD) + len(rest), 1)


@pytest.mark.parametrize("kinds", list(itertools.product([GOOD, BAD, ZERO], repeat=3)))
def test_without_roles_no_record_is_implausible(kinds: tuple[bytes, ...]) -> None:
    """The documented default: only a torn or a zero tail is seen."""
    data = b"".join(kinds)
    columns = parse_columns(SCHEMA, data)
    zeros = len(list(itertools.takewhile(ZERO.__eq__, reversed(kinds))))
    size = zeros * len(ZERO)
    expected = TailStatus("zero", len(data) - size, size, zeros) if zeros else CLEAN
    assert tail_status(SCHEMA, columns, len(data)) == expected
    torn = tail_status(SCHEMA, parse_columns(SCHEMA, data + b"\x01"), len(data) + 1)
    assert torn.kind == ("zero" if zeros else "torn")
    watch = TailWatch(SCHEMA)
    watch.feed(columns, columns.end)
    assert watch.status(len(data)) == expected


@pytest.mark.parametrize("size", [1, 13, 14, 40])
def test_record_before_another_time_may_be_in_an_earlier_part(size: int) -> None:
    """Without labels: the torn record has a good clock, and is where the damage begins."""
    declaration = Struct("time" / Int64ub, "value" / Bytes(6))
    roles = Roles(clock="time")
    clocks = [NOW, NOW + 1, NOW + 2, 7, NOW + 4]
    data = b"".join(struct.pack(">q6x", clock) for clock in clocks)
    parser, watch = ColumnParser(declaration), TailWatch(declaration, roles)
    for start in range(0, len(data), size):
        columns = parser.feed(data[start : start + size])
        watch.feed(columns, columns.end)
    expected = tail_status(declaration, parse_columns(declaration, data), len(data), roles)
    assert watch.status(len(data)) == expected == TailStatus("implausible", 28, 42, 3)
