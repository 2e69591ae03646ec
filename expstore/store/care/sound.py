"""Logs in which there is nothing to find, many of them at a time.

Guarantees: of a log that counts as sound, `check` would find nothing by reading it alone, and as
many records: all of them are whole and plausible, with times in seconds, and no step goes back.
Most logs are sound; any that is long, or unusual in some way, is left to be looked at closely.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from expstore.errors import ExpStoreError
from expstore.store.files.layout import METRICS
from expstore.store.files.place import open_root
from expstore.store.read.chosen import Chooser, Chosen
from expstore.store.read.together import LONG


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
        self._chooser = Chooser(lambda name: True)

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
        return {commit_id: one for group in groups for commit_id, one in _sound(group)}


def _sound(group: Chosen) -> Iterable[tuple[str, Sound]]:
    """Those of some logs of one order whose steps do not go back, of whatever metric."""
    import numpy as np

    falls = group.steps[1:] < group.steps[:-1]
    falls[group.ends[:-1] - 1] = False  # from one log to the next
    wrong = set(group.ends.searchsorted(falls.nonzero()[0], "right").tolist())
    counts = np.diff(group.ends, prepend=0).tolist()
    for place, found in enumerate(zip(group.ids, counts, group.sizes, strict=True)):
        if place not in wrong:
            commit_id, records, size = found
            yield commit_id, Sound(records, size)
