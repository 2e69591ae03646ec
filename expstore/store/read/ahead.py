"""Logs at a URL, where waiting for answers is what takes time: short ones several at a time.

Guarantees: what is read of each is what it would give by itself, in order. Memory is bounded: only
so many logs are read before their turn, and of them only short ones. A long one takes time by its
bytes, and is read when its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from expstore.store.files import waiting
from expstore.store.files.directory import Location

Item = TypeVar("Item")
Result = TypeVar("Result")

LONG = 1 << 22
"""Bytes of a log beyond which it is read in its turn; a server sends fewer while one asks twice."""


class LongLogError(Exception):
    """A log has more bytes than are read before its turn."""


def each(
    root: Location, items: Iterable[Item], read: Callable[[Item, int | None], Result]
) -> Iterator[tuple[Item, Result]]:
    """The items in their order, each with what was read of it; on a file system, in turn.

    Args:
        root: of the store.
        items: such as commit ids.
        read: reads what is wanted of an item, with a limit for `read_table`; it runs in other
            threads, and again without a limit if the log has more bytes.
    """
    if isinstance(root, Path):
        for item in items:
            yield item, read(item, None)
        return
    for item, found in waiting.each(root, items, partial(_before_its_turn, read)):
        yield item, read(item, None) if found is None else found[0]


def _before_its_turn(
    read: Callable[[Item, int | None], Result], item: Item
) -> tuple[Item, tuple[Result] | None]:
    try:
        return item, (read(item, LONG),)
    except LongLogError:
        return item, None
