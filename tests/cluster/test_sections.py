"""Sections of logs in batches: what they cover, and what a change affects."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expstore import ExperimentStore, SelectionError
from expstore.cluster.sections import (
    OPENING,
    Section,
    batches,
    fingerprints,
    plan,
    table,
    tables,
)
from expstore.store.read.tables import Selection
from formats.columns import TextColumn
from tests.helpers.memory import in_memory

NAMES = ("loss", "val/loss", "größe")
COUNTS = {"empty": 0, "few": 3, "large": 20_000, "none": None, "torn": 5_000}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ExperimentStore:
    """Logs of many sizes."""
    store = ExperimentStore(tmp_path_factory.mktemp("store"))
    for commit_id, count in COUNTS.items():
        store.create_experiment(commit_id)
        if count is not None:
            index = np.arange(count)
            with store.writer(commit_id) as writer:
                writer.append(
                    {
                        "timestamp": 1_700_000_000 + index,
                        "step": index.astype(np.uint32),
                        "value": index / 7,
                        "name": TextColumn((index % 3).astype(np.int32), NAMES),
                    }
                )
    with store.metrics_path("torn").open("ab") as log:
        log.write(b"\0\0\0\0torn")
    return store


@settings(max_examples=40)  # each reads several logs, whole and in sections
@given(batch=st.integers(20, 600_000))
def test_the_sections_of_a_log_are_all_its_records(store: ExperimentStore, batch: int) -> None:
    """In order and without gaps; each begins at a record, and the tail is in the last."""
    batched = plan(store, COUNTS, max(batch, 2_000))
    planned = [section for sections in batched for section in sections]
    for commit_id, size in store.log_sizes(COUNTS).items():
        sections = [section for section in planned if section.commit_id == commit_id]
        ends = [section.end for section in sections]
        assert [section.start for section in sections] == [0, *ends[:-1]]
        assert ends[-1] == size
        whole = store.get_metrics(commit_id)
        tables_read = [table(store.location, section) for section in sections]
        assert [read.status.kind for read in tables_read[:-1]] == ["clean"] * (len(tables_read) - 1)
        assert tables_read[-1].status == whole.status
        for column in ("values", "steps", "timestamps"):
            together = np.concatenate([getattr(read, column) for read in tables_read])
            assert together.tobytes() == getattr(whole, column).tobytes()
        names = [np.array(read.names, object)[read.name_codes] for read in tables_read if len(read)]
        known = np.array(whole.names, object)[whole.name_codes].tolist()
        assert [name for read in names for name in read.tolist()] == known


def test_a_log_up_to_twice_a_batch_is_whole(store: ExperimentStore) -> None:
    """A longer log is cut at multiples of a batch, so its sections stay the same as it grows."""
    size = store.log_sizes(["large"])["large"]
    (whole,) = plan(store, ["large"], size // 2 + 1)
    assert whole == [Section("large", 0, size)]
    sections = [section for (section,) in plan(store, ["large"], 100_000)]
    assert len(sections) == size // 100_000
    for number, section in enumerate(sections[1:], 1):
        assert 0 <= section.start - number * 100_000 < 30
    before = sections[:-1]
    store.log_metric("large", "loss", 1.0, 1)
    assert [section for (section,) in plan(store, ["large"], 100_000)][:-1] == before


def test_what_is_appended_later_is_in_no_section(store: ExperimentStore) -> None:
    """A section ends where the log ended when it was planned."""
    ((section,),) = plan(store, ["few"])
    store.log_metric("few", "new", 1.0, 1)
    assert len(table(store.location, section)) == 3
    assert sum(len(t) for t in tables(store.location, section, Selection(names=["new"]))) == 0


def test_a_log_that_was_cut_yields_what_is_left(store: ExperimentStore) -> None:
    """A section after the new end is empty."""
    assert len(table(store.location, Section("few", 0, 10_000))) == len(store.get_metrics("few"))
    assert len(table(store.location, Section("few", 5_000, 10_000))) == 0
    assert table(store.location, Section("few", 5_000, 10_000)).status.kind == "clean"


def sizes_of(count: int) -> dict[str, int]:
    """Ids that look like hashes, with the sizes of their logs."""
    rng = random.Random(1)
    return {f"{rng.getrandbits(160):040x}": rng.randrange(20_000, 200_000) for _ in range(count)}


def test_batches_are_of_about_equal_cost() -> None:
    """None exceeds the size, and only the last may be below half of it."""
    sizes, batch = sizes_of(5_000), 8_000_000
    made = batches(sizes, batch)
    costs = [sum(sizes[commit_id] + OPENING for commit_id in ids) for ids in made]
    assert [commit_id for ids in made for commit_id in ids] == list(sizes)
    assert max(costs) <= batch
    assert min(costs[:-1]) >= batch / 2


@pytest.mark.parametrize("change", ["grown", "new", "gone"])
def test_one_change_alters_few_batches(change: str) -> None:
    """Soon after it, a batch ends where one ended before."""
    sizes = dict(sorted(sizes_of(5_000).items()))
    before = {tuple(ids) for ids in batches(sizes, 8_000_000)}
    assert len(before) > 80
    altered = []
    for commit_id in list(sizes)[100:5_000:250]:
        changed = dict(sizes)
        if change == "grown":
            changed[commit_id] += 100_000
        elif change == "gone":
            del changed[commit_id]
        else:
            changed[commit_id + "x"] = 50_000
        after = {tuple(ids) for ids in batches(dict(sorted(changed.items())), 8_000_000)}
        altered.append(len(after - before))
    assert sum(altered) / len(altered) < 4
    assert max(altered) < 20


@pytest.mark.parametrize("batch", [0, -1, 1.5, True])
def test_an_invalid_size_is_refused(store: ExperimentStore, batch: int) -> None:
    """It is refused before anything is read."""
    with pytest.raises(SelectionError, match="batch"):
        plan(store, ["few"], batch)


def test_what_cannot_be_read_is_one_section(tmp_path: Path) -> None:
    """The reader of the section gets the error; planning goes on with the others."""
    store = ExperimentStore(tmp_path)
    store.create_experiment("odd")
    store.metrics_path("odd").mkdir()
    assert plan(store, ["odd"]) == [[Section("odd", 0, 0)]]


def test_a_fingerprint_distinguishes_a_log_from_its_replacement(tmp_path: Path) -> None:
    """On a file system and at a URL; for a cut log it stays the same while the log grows."""
    import fsspec

    store = ExperimentStore(tmp_path)
    store.create_experiment("a")
    for step in range(100):
        store.log_metric("a", "loss", 1.0, step)
    log = store.metrics_path("a")
    memory = fsspec.filesystem("memory")
    for batch in (1_000_000, 500):
        planned = plan(store, ["a"], batch)
        before = fingerprints(store, planned)
        assert before == fingerprints(store, planned)
        log.write_bytes(log.read_bytes().replace(b"loss", b"lass"))
        after = fingerprints(store, planned)
        assert not before.items() & after.items()
        log.write_bytes(log.read_bytes().replace(b"lass", b"loss"))
    before = fingerprints(store, planned)
    store.log_metric("a", "loss", 1.0, 100)
    assert fingerprints(store, planned) == before
    with in_memory(store.root) as url:
        remote = ExperimentStore(url)
        planned = plan(remote, ["a"])
        before = fingerprints(remote, planned)
        assert before == fingerprints(remote, planned)
        memory.pipe(f"{url}/a/metrics.bin", log.read_bytes())
        assert before != fingerprints(remote, planned)
