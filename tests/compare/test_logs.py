"""What one log says: the same in parts, however long it is, as of one table."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import ExperimentStore, TooManyTextsError
from expstore.compare import compare, logs
from expstore.compare.logs import log_of_table, read_log
from expstore.store.read import tables
from expstore.store.read.tables import read_table
from formats import RecordCodec
from formats.metrics import RECORD

VALUES = st.sampled_from([0.0, -0.0, 1.0, -2.5, math.nan, math.inf, -math.inf])
RECORDS = st.lists(st.tuples(st.sampled_from("abc"), VALUES, st.integers(0, 4)), max_size=25)


def written(path: Path, records: list[tuple[str, float, int]], rest: bytes = b"") -> Path:
    """A log of these records, and some bytes after them."""
    build = RecordCodec(RECORD).build
    path.write_bytes(
        b"".join(
            build(timestamp=1_700_000_000 + i, step=step, value=value, name=name)
            for i, (name, value, step) in enumerate(records)
        )
        + rest
    )
    return path


def divide(patch: pytest.MonkeyPatch) -> None:
    """Let no log be short, and a part have three records at most."""
    patch.setattr(tables, "BRIEF", 0)
    patch.setattr(logs, "CHUNK", 3)


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """See `divide`."""
    divide(monkeypatch)


@given(records=RECORDS, rest=st.sampled_from([b"", b"torn", b"\0" * 30]))
def test_a_log_in_parts_says_what_its_table_says(
    records: list[tuple[str, float, int]],
    rest: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """With steps in any order, names that come later, every kind of value, zeros and a torn end."""
    path = written(tmp_path_factory.mktemp("log") / "metrics.bin", records, rest)
    with pytest.MonkeyPatch.context() as patch:
        divide(patch)
        found = read_log(str(path))
        expected = log_of_table(read_table(str(path)))
    assert repr(found) == repr(expected)  # with the sign of zeros, and NaN equal to itself


@pytest.mark.usefixtures("in_parts")
def test_names_that_take_turns_are_found_at_any_place_of_a_part(tmp_path: Path) -> None:
    """A part may begin with any of them."""
    records = [("abcde"[i % 5], float(i * 7 % 31), i // 5) for i in range(400)]
    path = str(written(tmp_path / "metrics.bin", records))
    assert read_log(path) == log_of_table(read_table(path))


@pytest.mark.usefixtures("in_parts")
def test_a_log_of_many_names_is_read_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one of too many is refused, with its path."""
    rnd = random.Random(8)
    records = [(f"name{rnd.randrange(90)}", rnd.random(), i) for i in range(500)]
    path = str(written(tmp_path / "metrics.bin", records))
    expected = read_log(path)
    calls: list[object] = []

    def counted(*args: object, **options: object) -> object:
        calls.append(args)
        return read_table(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(logs, "read_table", counted)
    monkeypatch.setattr(logs, "_MANY", 50)
    assert read_log(path) == expected
    assert len(calls) == 1
    monkeypatch.setattr(logs, "MAX_NAMES", 40)
    with pytest.raises(TooManyTextsError, match=r"metrics\.bin: more than 40 distinct"):
        read_log(path)


@pytest.mark.usefixtures("in_parts")
def test_compare_reads_long_logs_in_parts(store: ExperimentStore) -> None:
    """The summaries, and what a torn end is told by."""
    store.create_experiment("a")
    records = [("ab"[i % 2], i / 3, i // 2) for i in range(300)]
    written(store.metrics_path("a"), records, b"torn")
    (summary,) = compare(store)
    assert summary.metrics["a"].last == 298 / 3
    assert summary.metrics["b"].points == 150
    assert summary.metrics["b"].max_step == 149
