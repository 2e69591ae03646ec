"""Searching a store for its best runs, beside mlflow on SQLite with the same runs.

mlflow's database is filled with SQL, since its own calls would take an hour for the larger store.
It gets no more than its search reads: runs, their tags, and the last value of each metric, without
the points before it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from expstore import ExperimentStore
from expstore.compare import compare
from tests.benchmarks.harness import Unavailable

METRIC = "val/loss"
BEST = 10
_EXPERIMENT = "runs"


def best(root: str, count: str = "1") -> dict[str, Any]:
    """Processor seconds of the library's search for the runs whose last `val/loss` is least.

    Args:
        root: the store.
        count: 1: the first search of a process; 2: the second one, when all is compiled.
    """
    store = ExperimentStore(root)

    def work() -> list[str]:
        return [one.commit_id for one in compare(store, names=[METRIC], sort=METRIC, limit=BEST)]

    return _timed(work, int(count))


def best_of_mlflow(database: str, root: str, count: str = "1") -> dict[str, Any]:
    """Processor seconds of mlflow's `search_runs` for the same; checked against the store.

    Raises:
        Unavailable: mlflow's database needs a package that is not installed.
    """
    client = _client(database)
    experiment = client.get_experiment_by_name(_EXPERIMENT)

    def work() -> list[str]:
        order = [f"metrics.`{METRIC}` ASC"]
        found = client.search_runs([experiment.experiment_id], order_by=order, max_results=BEST)
        return [run.info.run_name for run in found]

    result = _timed(work, int(count))
    expected = best(root)["found"]
    if result["found"] != expected:
        raise AssertionError(f"mlflow found {result['found']}, not {expected}")
    return result


def _timed(work: Callable[[], list[str]], count: int) -> dict[str, Any]:
    for _ in range(count):
        start = time.process_time()
        found = work()
    return {"seconds": time.process_time() - start, "peak": None, "found": found}


def _client(database: str) -> Any:
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
    try:
        import alembic  # noqa: F401  what mlflow-skinny leaves out
        import sqlalchemy  # noqa: F401
        from mlflow.tracking import MlflowClient
    except ModuleNotFoundError as error:
        raise Unavailable(f"mlflow on SQLite needs {error.name}") from error
    return MlflowClient(tracking_uri=f"sqlite:///{database}")


def fill_mlflow(database: str, root: str) -> dict[str, Any]:
    """Make mlflow's database of a store's runs, unless it exists."""
    if Path(database).exists():
        return {"seconds": 0.0}
    partial = f"{database}.partial"
    Path(partial).unlink(missing_ok=True)
    client = _client(partial)
    artifacts = Path(root).parent.as_uri()
    experiment = client.create_experiment(_EXPERIMENT, artifact_location=artifacts)
    template = client.create_run(experiment).info.run_id
    base = sqlite3.connect(partial)
    columns = [row[1] for row in base.execute("PRAGMA table_info(runs)")]
    row = base.execute("SELECT * FROM runs WHERE run_uuid = ?", [template]).fetchone()
    plain = dict(zip(columns, row, strict=True))
    base.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
    insert = f"INSERT INTO runs VALUES ({', '.join('?' * len(columns))})"
    for number, one in enumerate(compare(ExperimentStore(root))):
        own = {"run_uuid": f"{number:032x}", "name": one.commit_id, "status": "FINISHED"}
        base.execute(insert, list((plain | own).values()))
        tag = "INSERT INTO tags (key, value, run_uuid) VALUES ('mlflow.runName', ?, ?)"
        base.execute(tag, (one.commit_id, own["run_uuid"]))
        base.executemany(
            "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
            "VALUES (?, ?, 0, ?, 0, ?)",
            [(n, m.last, m.last_step, own["run_uuid"]) for n, m in one.metrics.items()],
        )
    base.commit()
    base.close()
    Path(partial).rename(database)
    return {"seconds": 0.0}
