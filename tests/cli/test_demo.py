"""The demonstration: models are trained, logged and shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from expstore import ExperimentStore
from tests.helpers.paths import ROOT


def test_demo_trains_logs_and_shows_three_experiments(tmp_path: Path) -> None:
    """The good learning rate wins, and a second demo overwrites nothing."""
    command = [sys.executable, "-m", "expstore.cli", "demo", str(tmp_path / "store")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    store = ExperimentStore(tmp_path / "store")
    ids = ["demo-lr-0.0001", "demo-lr-0.003", "demo-lr-0.1"]
    assert store.list_experiments() == ids
    last = {}
    for commit_id in ids:
        table = store.get_metrics(commit_id)
        assert set(table.names) == {"train/loss", "grad/norm", "lr", "val/loss", "val/accuracy"}
        assert len(table["train/loss"]) == 400
        assert table["train/loss"][0].value > 4  # near log 128: nothing is learned yet
        last[commit_id] = table["val/loss"].values[-1]
        assert len((store.files_path(commit_id) / "sample.txt").read_text()) == 400
    assert min(last, key=last.__getitem__) == "demo-lr-0.003"
    assert last["demo-lr-0.003"] < 2.6
    for part in (*ids, "val/accuracy", "prune --keep 2 --grace 0 --dry-run", "beyond the newest 2"):
        assert part in done.stdout
    show = [*command[:3], "--root", str(store.root), "show", ids[0]]
    shown = subprocess.run(show, env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout in done.stdout
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    subprocess.run(command, env=environment, capture_output=True, check=True)
    assert len(store.list_experiments()) == 6
    assert all(path.read_bytes() == data for path, data in before.items())
