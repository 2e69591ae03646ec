"""Short logs that are read many at a time: each is read as it is alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import ExperimentStore
from expstore.store.files import local
from expstore.store.read import together
from expstore.store.read.tables import read_table
from expstore.store.read.together import read_together
from formats import RECORD, RecordCodec
from formats import columns as columns_module
from formats.columns import parse_columns
from formats.columns.ends import record_ends
from tests.helpers.logs import log
from tests.helpers.tables import metrics

CODEC = RecordCodec(RECORD)
WHOLE = CODEC.build(timestamp=1_700_000_000, step=1, value=0.5, name="loss")
logs = st.lists(
    st.tuples(
        st.lists(metrics, max_size=8),
        st.sampled_from([b"", b"", b"\0" * 25, b"\0\0\0\0torn", WHOLE[:11], WHOLE[11:]]),
    ),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a store."""
    return tmp_path_factory.mktemp("store")


def write(root: Path, written: list[bytes]) -> list[str]:
    """Make a store of these logs."""
    shutil.rmtree(root)
    ids = [f"{number:03}" for number in range(len(written))]
    for commit_id, data in zip(ids, written, strict=True):
        (root / commit_id).mkdir(parents=True)
        (root / commit_id / "metrics.bin").write_bytes(data)
    return ids


def alone(root: Path, ids: list[str]) -> list[str]:
    """Check that what was read together is what is read alone; returns what is left to that."""
    left, read = [], []
    for group in read_together(root, ids):
        read += group.ids
        if group.table is None or group.ends is None:
            left += group.ids
            continue
        starts = [0, *group.ends[:-1].tolist()]
        ends = group.ends.tolist()
        for commit_id, start, end, tail in zip(group.ids, starts, ends, group.tails, strict=True):
            table = read_table(root / commit_id / "metrics.bin")
            assert group.table[start:end] == table
            assert tail == table.status
    assert sorted(read) == ids
    return sorted(left)


@given(written=logs)
def test_no_log_is_read_otherwise_than_alone(
    root: Path, written: list[tuple[list[object], bytes]]
) -> None:
    """Whatever the logs before and after it hold, and however it and they end."""
    data = [
        b"".join(CODEC.build(**row._asdict()) for row in rows) + tail  # type: ignore[attr-defined]
        for rows, tail in written
    ]
    ids = write(root, data)
    assert alone(root, ids) == []


def test_a_torn_record_that_the_next_log_completes_is_seen(root: Path) -> None:
    """The bytes of both together are whole records, but neither log is."""
    ids = write(root, [log(5), log(5) + WHOLE[:11], WHOLE[11:] + log(5), log(5)])
    assert alone(root, ids) == []
    ((_, _, _, tails),) = read_together(root, ids)
    assert [tail.kind for tail in tails] == ["clean", "torn", "torn", "clean"]


def test_many_torn_logs_are_parsed_as_often_as_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once alone and once with the others, however many there are."""
    parsed = 0
    original = columns_module.parse_columns

    def counted(declaration: object, data: bytes) -> object:
        nonlocal parsed
        parsed += len(data)
        return original(declaration, data)

    written = [log(50) + WHOLE[: 1 + number % 20] for number in range(100)]
    ids = write(root, written)
    monkeypatch.setattr(columns_module, "parse_columns", counted)
    assert len(list(read_together(root, ids))) == 1
    assert parsed <= 3 * sum(map(len, written))


def test_a_long_log_or_a_missing_one_is_left_to_be_read_alone(root: Path) -> None:
    """So is one in a directory that is gone, or that is a link."""
    ids = write(root, [log(5), log(1 + together.LONG // 20), b"", log(5), log(5), log(5)])
    shutil.rmtree(root / "003")
    (root / "004" / "metrics.bin").unlink()
    (root / "005" / "metrics.bin").rename(root / "elsewhere")
    (root / "005" / "metrics.bin").symlink_to(root / "elsewhere")
    assert alone(root, ids) == ["001", "003", "004", "005"]


def test_more_logs_than_are_parsed_at_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come in their order, in groups of a limited size."""
    monkeypatch.setattr(together, "_MOST", 2000)
    monkeypatch.setattr(together, "_LOGS", 7)
    ids = write(root, [log(3 * number) for number in range(30)])
    assert alone(root, ids) == []
    assert len(list(read_together(root, ids))) > 5


def test_a_read_that_ends_early_does_not_pass_for_a_whole_log(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk fails after the first blocks: the system then returns what it has."""
    path = store.create_experiment("a") / "metrics.bin"
    path.write_bytes(log(10))
    whole = os.pread

    def short(descriptor: int, size: int, offset: int) -> bytes:
        return whole(descriptor, min(size, len(log(4)) - offset), offset)

    monkeypatch.setattr(
        local.fs, "pread", lambda d, s, o: short(d, s, o) if not o else whole(d, s, o)
    )
    ((ids, table, *_),) = read_together(store.location, ["a"])
    assert (ids, table) == (["a"], None)


@given(rows=st.lists(metrics, max_size=30))
def test_ends_of_records_are_those_of_their_bytes(rows: list[object]) -> None:
    """Each is the sum of the sizes of the records up to it."""
    built = [CODEC.build(**row._asdict()) for row in rows]  # type: ignore[attr-defined]
    columns = parse_columns(RECORD, b"".join(built))
    ends = [sum(map(len, built[: n + 1])) for n in range(len(built))]
    assert record_ends(RECORD, columns).tolist() == ends
