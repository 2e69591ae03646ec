"""Writers killed at random moments: what was acknowledged is readable, and no false record."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path

from expstore import ExperimentStore, TornTailError
from tests.faults.base import Counter, Figures, fork, join, read_log

# Long records, and many in one write: a kill can tear a write only where it crosses a page.
_LONG = "n" * 200
_FEW, _MANY = 12, 300
# Indices of the shared numbers: a request to stop, and whether a writer has stopped. 0 and 1 are
# the writers' steps.
_STOP, _STOPPED = 2, 3


def run(directory: Path, *, kills: int = 5_000, seed: int = 0, until_torn: bool = False) -> Figures:
    """Kill a writer `kills` times, half of them with a second writer that goes on.

    With `until_torn`, continue until a kill has torn a record.
    """
    store = ExperimentStore(directory)
    chance = random.Random(seed)
    figures = {"kills": 0, "tears": 0, "acknowledged": 0, "lost": 0, "false": 0}
    for trial in count():
        if trial >= kills and (figures["tears"] or not until_torn or trial >= 50 * kills):
            break
        width = _MANY if trial // 2 % 2 else _FEW
        commit_id = f"run{trial}"
        store.create_experiment(commit_id)
        state = Counter(4)
        writers = [
            partial(_write, store, commit_id, me, width, state) for me in range(1 + trial % 2)
        ]
        _kill_one(writers, state, chance.random() * 0.002)
        path = store.metrics_path(commit_id)
        torn = read_log(path)[1] > 0
        store.log_metric(commit_id, "after", 0.5, 0)
        _check(path, width, state)
        figures["kills"] += 1
        figures["tears"] += torn or any(path.parent.glob("*.torn-*"))
        figures["acknowledged"] += width * (state[0] + state[1])
        store.delete_experiments([commit_id])
    assert figures["tears"], "no kill tore a record, so nothing was tested"
    return figures


def _write(store: ExperimentStore, commit_id: str, me: int, width: int, state: Counter) -> None:
    """Log steps until asked to stop, and count each one that was acknowledged."""
    try:
        with _logging(store, commit_id, width) as log:
            step = 0
            while not (step and state[_STOP]):
                with suppress(TornTailError):  # the killed writer still holds the log
                    log({f"{me}{_LONG}{k}": step / 7 for k in range(width)}, step)
                    step += 1
                    state[me] = step
    finally:
        state[_STOPPED] = 1


@contextmanager
def _logging(
    store: ExperimentStore, commit_id: str, width: int
) -> Iterator[Callable[[dict[str, float], int], None]]:
    """With few metrics a step, a writer; with many, a call of `store.log_metrics` for each step."""
    if width == _FEW:
        with store.writer(commit_id) as writer:
            yield writer.log_many
    else:
        yield partial(store.log_metrics, commit_id)


def _kill_one(writers: list[partial[None]], state: Counter, delay: float) -> None:
    """Start the writers, kill the first after `delay` seconds, and let the other go on."""
    victim, *survivors = [fork(writer) for writer in writers]
    while not state[0]:
        time.sleep(0.0001)
    time.sleep(delay)
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    reached = state[1]
    while survivors and state[1] < reached + 2 and not state[_STOPPED]:
        time.sleep(0.0001)
    state[_STOP] = 1
    join(*survivors)


def _check(path: Path, width: int, state: Counter) -> None:
    records, rest = read_log(path)
    assert rest == 0, f"{path}: {rest} bytes are left over"
    assert records.pop() == ("after", 0, 0.5), f"{path}: misaligned"
    steps: dict[str, list[int]] = {f"{me}{_LONG}{k}": [] for me in (0, 1) for k in range(width)}
    for name, step, value in records:
        assert name in steps, f"{path}: a false record of {name!r}"
        assert value == step / 7, f"{path}: a false value"
        steps[name].append(step)
    for name, found in steps.items():
        assert found == list(range(len(found))), f"{path}: lost or out of order"
        assert len(found) >= state[int(name[0])], f"{path}: acknowledged, but lost"
