"""The cost of a hook's log call beside the framework's own CSV logger.

    tests/integrations/.venv/bin/python -m tests.benchmarks.hooks [--calls N] [--json]

Prints CPU microseconds a call: the median of rounds in which the two take turns. A framework that
is not installed is left out. Lightning's logger keeps 100 steps in memory before it writes them,
and then writes the file anew if there is a new name; Keras's writes and flushes each epoch.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROUNDS = 7
METRICS = {"loss": 0.5, "accuracy": 0.75, "val_loss": 0.625, "epoch": 3}

Log = Callable[[int], object]


def lightning(folder: Path, stack: ExitStack) -> tuple[Log, Log]:
    """As its Trainer calls a logger after a step: log, then save."""
    from lightning.pytorch.loggers import CSVLogger

    from expstore.integrations.lightning import ExpStoreLogger

    def calls(logger: Any) -> Log:
        def log(step: int) -> None:
            logger.log_metrics(METRICS, step)
            logger.save()

        return log

    ours = ExpStoreLogger(root=folder, commit_id="lightning")
    stack.callback(ours.finalize, "success")
    return calls(ours), calls(CSVLogger(folder / "csv"))


def keras(folder: Path, stack: ExitStack) -> tuple[Log, Log]:
    """As `fit` calls a callback after an epoch."""
    from keras.callbacks import CSVLogger

    from expstore.integrations.keras import ExpStoreCallback

    ours, theirs = ExpStoreCallback(root=folder, commit_id="keras"), CSVLogger(folder / "keras.csv")
    for callback in (ours, theirs):
        callback.set_model(SimpleNamespace(stop_training=False, built=False, optimizer=None))
        callback.set_params({})
        callback.on_train_begin()
        callback.on_epoch_begin(0)
    stack.callback(ours.on_train_end)
    return (
        lambda step: ours.on_epoch_end(step, METRICS),
        lambda step: theirs.on_epoch_end(step, METRICS),
    )


def cost(log: Log, steps: range) -> float:
    """CPU microseconds a call."""
    before = time.process_time()
    for step in steps:
        log(step)
    return (time.process_time() - before) / len(steps) * 1e6


def measured(calls: int) -> Iterator[dict[str, Any]]:
    """A row for each framework."""
    for make, module in ((lightning, "lightning"), (keras, "keras")):
        if find_spec(module) is None:
            continue
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            ours, theirs = make(Path(folder), stack)
            rounds = []
            for number in range(ROUNDS):
                steps = range(number * calls, (number + 1) * calls)
                rounds.append((cost(ours, steps), cost(theirs, steps)))
            yield {
                "framework": module,
                "expstore": round(statistics.median(row[0] for row in rounds), 1),
                "csv": round(statistics.median(row[1] for row in rounds), 1),
            }


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.hooks", description="Time the hooks' log calls."
    )
    parser.add_argument("--calls", type=int, default=1000, help="calls in a round")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    rows = list(measured(options.calls))
    if options.json:
        print(json.dumps(rows))
        return
    print("framework    expstore      CSV   (microseconds a call)")
    for row in rows:
        print(f"{row['framework']:<11} {row['expstore']:>8.1f} {row['csv']:>8.1f}")


if __name__ == "__main__":
    main()
