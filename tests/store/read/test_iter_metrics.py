"""iter_metrics: the whole log in tables of bounded size, with the same records and status."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import (
    ExperimentNotFoundError,
    ExperimentStore,
    InvalidCommitIdError,
    Metric,
    MetricTable,
    SelectionError,
)
from formats import CLEAN, RECORD

NOW = 1_700_000_000  # a plausible time
CHUNKS = (1, 2, 3, 7, 1000)


def record(name: str = "loss", step: int = 1, value: float = 0.5, timestamp: int = NOW) -> bytes:
    """The bytes of one record, built by construct."""
    return RECORD.build({"timestamp": timestamp, "step": step, "value": value, "name": name})


@pytest.fixture
def logged(store: ExperimentStore) -> ExperimentStore:
    """A store whose experiment `run` has three metrics per step, and a fourth every tenth step."""
    store.create_experiment("run")
    with store.writer("run") as writer:
        for step in range(100):
            values = {"loss": 1 / (step + 1), "acc": step / 100, "grad/norm": float("nan")}
            writer.log_many(values | ({"val": 0.0} if step % 10 == 9 else {}), step)
    return store


def rows(tables: Iterable[MetricTable]) -> list[tuple[Any, ...]]:
    """All metrics in order, values as bits, so that NaN equals itself."""
    return [
        (name, int(bits), step, timestamp)
        for table in tables
        for (name, _, step, timestamp), bits in zip(table, table.values.view("i8"), strict=True)
    ]


@pytest.mark.parametrize("chunk", CHUNKS)
def test_tables_together_are_get_metrics(vectors: ExperimentStore, chunk: int) -> None:
    """Every vector gives the same records, and its last table the same status."""
    for commit_id in vectors.list_experiments():
        whole = vectors.get_metrics(commit_id)
        tables = list(vectors.iter_metrics(commit_id, chunk=chunk))
        assert rows(tables) == rows([whole])
        assert tables[-1].status == whole.status
        assert all(table.status == CLEAN for table in tables[:-1])


@given(
    st.lists(st.sampled_from([record("a"), record("é" * 100), record("", 0, 0.0, 0)])),
    st.binary(max_size=30) | st.integers(0, 60).map(bytes),
    st.integers(1, 20),
)
def test_any_tail_has_the_status_of_get_metrics(
    tmp_path_factory: pytest.TempPathFactory, records: list[bytes], tail: bytes, chunk: int
) -> None:
    """Torn and zero tails have the right offset even if they begin in an earlier table."""
    store = ExperimentStore(tmp_path_factory.mktemp("store"))
    store.create_experiment("run")
    store.metrics_path("run").write_bytes(b"".join(records) + tail)
    whole = store.get_metrics("run")
    tables = list(store.iter_metrics("run", chunk=chunk))
    assert rows(tables) == rows([whole])
    assert tables[-1].status == whole.status


@pytest.mark.parametrize("chunk", CHUNKS)
def test_no_table_is_larger_than_a_chunk(logged: ExperimentStore, chunk: int) -> None:
    """Records of minimum size fill a chunk exactly; only the last table may be empty."""
    logged.metrics_path("run").write_bytes(record("", 1, 1.0) * 30 + record("n" * 255) * 3)
    sizes = [len(table) for table in logged.iter_metrics("run", chunk=chunk)]
    assert sum(sizes) == 33
    assert max(sizes) == min(chunk, 33)
    assert all(sizes[:-1])


def test_code_means_the_same_name_in_every_table(logged: ExperimentStore) -> None:
    """New names are only ever appended to the known ones, filtered or not."""
    for selected in (None, ["val", "acc"]):
        known: tuple[str, ...] = ()
        counts = np.zeros(4, int)
        for table in logged.iter_metrics("run", selected, chunk=5):
            assert table.names[: len(known)] == known
            known = table.names
            counts += np.bincount(table.name_codes, minlength=4)
        assert known == ("loss", "acc", "grad/norm", "val")
        assert counts.tolist() == ([100, 100, 100, 10] if selected is None else [0, 100, 0, 10])


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("names", [None, [], ["loss"], ("val", "acc"), ["never"]])
@pytest.mark.parametrize(
    "steps",
    [
        None,
        range(0),
        range(10, 20),
        range(20, 10, -1),
        range(5, 95, 7),
        range(-10, 15, 4),
        range(90, 10**30),
        range(3, 10**30, 10**20),
        range(-(10**30), 10**30),
        range(2**32 - 1, 2**32 + 5),
    ],
)
def test_names_and_steps_select_what_they_say(
    store: ExperimentStore, names: Any, steps: range | None, chunk: int
) -> None:
    """The same metrics as filtering each one in Python."""
    wanted = None if names is None else list(names)
    store.create_experiment("run")
    log = [(n, s) for s in (*range(100), 2**32 - 1) for n in ("loss", "acc", "val")]
    store.metrics_path("run").write_bytes(b"".join(record(name, step) for name, step in log))
    expected = [
        Metric(name, 0.5, step, NOW)
        for name, step in log
        if (wanted is None or name in wanted) and (steps is None or step in steps)
    ]
    asked = None if wanted is None else iter(wanted)
    tables = list(store.iter_metrics("run", asked, steps, chunk=chunk))
    assert list(itertools.chain.from_iterable(tables)) == expected
    assert all(len(table) for table in tables[:-1])


def test_missing_log_gives_one_empty_table(store: ExperimentStore) -> None:
    """An experiment without metrics is empty; a missing one is an error."""
    store.create_experiment("run")
    (table,) = store.iter_metrics("run")
    assert len(table) == 0
    assert table.status == CLEAN
    with pytest.raises(ExperimentNotFoundError, match="nothing"):
        next(store.iter_metrics("nothing"))


@pytest.mark.parametrize(
    "asked",
    [
        {"names": "loss"},
        {"names": [b"loss"]},
        {"names": 5},
        {"names": [["loss"]]},
        {"steps": slice(0, 3)},
        {"steps": (0, 3)},
        {"chunk": 0},
        {"chunk": True},
        {"chunk": 1.5},
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(
    store: ExperimentStore, asked: dict[str, Any]
) -> None:
    """Before the first table is requested; the experiment need not even exist."""
    with pytest.raises(SelectionError, match=next(iter(asked)).removesuffix("s")):
        store.iter_metrics("run", **asked)
    with pytest.raises(InvalidCommitIdError):
        store.iter_metrics("../run")


def test_what_is_appended_meanwhile_is_left_for_the_next_reading(logged: ExperimentStore) -> None:
    """The log is read up to the size it had when it was opened."""
    tables = logged.iter_metrics("run", chunk=10)
    count = len(next(tables))
    logged.log_metric("run", "late", 1.0, 100)
    assert count + sum(len(table) for table in tables) == 310
    assert len(logged.get_metrics("run")) == 311


def test_log_that_is_cut_meanwhile_ends_where_it_was_cut(logged: ExperimentStore) -> None:
    """The tables stop at the last whole record, and the last one reports the tear."""
    logged.metrics_path("run").write_bytes(record() * 100)
    tables = logged.iter_metrics("run", chunk=10)
    count = len(next(tables))
    with logged.metrics_path("run").open("r+b") as file:
        file.truncate(len(record()) * 50 + 3)
    *_, last = rest = list(tables)
    assert count + sum(len(table) for table in rest) == 50
    assert (last.status.kind, last.status.offset, last.status.size) == ("torn", 50 * 25, 3)


def test_tables_cannot_be_written_to(logged: ExperimentStore) -> None:
    """A table of a selection is as immutable as any other."""
    table = next(logged.iter_metrics("run", ["loss"]))
    with pytest.raises(ValueError, match="read-only"):
        table.values[0] = 1


def test_memory_stays_bounded(tmp_path: Path) -> None:
    """A log of 4 million metrics is read by a process that may allocate only 60 MB more."""
    store = ExperimentStore(tmp_path)
    store.create_experiment("run")
    store.metrics_path("run").write_bytes(record() * 4_000_000)
    code = (
        "import re, resource, sys; from expstore import ExperimentStore\n"
        "store = ExperimentStore(sys.argv[1]); read = getattr(store, sys.argv[2])\n"
        "sum(map(len, store.iter_metrics('run', chunk=1000, steps=range(0))))\n"
        "used = int(re.search(r'VmSize:\\s*(\\d+)', open('/proc/self/status').read())[1]) << 10\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2)\n"
        "print(sum(map(len, read('run'))) if sys.argv[2] == 'iter_metrics' else len(read('run')))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run([*command, "iter_metrics"], capture_output=True, text=True, check=True)
    assert done.stdout == "4000000\n"
    whole = subprocess.run([*command, "get_metrics"], capture_output=True, text=True, check=False)
    assert "MemoryError" in whole.stderr
