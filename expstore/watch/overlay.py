"""Which runs are on the charts, and the letter of each.

Guarantees: a run that is kept has the same letter, and so the same colour, as long as it is kept.
"""

from __future__ import annotations

from collections.abc import Iterable

LETTERS = "abcdefghijklmnopqrstuvwxyz"
"""The letters that runs on the charts have, and so the maximum number of them."""


class Overlay:
    """The runs that are kept on the charts, besides the current one.

    Args:
        ids: of the runs that are kept at first; at most as many as there are letters.
    """

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self._letters = dict(zip(dict.fromkeys(ids), LETTERS, strict=False))

    def shown(self, current: str | None) -> dict[str, str]:
        """The letters by id: those of the kept runs, and one for the current run if one is left."""
        if current is None or current in self._letters:
            return dict(self._letters)
        used = set(self._letters.values())
        free = [letter for letter in LETTERS if letter not in used]
        return dict(self._letters) | ({current: free[0]} if free else {})

    def keep(self, current: str) -> bool:
        """Keep a run, or no longer if it is kept; returns whether there was a letter for it."""
        if current in self._letters:
            del self._letters[current]
        else:
            self._letters = self.shown(current)
            return current in self._letters
        return True

    def clear(self) -> None:
        """Keep no run."""
        self._letters = {}
