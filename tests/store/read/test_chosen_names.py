"""Reading some names of a log: all that reading everything would give and report of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from expstore.store.read import parser
from expstore.store.read.tables import Selection, iter_tables, read_table, select
from formats import RECORD, RecordCodec

NAMES = ["loss", "acc", "val/x", "lr", "grad", "epoch", "a", "b"]
NOW = 1_700_000_000


def record(index: int, clock: int = NOW) -> bytes:
    """The record at an index of a log of names in turn."""
    return RecordCodec(RECORD).build(
        timestamp=clock, step=index // 8, value=index / 7, name=NAMES[index % 8]
    )


def logs() -> dict[str, bytes]:
    """Clean logs, and damaged ones; each has 4,000 records or so."""
    rows = [record(i) for i in range(4_000)]
    whole, rest = b"".join(rows[:3_000]), b"".join(rows[3_000:])
    shuffled = random.Random(1).sample(rows, len(rows))
    return {
        "clean": whole + rest,
        "torn": whole + rest[:-3],
        "zeros at the end": whole + bytes(500),
        "a torn record amid": whole[:-11] + rest,
        "bytes missing amid": whole[:40_000] + whole[40_013:] + rest,
        "other clocks": b"".join(record(i, NOW * 1000) for i in range(4_000)),
        "other clocks from there on": whole + b"".join(record(i, 7) for i in range(1_000)),
        "high bytes that change": b"".join(record(i, (102 << 24) - 2000 + i) for i in range(4_000)),
        "any order": b"".join(shuffled),
        "empty": b"",
    }


class Unhelped(Selection):
    """A selection that does not tell the parser what it wants."""

    @property
    def wants(self) -> None:
        """All."""


@pytest.mark.parametrize("brief", [0, 1 << 20], ids=["in blocks", "at once"])
@pytest.mark.parametrize("chunk", [100, 1 << 18])
@pytest.mark.parametrize("data", logs().values(), ids=logs())
def test_what_is_left_out_changes_nothing(
    data: bytes, chunk: int, brief: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither metrics, nor names, nor the state of the end; with steps chosen, too."""
    monkeypatch.setattr(parser, "BRIEF", brief)
    path = tmp_path / "metrics.bin"
    path.write_bytes(data)
    whole = read_table(path)
    for names in (["loss"], ["none"], ["epoch", "a"], NAMES):
        for steps in (None, range(10, 400, 7)):
            chosen = Selection(names, steps)
            found = list(iter_tables(path, chosen, chunk))
            expected = list(iter_tables(path, Unhelped(names, steps), chunk))
            assert found == expected
            assert [table.names for table in found] == [table.names for table in expected]
            assert found[-1].status == expected[-1].status
            together = [metric for table in found for metric in table]
            assert together == list(select(whole, names, steps))


@pytest.mark.parametrize("names", [None, ["loss"], ["none"]])
@pytest.mark.parametrize("left", [3, 9, 15, 22])
def test_state_of_the_end_does_not_depend_on_the_parts_read(
    left: int, names: list[str] | None, tmp_path: Path
) -> None:
    """Damage begins before the first implausible record, which may be in an earlier part."""
    path = tmp_path / "metrics.bin"
    rows = [record(i) for i in range(20)]
    for place in (0, 13):
        torn = rows[place][:left]
        path.write_bytes(b"".join([*rows[:place], torn, *rows[place:], *rows]))
        expected = read_table(path).status
        assert expected.kind == "implausible"
        for chunk in range(1, 19):
            *_, last = iter_tables(path, Selection(names), chunk)
            assert last.status == expected
