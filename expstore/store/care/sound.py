"""Logs in which there is nothing to find, many of them at a time.

Guarantees: of a log that counts as sound, `check` would find nothing by reading it alone, and as
many records: all of them are whole and plausible, with times in seconds, and no step goes back.
Most logs are sound; any that is long, or unusual in some way, is left to be looked at closely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from expstore.errors import ExpStoreError
from expstore.store.files.layout import METRICS
from expstore.store.files.place import open_root
from expstore.store.read.chosen import Chooser
from expstore.store.read.together import LONG

if TYPE_CHECKING:
    from formats.columns.order import Order


class Sound(NamedTuple):
    """A log that is sound.

    Attributes:
        records: how many it has.
        size: in bytes.
    """

    records: int
    size: int


class SoundLogs:
    """Finds the sound logs of a store.

    Args:
        root: the store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._chooser = Chooser(_sound)

    def among(self, commit_ids: Sequence[str]) -> dict[str, Sound]:
        """The sound logs of some experiments, whose ids are checked; about a hundred at most."""
        names = [f"{commit_id}/{METRICS}" for commit_id in commit_ids]
        try:
            with open_root(self._root) as directory:
                read = list(directory.read_short(names, LONG))
        except ExpStoreError:  # looking at each closely tells what is wrong
            return {}
        logs = {
            commit_id: data
            for commit_id, data in zip(commit_ids, read, strict=True)
            if isinstance(data, bytes)
        }
        groups, _ = self._chooser.divide(logs)
        return {commit_id: one for group in groups for commit_id, one in group.items()}


def _sound(order: Order, logs: Mapping[str, bytes], data: bytes) -> dict[str, Sound]:
    """Those of some logs of one order whose steps do not go back, of whatever metric."""
    import numpy as np

    counts = [len(log) // order.size * order.records for log in logs.values()]
    ends, steps = np.array(counts).cumsum(), order.column(data, "step")
    falls = steps[1:] < steps[:-1]
    falls[ends[:-1] - 1] = False  # from one log to the next
    wrong = set(ends.searchsorted(falls.nonzero()[0], "right").tolist())
    found = enumerate(zip(logs.items(), counts, strict=True))
    return {i: Sound(count, len(log)) for n, ((i, log), count) in found if n not in wrong}
