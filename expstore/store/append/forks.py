"""What becomes of locks and open files in a forked process.

Guarantees: in a forked child, every object that was watched is told so before any other code runs.
A lock that another thread of the parent held is held for ever in the child, which has no such
thread; so whoever has locks makes new ones. A file position is shared with the parent; so whoever
depends on one opens the file again.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Inherited(Protocol):
    """What a forked process has a copy of."""

    def after_fork(self) -> None:
        """Called in the child, which has only the thread that forked."""


_watched: WeakSet[Inherited] = WeakSet()


def watch(owner: Inherited) -> None:
    """Have `after_fork` called in every child that is forked from now on."""
    _watched.add(owner)


def _in_child() -> None:
    for owner in list(_watched):
        owner.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_in_child)
