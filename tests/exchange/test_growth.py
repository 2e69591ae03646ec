"""An import takes time in proportion to its runs: what is counted are calls, and not seconds.

Sixteen times the runs take at most twenty times the calls.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from expstore import ExperimentStore
from expstore.exchange.imports import import_source
from tests.exchange.test_json_sources import history, log, wandb_folder, write_lines
from tests.exchange.test_mlflow_sources import write as write_files
from tests.exchange.test_tensorboard_sources import scalar
from tests.exchange.test_tensorboard_sources import write as write_events

FEW, TIMES = 10, 16


def calls(work: Callable[[], object]) -> int:
    """How many functions a piece of work calls, of Python and of C."""
    count = 0

    def tick(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(tick)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def directories(root: Path, runs: int) -> Path:
    """Runs of TensorBoard in a directory with event files of its own, as its parts may be."""
    for number in range(runs):
        write_events(root / f"run-{number}" / "events.out.tfevents.1", scalar("loss", 1.0, 1))
    write_events(root / "events.out.tfevents.1", scalar("loss", 1.0, 1))
    return root


def hyperparameters(root: Path, runs: int) -> Path:
    """Runs of TensorBoard whose directories are named by the time."""
    for number in range(runs):
        path = root / f"17000000{number:03}.5" / "events.out.tfevents.1"
        write_events(path, scalar("loss", 1.0, 1))
    write_events(root / "events.out.tfevents.1", scalar("loss", 1.0, 1))
    return root


def mlflow(root: Path, runs: int) -> Path:
    """A file store of mlflow."""
    write_files(root / "0", {"meta.yaml": "experiment_id: '0'\nname: Default\n"})
    for number in range(runs):
        meta = f"run_id: run{number}\nstart_time: 1700000000000\nstatus: 3\n"
        files = {"meta.yaml": meta, "metrics/loss": "1700000000000 0.5 1\n", "params/lr": "0.1"}
        write_files(root / "0" / f"run{number}", files)
    return root


def wandb(root: Path, runs: int) -> Path:
    """Folders of W&B."""
    for number in range(runs):
        name = f"offline-run-20231114_221320-{number:08}"
        folder = wandb_folder(root, log(history(1, loss=0.5)), name)
        (folder / "run-abc.wandb").rename(folder / f"run-{number:08}.wandb")
    return root


def long_form(root: Path, runs: int) -> Path:
    """One table in which each line names its run."""
    lines = [f"run-{number},loss,1,0.5,1700000000" for number in range(runs)]
    return _table(root, ["commit_id,name,step,value,timestamp", *lines])


def wide_form(root: Path, runs: int) -> Path:
    """One table with a column for each run, as W&B exports a chart."""
    header = [f'"run-{number} - loss","run-{number} - loss__MIN"' for number in range(runs)]
    return _table(root, [",".join(['"Step"', *header]), "1" + ",0.5" * 2 * runs])


def json_lines(root: Path, runs: int) -> Path:
    """One file of JSON lines in which each names its run."""
    keys = {"name": "loss", "step": 1, "value": 0.5, "timestamp": 1_700_000_000}
    rows = [{"commit_id": f"run-{number}"} | keys for number in range(runs)]
    return write_lines(root / "table.jsonl", *rows)


def _table(root: Path, lines: list[str]) -> Path:
    path = root / "table.csv"
    path.write_text("\n".join([*lines, ""]))
    return path


@pytest.mark.parametrize(
    "make", [directories, hyperparameters, mlflow, wandb, long_form, wide_form, json_lines]
)
def test_many_runs_take_so_many_times_as_few(
    make: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    """No run is compared with all others, and no file is read once for each run."""

    def cost(runs: int) -> int:
        source = tmp_path / f"source-{runs}"
        source.mkdir()
        path = make(source, runs)
        store = ExperimentStore(tmp_path / f"store-{runs}")
        count = calls(lambda: import_source(store, path))
        assert len(store.list_experiments()) >= runs
        return count

    cost(1)  # imports modules
    assert cost(FEW * TIMES) < cost(FEW) * TIMES * 1.25
