"""Servers of other projects on the same points: how long until the first curve, by their HTTP API.

Each row makes its data once, with the other project's own client.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from expstore import ExperimentStore

NAMES = [f"m{number}/loss" for number in range(10)]


@contextmanager
def process(*command: str) -> Iterator[tuple[subprocess.Popen[str], float]]:
    """A server, and when it was started."""
    began = time.perf_counter()
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield started, began
    finally:
        started.terminate()
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()


def megabytes(server: psutil.Process) -> float:
    """The memory of a process and those that it started."""
    whole = [server, *server.children(recursive=True)]
    return sum(one.memory_info().rss for one in whole) / 1e6


def tensorboard(store: ExperimentStore, work: Path) -> dict[str, float]:
    """The same of TensorBoard, on the same points as event files."""
    events_in = work / f"events-{len(store.get_metrics('run00'))}"
    if not events_in.exists():
        from expstore.exchange.tensorboard import export_tensorboard

        export_tensorboard(store, None, events_in)
    command = (sys.executable, "-m", "tensorboard.main", "--logdir", str(events_in))
    port = "8391"
    with process(*command, "--port", port, "--load_fast", "true") as (started, began):
        server = psutil.Process(started.pid)
        first = every = 0.0
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            while not every and time.perf_counter() - began < 300:
                time.sleep(0.02)
                with suppress(httpx.HTTPError, ValueError):
                    tags = http.get("/data/plugin/scalars/tags").json()
                    runs = [run for run, found in tags.items() if NAMES[0] in found]
                    asked = {"run": runs[0], "tag": NAMES[0]} if runs else {}
                    if asked and http.get("/data/plugin/scalars/scalars", params=asked).json():
                        first = first or time.perf_counter() - began
                    if len(runs) == 20 and all(
                        http.get(
                            "/data/plugin/scalars/scalars", params={"run": run, "tag": NAMES[0]}
                        ).json()
                        for run in runs
                    ):
                        every = time.perf_counter() - began
        memory = megabytes(server)
        return {"first curve, s": first, "all 20, s": every, "memory, MB": memory}


_FILL = """
import sys, time
from mlflow import MlflowClient
from mlflow.entities import Metric
client = MlflowClient(sys.argv[1])
experiment = client.create_experiment("twenty")
for number in range(20):
    run = client.create_run(experiment, run_name=f"run{number:02}")
    points = [Metric(f"m{i % 10}/loss", (i * 7919 % 1000) / 100, 1700000000000, i // 10)
              for i in range(int(sys.argv[2]))]
    for first in range(0, len(points), 1000):
        client.log_batch(run.info.run_id, points[first : first + 1000])
"""


def mlflow(points: int, work: Path, python: str) -> dict[str, float]:
    """The same of mlflow's server on SQLite, by its REST interface."""
    database = work / f"mlflow-{points}.db"
    address = f"sqlite:///{database}"
    if not database.exists():
        partial = database.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        filling = [python, "-c", _FILL, f"sqlite:///{partial}", str(points)]
        subprocess.run(filling, check=True, stderr=subprocess.DEVNULL)
        partial.rename(database)
    command = (python, "-m", "mlflow", "server", "--backend-store-uri", address, "--port", "8392")
    with process(*command) as (started, began), httpx.Client(timeout=60) as http:
        server, base = psutil.Process(started.pid), "http://127.0.0.1:8392/api/2.0/mlflow"
        first = every = 0.0
        while not every and time.perf_counter() - began < 300:
            time.sleep(0.02)
            with suppress(httpx.HTTPError, ValueError, KeyError):
                asked = {"experiment_ids": ["1"], "max_results": 20}
                runs = http.post(f"{base}/runs/search", json=asked).json()["runs"]
                for run in runs:
                    wanted = {"run_id": run["info"]["run_id"], "metric_key": NAMES[0]}
                    found = http.get(f"{base}/metrics/get-history", params=wanted).json()
                    assert len(found["metrics"]) == points // 10
                    first = first or time.perf_counter() - began
                every = time.perf_counter() - began
        memory = megabytes(server)
        return {"first curve, s": first, "all 20, s": every, "memory, MB": memory}


_FILL_AIM = """
import json, sys
from aim import Run
hashes = []
for number in range(20):
    run = Run(repo=sys.argv[1], experiment=f"run{number:02}", log_system_params=False)
    for i in range(int(sys.argv[2])):
        run.track((i * 7919 % 1000) / 100, name=f"m{i % 10}/loss", step=i // 10)
    hashes.append(run.hash)
    run.close()
print(json.dumps(hashes))
"""


def aim(points: int, work: Path, python: str) -> dict[str, float]:
    """The same of Aim's server, by the interface that its page uses."""
    repo = work / f"aim-{points}"
    if not repo.exists():
        partial = work / f"aim-{points}.partial"
        subprocess.run(["rm", "-rf", str(partial)], check=True)
        partial.mkdir()
        filling = [python, "-c", _FILL_AIM, str(partial), str(points)]
        hashes = subprocess.run(filling, check=True, stdout=subprocess.PIPE).stdout
        (partial / "hashes.json").write_bytes(hashes)
        partial.rename(repo)
    runs = json.loads((repo / "hashes.json").read_bytes())
    program = "from aim.cli.cli import cli_entry_point; cli_entry_point()"
    command = (python, "-c", program, "up", "--yes", "--repo", str(repo), "--port", "8393")
    with process(*command) as (started, began), httpx.Client(timeout=60) as http:
        server, base = psutil.Process(started.pid), "http://127.0.0.1:8393/api/runs"
        first = every = 0.0
        while not every and time.perf_counter() - began < 300:
            time.sleep(0.02)
            with suppress(httpx.HTTPError, ValueError, KeyError, IndexError):
                for run in runs:
                    asked = [{"name": NAMES[0], "context": {}}]
                    answer = http.post(f"{base}/{run}/metric/get-batch/", json=asked)
                    assert len(answer.json()[0]["values"]) == points // 10
                    first = first or time.perf_counter() - began
                every = time.perf_counter() - began
        memory = megabytes(server)
        return {"first curve, s": first, "all 20, s": every, "memory, MB": memory}
