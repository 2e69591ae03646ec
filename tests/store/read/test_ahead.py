"""Logs at a URL are read several at a time, and give what the files of a store on disk give."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

import expstore
from expstore import ExperimentNotFoundError, ExperimentStore
from expstore.compare.curves import load
from expstore.exchange.export import export_file
from expstore.exchange.tensorboard import export_tensorboard
from expstore.live.rows import Rows
from expstore.report.contents import collect
from expstore.store.read import ahead
from expstore.watch.listing import Listing
from tests.helpers.memory import in_memory

REMOTE = ExperimentStore("memory://many").location
IDS = [f"{number:02}" for number in range(24)]


def test_a_long_log_is_read_when_its_turn_comes() -> None:
    """Of what is read before its turn, all is short; so memory is bounded."""
    main = threading.get_ident()
    lengths = [ahead.LONG * 3 * (number % 3 == 0) for number in range(200)]
    held = most = 0
    lock = threading.Lock()

    def read(number: int, limit: int | None) -> int:
        nonlocal held, most
        if limit is not None and lengths[number] > limit:
            raise ahead.LongLogError
        assert (limit is None) == (threading.get_ident() == main)
        with lock:
            held += 1
            most = max(most, held)
        return number * 2

    for number, found in ahead.each(REMOTE, range(200), read):
        assert found == number * 2
        with lock:
            held -= 1
    assert 1 < most <= 100


def test_the_logs_of_a_file_system_are_read_in_turn(store: ExperimentStore) -> None:
    """None is read before the one before it was taken."""
    begun: list[int] = []

    def read(number: int, limit: int | None) -> int:
        assert limit is None
        begun.append(number)
        return number

    for number, _ in ahead.each(store.location, range(5), read):
        assert begun == list(range(number + 1))


def reported(store: ExperimentStore, _: Path) -> Any:
    """The contents of a report, as they come on a file system and at a URL."""
    found = collect(store, IDS)
    return {name: value for name, value in found.items() if name != "written"}


def loaded(store: ExperimentStore, _: Path) -> Any:
    """All curves."""
    return [
        (one.commit_id, one.status, {k: [*map(str, v.values)] for k, v in one.curves.items()})
        for one in load(store)
    ]


def exported(store: ExperimentStore, folder: Path) -> Any:
    """Both forms, and what was left out, with progress in experiments that were read."""
    folder.mkdir()
    told: list[str] = []

    def progress(ids: Iterable[str]) -> Iterable[str]:
        for one in ids:
            yield one
            told.append(one)

    long, wide = folder / "long.csv", folder / "wide.csv"
    reports = [
        export_file(store, None, long, "csv", with_metadata=True, progress=progress),
        export_file(store, None, wide, "csv", wide_form=True, params=True),
    ]
    assert told == IDS
    texts = [path.read_text() for path in (long, wide)]
    return texts, [(one.rows, sorted(one.failures), one.tails) for one in reports]


def in_event_files(store: ExperimentStore, folder: Path) -> Any:
    """What became of each experiment, and the size of its event file."""
    report = export_tensorboard(store, None, folder / "events")
    sizes = {path.parent.name: path.stat().st_size for path in folder.glob("events/*/*")}
    return report.rows, sorted(report.failures), report.tails, sizes


def streamed(store: ExperimentStore, _: Path) -> Any:
    """As one stream of Arrow."""
    ids = [one for one in IDS if one != "03"]
    return store.to_arrow(ids, metadata=True).read_all().to_pylist()


def chosen(store: ExperimentStore, _: Path) -> Any:
    """Ids that were given, all of which are there but one."""
    with pytest.raises(ExperimentNotFoundError, match=r"missing"):
        store.select_ids([*IDS, "missing"])
    return store.select_ids(reversed(IDS))


def described(store: ExperimentStore, _: Path) -> Any:
    """The rows of a live page."""
    return [(one.commit_id, one.described, one.size) for one in Rows(store).describe(IDS)]


def listed(store: ExperimentStore, _: Path) -> Any:
    """The list of the terminal."""
    listing = Listing(store)
    listing.refresh()
    listing.look(IDS)
    return [(one, listing.details[one].state.status) for one in sorted(listing.details)]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> ExperimentStore:
    """A store of some experiments, of which a few are damaged."""
    store = ExperimentStore(tmp_path_factory.mktemp("ahead") / "experiments")
    for number, commit_id in enumerate(IDS):
        with expstore.start(root=store.root, commit_id=commit_id, params={"lr": number}) as run:
            for step in range(1 + number):
                run.log({"loss": number / (step + 1), f"n{number % 7}": 1.0}, step=step)
    for commit_id in ("04", "11"):
        with store.metrics_path(commit_id).open("ab") as log:
            log.write(b"\x05")
    store.metrics_path("03").unlink()
    for commit_id in IDS[14:20]:  # of which no lock can be seen, here or at a URL
        path = store.experiment_path(commit_id) / "run.json"
        found = json.loads(path.read_text())
        start = found["starts"][0] | {"host": "elsewhere"}
        found["starts"] = [{k: v for k, v in start.items() if k not in ("ended", "outcome")}]
        path.write_text(json.dumps(found))
    (store.experiment_path("05") / "run.json").write_text("{")
    (store.experiment_path("06") / "meta.bin").write_bytes(b"")
    return store


@pytest.mark.parametrize(
    "work",
    [reported, loaded, exported, in_event_files, streamed, chosen, described, listed],
)
def test_a_store_at_a_url_is_read_as_its_files_are(
    work: Callable[[ExperimentStore, Path], Any],
    many: ExperimentStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In order, with what is wrong with each experiment; but several are read at a time."""
    monkeypatch.setattr(ahead, "LONG", 600)  # what half of them have
    used: set[int] = set()
    with in_memory(many.root) as url:
        remote = ExperimentStore(url)
        system = type(remote.location._file_system)  # type: ignore[union-attr]
        for name in ("_open", "cat_file", "ls", "modified", "info"):
            plain = getattr(system, name)

            def slow(self: Any, *args: Any, plain: Any = plain, **options: Any) -> Any:
                used.add(threading.get_ident())
                time.sleep(0.0005)
                return plain(self, *args, **options)

            monkeypatch.setattr(system, name, slow)
        found, wanted = (work(one, tmp_path / str(n)) for n, one in enumerate((remote, many)))
        assert str(found).replace(url, str(many.root)) == str(wanted)
    assert len(used) > 2
