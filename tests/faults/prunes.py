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
_WAIT = 10.0  # seconds to wait for the others of a trial, at most
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
        states, counts, done = Counter(2), Counter(2), Counter(2)
        for commit_id in ids:
            store.create_experiment(commit_id)
            store.write_metadata(Metadata(commit_id, trial))
            (store.files_path(commit_id) / "artifact").write_bytes(b"x" * trial)

        # In even trials the prunes wait for the writers to be open, and those for the prunes to be
        # done, so that they meet however busy the machine is. In odd trials the writers start as
        # late as the prunes, and later still if an outcome has not occurred.
        late = trial % 2 * (1 + trial // trials)
        others = states, counts, done, late == 0
        waits = [chance.random() * 0.006 for _ in range(4)]
        children = [
            fork(partial(_write, store, ids[me], me, late * waits[me], *others)) for me in (0, 1)
        ]
        children += [
            fork(partial(_prune, store, me, wait, *others)) for me, wait in enumerate(waits[2:])
        ]
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


def _write(
    store: ExperimentStore,
    commit_id: str,
    me: int,
    delay: float,
    states: Counter,
    counts: Counter,
    done: Counter,
    meet: bool,
) -> None:
    time.sleep(delay)
    try:
        with store.writer(commit_id) as writer:
            states[me] = _OPEN
            for step in range(_STEPS):
                writer.log("loss", step / 7, step)
                counts[me] = step + 1
            if meet:
                _await(done, 1)
        states[me] = _CLOSED
    except ExperimentNotFoundError:
        states[me] = _GONE


def _prune(
    store: ExperimentStore,
    me: int,
    delay: float,
    states: Counter,
    counts: Counter,
    done: Counter,
    meet: bool,
) -> None:
    if meet:
        _await(states, _OPEN)
    time.sleep(delay)
    store.prune_experiments(0)
    done[me] = 1


def _await(numbers: Counter, least: int) -> None:
    """Wait until both numbers are at least that, but not for ever."""
    deadline = time.monotonic() + _WAIT
    while min(numbers[0], numbers[1]) < least and time.monotonic() < deadline:
        time.sleep(0.0005)
