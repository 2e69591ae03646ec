"""Writers killed at random moments: what was acknowledged is readable, and nothing else is."""

from __future__ import annotations

import os
import random
import signal
import time
from itertools import count
from pathlib import Path

from expstore import ExperimentStore
from tests.faults.base import Counter, Figures, check_steps, fork, join, read_log

_LONG = "n" * 200  # long records, which cross a page often: only there can a kill tear one


def run(directory: Path, *, kills: int = 5_000, seed: int = 0, until_torn: bool = False) -> Figures:
    """Kill a writer `kills` times, in half of them with a second writer that goes on.

    With `until_torn`, more often, until a kill has torn a record.
    """
    store = ExperimentStore(directory)
    chance = random.Random(seed)
    figures = {"kills": 0, "tears": 0, "acknowledged": 0, "unreadable": 0, "false": 0}
    for trial in count():
        if trial >= kills and (figures["tears"] or not until_torn or trial >= 50 * kills):
            break
        commit_id = f"run{trial}"
        store.create_experiment(commit_id)
        acknowledged = Counter(2)
        stop = Counter(2)  # that the writers should stop; that one has stopped

        def write(
            me: int, commit_id: str = commit_id, acks: Counter = acknowledged, stop: Counter = stop
        ) -> None:
            try:
                with store.writer(commit_id) as log:
                    for step in count():
                        log.log_many({f"{me}{_LONG}{k}": step / 7 for k in range(12)}, step)
                        acks[me] = step + 1
                        if stop[0]:
                            return
            finally:
                stop[1] = 1

        victim = fork(lambda: write(0))
        survivor = fork(lambda: write(1)) if trial % 2 else 0
        while not acknowledged[0]:
            time.sleep(0.0001)
        time.sleep(chance.random() * 0.002)
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        if survivor:
            reached = acknowledged[1]
            while acknowledged[1] < reached + 2 and not stop[1]:  # it goes on past the tear
                time.sleep(0.0001)
            stop[0] = 1
            join(survivor)
        path = store.metrics_path(commit_id)
        torn = read_log(path)[1] > 0
        with store.writer(commit_id) as log:
            log.log("after", 0.5, 0)
        records, rest = read_log(path)
        assert rest == 0, f"trial {trial}: {rest} bytes are left over"
        assert records.pop() == ("after", 0, 0.5), f"trial {trial}: the log is misaligned"
        known = {f"{me}{_LONG}{k}" for me in (0, 1) for k in range(12)}
        false = [r for r in records if r[0] not in known or r[2] != r[1] / 7]
        assert not false, f"trial {trial}: {len(false)} false records, such as {false[0]}"
        for name in known:
            check_steps(records, name, acknowledged[int(name[0])])
        figures["kills"] += 1
        figures["tears"] += torn or any(path.parent.glob("*.torn-*"))
        figures["acknowledged"] += 12 * (acknowledged[0] + acknowledged[1])
        store.delete_experiments([commit_id])
    assert figures["tears"], "no kill tore a record, so nothing was shown"
    return figures
