"""Prunes during live writers: an experiment is kept with all that was acknowledged, or deleted."""

from __future__ import annotations

import os
import random
import time
from functools import partial
from pathlib import Path

from expstore import ExperimentNotFoundError, ExperimentStore, Metadata
from tests.faults.base import Counter, Figures, check_steps, fork, join, read_log

_OPEN, _CLOSED, _GONE = 1, 2, 3
_STEPS = 500  # enough that a prune often happens while they are logged
_STAY = 0.03  # seconds, longer than prunes are delayed
_PATIENCE = 30  # limit on the trials, as a multiple, until each outcome has occurred


def run(directory: Path, *, trials: int = 500, seed: int = 0) -> Figures:
    """Each trial runs two prunes and two writers of two experiments, all at once."""
    store = ExperimentStore(directory)
    store.initialize()
    chance = random.Random(seed)
    ids = ["a", "b"]
    figures = {"trials": trials, "kept": 0, "deleted": 0, "writers refused": 0}
    for trial in range(trials * _PATIENCE):
        # Which outcomes occur depends on timing: it goes on until each has occurred.
        if trial >= trials and all(figures.values()):
            break
        figures["trials"] = trial + 1
        states, counts = Counter(2), Counter(2)
        for commit_id in ids:
            store.create_experiment(commit_id)
            store.write_metadata(Metadata(commit_id, trial))
            (store.files_path(commit_id) / "artifact").write_bytes(b"x" * trial)

        # In even trials the writers start at once and stay open, so that prunes find them. In odd
        # trials they start as late as the prunes, and later still if an outcome has not occurred.
        late = trial % 2 * (1 + trial // trials)

        def write(
            me: int, delay: float, states: Counter = states, counts: Counter = counts
        ) -> None:
            stay = 0 if delay else _STAY
            time.sleep(delay)
            try:
                with store.writer(ids[me]) as writer:
                    states[me] = _OPEN
                    for step in range(_STEPS):
                        writer.log("loss", step / 7, step)
                        counts[me] = step + 1
                    time.sleep(stay)
                states[me] = _CLOSED
            except ExperimentNotFoundError:
                states[me] = _GONE

        def prune(delay: float) -> None:
            time.sleep(delay)
            store.prune_experiments(0)

        waits = [chance.random() * 0.006 for _ in range(4)]
        children = [fork(partial(write, me, late * waits[me])) for me in (0, 1)]
        children += [fork(partial(prune, wait)) for wait in waits[2:]]
        join(*children)
        assert {name for name in os.listdir(directory) if name not in ids} == set()
        for me, commit_id in enumerate(ids):
            figures["writers refused"] += (gone := states[me] == _GONE)
            if not store.experiment_exists(commit_id):
                # Pruned before the writer opened it or after it closed it, never in between.
                assert gone == (counts[me] == 0), f"{commit_id}: deleted under its writer"
                assert gone or states[me] == _CLOSED
                figures["deleted"] += 1
                continue
            assert states[me] == _CLOSED, f"{commit_id}: exists, but its writer was refused"
            records, rest = read_log(store.metrics_path(commit_id))
            assert rest == 0
            assert check_steps(records, "loss", counts[me]) == _STEPS
            assert store.read_metadata(commit_id) == Metadata(commit_id, trial)
            assert (store.files_path(commit_id) / "artifact").stat().st_size == trial
            figures["kept"] += 1
        store.prune_experiments(0)
        assert os.listdir(directory) == [], f"trial {trial}: leftovers"
    for outcome in ("kept", "deleted", "writers refused"):
        assert figures[outcome], f"never {outcome}: nothing was tested"
    return {**figures, "lost": 0, "half-deleted": 0}
