"""System metrics: the use of CPU, memory and GPUs, logged while a run is going on."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import expstore
from expstore import ExperimentStore, MissingExtraError
from expstore.store.monitor import Machine, Monitor


class NVMLError(Exception):
    """As pynvml's."""


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Memory in use of each GPU of a fake pynvml; one below 0 does not answer."""
    used = [25.0, -1.0, 75.0]
    library = ModuleType("pynvml")

    def memory(index: int) -> SimpleNamespace:
        if used[index] < 0:
            raise NVMLError
        return SimpleNamespace(used=used[index], total=100.0)

    library.__dict__.update(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: len(used),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUtilizationRates=lambda index: SimpleNamespace(gpu=10 * index),
        nvmlDeviceGetMemoryInfo=memory,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    return used


def wait_for(condition: object) -> None:
    """Wait until a condition holds; five seconds at most."""
    deadline = time.monotonic() + 5
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_run_logs_the_use_of_the_machine(tmp_path: Path, gpus: list[float]) -> None:
    """At the run's last step, until it ends; the steps of the run are not changed."""
    threads = threading.active_count()
    with expstore.start(tmp_path, "a") as run:
        run.log({"loss": 1.0}, step=7)
        run.measure(interval=0.01)
        wait_for(lambda: len(run.store.get_metrics("a")) > 7)
        run.log({"loss": 0.5})
    assert threading.active_count() == threads
    table = ExperimentStore(tmp_path).get_metrics("a")
    assert set(table.names) == {
        "loss",
        *(f"system/{name}" for name in ("cpu", "memory", "process_memory")),
        *(f"system/gpu{index}/{name}" for index in (0, 2) for name in ("use", "memory")),
    }
    assert table["loss"].steps.tolist() == [7, 8]
    assert set(table["system/memory"].steps.tolist()) <= {7, 8}
    assert table["system/gpu2/use"].values[0] == 20
    assert table["system/gpu2/memory"].values[0] == 75
    assert 0 < table["system/memory"].values[0] <= 100
    assert table["system/process_memory"].values[0] > 1e6


def test_without_a_driver_there_are_no_gpus(
    gpus: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And without the library."""

    def no_driver() -> None:
        raise NVMLError

    monkeypatch.setattr(sys.modules["pynvml"], "nvmlInit", no_driver)
    wanted = {"system/cpu", "system/memory", "system/process_memory"}
    assert Machine().measure().keys() == wanted
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Machine().measure().keys() == wanted


def test_what_cannot_be_measured_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a sandbox; the others are measured."""
    psutil = pytest.importorskip("psutil")

    def refuse() -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "virtual_memory", refuse)
    assert "system/memory" not in Machine().measure()
    assert "system/cpu" in Machine().measure()


def test_a_measurement_that_cannot_be_logged_ends_the_thread() -> None:
    """Quietly: the run's own next call raises the reason."""
    calls = []

    def log(values: dict[str, float]) -> None:
        calls.append(values)
        raise expstore.WriterClosedError("closed")

    monitor = Monitor(log, 0.001)
    wait_for(lambda: not monitor._thread.is_alive())
    monitor.stop()
    assert len(calls) == 1


def test_without_the_extra_nothing_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[system\]"):
        expstore.start(tmp_path / "root", "a", system_metrics=True)
    assert not (tmp_path / "root").exists()


def test_it_disturbs_neither_a_fork_nor_the_exit(tmp_path: Path) -> None:
    """A forked child logs and ends; the process ends without waiting for the next measurement."""
    script = (
        "import os, sys, expstore\n"
        "run = expstore.start(sys.argv[1], 'a', system_metrics=True)\n"
        "run.measure()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    run.log({'child': 1.0}, step=1)\n"
        "    run.close()\n"
        "    os._exit(0)\n"
        "sys.exit(os.waitpid(child, 0)[1])\n"
    )
    began = time.monotonic()
    done = subprocess.run(
        # From Python 3.12 on, it warns of any fork beside a thread.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - began < 9
    store = ExperimentStore(tmp_path)
    assert store.get_metrics("a").names == ("child",)
    assert store.status("a") == "finished"
