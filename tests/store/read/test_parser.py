"""One parser for many logs: each is read as with a parser of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore.store.files.place import open_log
from expstore.store.read.parser import LogParser
from expstore.store.read.survey import scan_log
from expstore.store.read.tables import Selection, iter_tables, read_table
from formats import RECORD, RecordCodec
from tests.helpers.tables import metrics

CODEC = RecordCodec(RECORD)
logs = st.lists(
    st.tuples(st.lists(metrics, max_size=20), st.sampled_from([b"", b"\0" * 25, b"\0\0\0\0torn"])),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the logs."""
    return tmp_path_factory.mktemp("logs")


@given(written=logs)
def test_no_log_is_read_otherwise_than_alone(
    directory: Path, written: list[tuple[list[object], bytes]]
) -> None:
    """Records, names, status: torn tails and zeros of one log do not affect the next."""
    tables, surveys, stream = LogParser(), LogParser(), LogParser()
    for number, (rows, tail) in enumerate(written):
        path = directory / f"{number}.bin"
        path.write_bytes(b"".join(CODEC.build(**r._asdict()) for r in rows) + tail)  # type: ignore[attr-defined]
        alone, among = read_table(path), read_table(path, parser=tables)
        assert among == alone
        assert among.status == alone.status
        with open_log(path) as one, open_log(path) as other:
            assert scan_log(one, parser=surveys) == scan_log(other)
        parts = list(iter_tables(path, Selection(), 7, parser=stream))
        assert [repr(metric) for part in parts for metric in part] == [repr(m) for m in alone]
        *_, last = iter_tables(path, Selection(), 7)
        assert parts[-1].status == last.status


def test_names_are_those_of_the_log(directory: Path) -> None:
    """Not those of the logs that the same parser has read before, whatever their ends were like."""
    parser = LogParser()
    one, torn, other = (directory / name for name in ("one", "torn", "other"))
    records = [
        CODEC.build(timestamp=1_700_000_000, step=1, value=0.5, name=name) for name in ("a", "b")
    ]
    one.write_bytes(b"".join(records) * 200)
    torn.write_bytes(records[1] * 3 + records[0][:9])
    other.write_bytes(records[1])
    found = [read_table(path, parser=parser).names for path in (one, torn, one, other)]
    assert found == [("a", "b"), ("b",), ("a", "b"), ("b",)]


def test_a_log_that_was_not_read_to_its_end_leaves_no_trace(directory: Path) -> None:
    """If reading a log is interrupted, the next gets a fresh parser."""
    path = directory / "broken-off"
    record = CODEC.build(timestamp=1_700_000_000, step=1, value=0.5, name="loss")
    path.write_bytes(record * 100)
    parser = LogParser()
    next(iter_tables(path, Selection(), 10, parser=parser))
    assert list(read_table(path, parser=parser)) == list(read_table(path))
