"""The demonstration: models are trained, logged and shown."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from expstore import ExperimentStore
from expstore.cli import demo
from tests.helpers.paths import ROOT


def test_demo_trains_logs_and_shows_three_experiments(tmp_path: Path) -> None:
    """The good learning rate wins and is kept, and a second demo overwrites nothing."""
    command = [sys.executable, "-m", "expstore.cli", "demo", str(tmp_path / "store")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    store = ExperimentStore(tmp_path / "store")
    ids = ["demo-lr-0.0001", "demo-lr-0.003", "demo-lr-0.1"]
    assert store.list_experiments() == ids
    last = {}
    for commit_id in ids:
        table = store.get_metrics(commit_id)
        assert set(table.names) == {"train/loss", "grad/norm", "val/loss", "val/accuracy"}
        assert f"{store.read_run(commit_id).params['lr']:g}" == commit_id.removeprefix("demo-lr-")
        assert store.read_run(commit_id).tags == ("demo", "learning-rate")
        assert store.status(commit_id) == "finished"
        assert len(table["train/loss"]) == 400
        assert table["train/loss"][0].value > 4  # near log 128: nothing is learned yet
        last[commit_id] = table["val/loss"].values[-1]
        assert len((store.files_path(commit_id) / "sample.txt").read_text()) == 400
    assert min(last, key=last.__getitem__) == "demo-lr-0.003"
    assert last["demo-lr-0.003"] < 2.6
    for part in (*ids, "val/accuracy", "The best is demo-lr-0.003", "the best by val/loss:min"):
        assert part in done.stdout
    lines = [line[2:] for line in done.stdout.splitlines() if line.startswith("$ ")]
    for line in lines[:2]:  # the prune's plan says how long ago things were
        again = [*command[:3], *shlex.split(line)[1:]]
        shown = subprocess.run(again, env=environment, capture_output=True, text=True, check=True)
        assert shown.stdout in done.stdout
    assert shlex.split(lines[-1])[3:] == ["serve", "--open"]
    prune = [*command[:3], *shlex.split(lines[2])[1:], "--json"]
    plan = subprocess.run(prune, env=environment, capture_output=True, text=True, check=True)
    actions = {row["commit_id"]: row["action"] for row in json.loads(plan.stdout)["plan"]}
    assert actions == dict(zip(ids, ("prune", "keep", "prune"), strict=True))
    before = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    again = [*command, "--json"]
    told = subprocess.run(again, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)["best"] == "demo-lr-0.003-2"
    assert len(store.list_experiments()) == 6
    assert all(path.read_bytes() == data for path, data in before.items())


def test_the_demo_shows_commands_that_can_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the path of the script where the shell does not find it by its name."""
    script = tmp_path / "bin" / "expstore"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bin/expstore", "demo"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert demo._program() == "bin/expstore"
    monkeypatch.setenv("PATH", str(script.parent))
    assert demo._program() == "expstore"
    monkeypatch.setattr(sys, "argv", [str(ROOT / "expstore" / "cli" / "__main__.py"), "demo"])
    assert demo._program() == "expstore"
