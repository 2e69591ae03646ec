"""Checking many experiments at a time: the reports are those of checking each by itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expstore import ExperimentStore, StoreNotFoundError
from expstore.store.care import check, sound
from expstore.store.care.sound import Sound, SoundLogs
from expstore.store.care.whole import check_store
from expstore.store.read import chosen
from tests.helpers.layouts import CODEC, WHOLE, logs
from tests.helpers.logs import NOW, log
from tests.helpers.runs import write_run

stores = st.lists(st.tuples(logs(), st.none() | st.integers(0, 5)), min_size=1, max_size=5).flatmap(
    lambda found: st.lists(st.sampled_from(found), min_size=1, max_size=10)
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root of a store whose torn logs are not waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "_SETTLING", 0.0)
        patch.setattr(chosen, "_LEAST", 1)
        yield tmp_path_factory.mktemp("store")


@given(written=stores)
def test_reports_are_those_of_each_experiment(
    root: Path, written: list[tuple[bytes, int | None]]
) -> None:
    """Whatever the logs are, and the ones before them; also of runs that were resumed."""
    shutil.rmtree(root)
    store = ExperimentStore(root)
    for number, (data, from_step) in enumerate(written):
        path = store.create_experiment(f"{number:03}")
        (path / "metrics.bin").write_bytes(data)
        if from_step is not None:
            start = {"started": float(NOW), "records": 9, "from_step": from_step}
            write_run(store, path.name, starts=[start])
    _, *reports = store.check_all()
    assert reports == [store.check(commit_id) for commit_id in store.list_experiments()]


def test_sound_logs_are_not_looked_at_closely(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are: a step that goes back, a torn end, and a log that is long, or no file."""
    back = log(10) + log(10)
    written = [log(30), back, log(30) + WHOLE[:5], log(30), b"", log(20), log(4000), log(30)]
    for number, data in enumerate(written):
        path = store.create_experiment(str(number))
        (path / "metrics.bin").write_bytes(data)
    (store.metrics_path("7")).unlink()
    (store.metrics_path("7")).mkdir()
    expected = list(store.check_all())
    looked_at = []
    original = check._check_log

    def noted(directory: check.Directory, info: check.RunInfo) -> object:
        looked_at.append(directory.path.name)
        return original(directory, info)

    monkeypatch.setattr(check, "_check_log", noted)
    monkeypatch.setattr(chosen, "_LEAST", 1)
    monkeypatch.setattr(sound, "LONG", len(log(4000)))
    assert list(store.check_all()) == expected
    assert looked_at == ["1", "2", "4", "6", "7"]
    found = SoundLogs(store.root).among(["0", "1", "5"])
    assert found == {"0": Sound(30, len(log(30))), "5": Sound(20, len(log(20)))}


def test_it_is_the_log_whose_steps_go_back_that_is_looked_at(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it is the first or the last record of the log that does."""
    monkeypatch.setattr(chosen, "_LEAST", 1)
    steps = [0, 1, 2, 3], [5, 1, 2, 3], [0, 1, 2, 3], [4, 5, 6, 1], [0, 1, 1, 1]
    for number, one in enumerate(steps):
        path = store.create_experiment(str(number)) / "metrics.bin"
        path.write_bytes(
            b"".join(CODEC.build(timestamp=NOW, step=s, value=0.5, name="loss") for s in one)
        )
    assert list(SoundLogs(store.root).among(list("01234"))) == ["0", "2", "4"]


def test_a_store_that_is_gone_has_no_reports(store: ExperimentStore) -> None:
    """It is the root that is missing, not any of its experiments."""
    store.create_experiment("a")
    reports = check.check_experiments(store.root, ["a"])
    shutil.rmtree(store.root)
    assert list(reports) == []
    with pytest.raises(StoreNotFoundError):
        list(check_store(store, ["a"]))
