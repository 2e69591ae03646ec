"""What becomes of locks and open files in a forked process.

Guarantees: in a forked child, every object that was watched is told so before any other code runs.
A lock that another thread of the parent held is held for ever in the child, which has no such
thread; so whoever has locks makes new ones. A file position is shared with the parent; so whoever
depends on one opens the file again.

A file that another thread is just opening, or closing, is open in the child as well, and no object
there knows it. So a fork waits, for a moment, until nobody uses an object that opens files each
time; it does not wait for ever, since what is used may itself wait, or fork.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from itertools import compress, repeat
from operator import methodcaller
from typing import Protocol
from weakref import WeakSet

_PATIENCE = 0.1  # seconds to wait for each lock; an append takes some millionths of one


class Inherited(Protocol):
    """What a forked process has a copy of."""

    def after_fork(self) -> None:
        """Called in the child, which has only the thread that forked."""


class Guarded(Inherited, Protocol):
    """What opens files under a lock only.

    Attributes:
        lock: whoever holds it takes no lock of another Guarded.
    """

    lock: threading.Lock


_watched: WeakSet[Inherited] = WeakSet()
_guarded: WeakSet[Guarded] = WeakSet()
_held: list[threading.Lock] = []  # during a fork


def watch(owner: Inherited) -> None:
    """Have `after_fork` called in every child that is forked from now on."""
    _watched.add(owner)


def watch_guarded(owner: Guarded) -> None:
    """As `watch`; and forks wait for its lock."""
    _guarded.add(owner)
    _watched.add(owner)


def _before() -> None:
    # In one order, since two threads may fork. No Python code runs between a lock and the list, so
    # no interrupt can leave a lock that nobody releases.
    locks = [owner.lock for owner in sorted(_guarded, key=id)]
    take = methodcaller("acquire", True, _PATIENCE)
    _held.extend(compress(locks, map(take, locks)))


def _after() -> None:
    locks = map(list.pop, repeat(_held, len(_held)))
    deque(map(methodcaller("release"), locks), 0)


def _in_child() -> None:
    _after()
    for owner in list(_watched):
        owner.after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
