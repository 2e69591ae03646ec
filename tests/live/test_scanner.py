"""In which order a store is read, and what is kept of a log that is damaged."""

from __future__ import annotations

import json

from expstore import ExperimentStore, Metadata
from expstore.live.catalog import Catalog
from expstore.live.logs import Logs
from expstore.live.scanner import Scanner
from expstore.store import metafile
from tests.helpers.application import log
from tests.report.pages import log_run


def scanned(store: ExperimentStore, *watched: str) -> Catalog:
    """The catalog after all was read, while some runs are watched from the beginning on."""
    catalog, logs = Catalog(), Logs(store)
    scanner = Scanner(store, catalog, logs)
    scanner.watch(watched)
    scanner.step()
    while scanner.is_busy:
        scanner.step()
    return catalog


def test_logs_that_are_on_a_screen_are_read_first(store: ExperimentStore) -> None:
    """Those of the newest 20 runs, and of runs that a client watches; then all others."""
    log(store, "r000", {"loss": [1.0]})
    content = (store.experiment_path("r000") / "metrics.bin").read_bytes()
    for place in range(450):  # by hand: creating them makes each durable
        path = store.root / f"r{place:03}"
        path.mkdir(exist_ok=True)
        (path / "meta.bin").write_bytes(metafile.build(Metadata(path.name, place)))
        (path / "metrics.bin").write_bytes(content)
    order = [entry.commit_id for entry in scanned(store, "r007").entries()]
    assert len(order) == 450
    assert set(order[:21]) == {"r007", *(f"r{place:03}" for place in range(430, 450))}


def test_damage_stays_a_problem_of_a_row(store: ExperimentStore) -> None:
    """However often the end of the log is looked at: what follows it may be wrong."""
    log(store, "a", {"loss": [1.0] * 100})
    path = store.experiment_path("a") / "metrics.bin"
    content = bytearray(path.read_bytes())
    content[1000:1040] = bytes(range(200, 240))
    path.write_bytes(content)
    held = Logs(store).get("a")
    for _ in range(3):
        held.advance(keep=True)
        assert held.status.kind == "implausible"
    entry = scanned(store, "a").of("a")
    assert entry is not None
    assert "implausible" in entry.row["tail"]


def test_a_problem_is_said_once(store: ExperimentStore) -> None:
    """Although both the row and the log need the file that cannot be read."""
    log(store, "a", {"loss": [1.0]})
    log_run(store.experiment_path("a"), params={})
    (store.experiment_path("a") / "run.json").write_text(json.dumps([]))
    entry = scanned(store, "a").of("a")
    assert entry is not None
    assert len(entry.row["problems"]) == 1
