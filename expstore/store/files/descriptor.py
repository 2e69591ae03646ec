"""Open files and directories whose descriptors an interrupt cannot leak.

Guarantees: opening a file and remembering its descriptor is one step for the interpreter, and so is
forgetting the descriptor and closing it. Python raises a KeyboardInterrupt only between two steps,
so a descriptor is always remembered as long as it is open, and is closed at the latest when its
owner is garbage-collected. A descriptor that leaked would keep the file open, and so keep every
program from repairing it, for as long as the process lives.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Self, TypeVar

from expstore.store.files.systems.native import fs, own

_Given = TypeVar("_Given")
_DIRECTORY = own.DIRECTORY | own.NOFOLLOW


class Descriptor:
    """One open file or directory; as a context manager, it gives the descriptor's number.

    Args:
        path: what to open; nothing is opened without it.
        flags: of `open(2)`.
        directory: a descriptor that a relative path starts from.
        mode: the permissions of a file that is created.

    Attributes:
        number: the descriptor, or -1 if it is closed.
        closing: `next(closing, None)` closes the file if it is open; one step, unlike `close`,
            whose own code an interrupt may keep from running.

    Raises:
        OSError: it cannot be opened.
    """

    __slots__ = ("__weakref__", "closing", "number")

    def __init__(
        self,
        path: str | bytes | Path | None = None,
        flags: int = os.O_RDONLY,
        directory: int | None = None,
        mode: int = 0o666,
    ) -> None:
        self.number = -1
        self.closing: Iterator[None] = iter(())
        if path is None:
            return
        call = fs.open if directory is None else partial(fs.open, dir_fd=directory)
        held: list[int] = []
        self.closing = map(fs.close, held)
        try:
            # No Python code runs between `fs.open` and the list, so no signal handler does.
            held.extend(map(call, (path,), (flags,), (mode,)))
            self.number = held[0]
        except BaseException:
            next(self.closing, None)
            raise

    @classmethod
    def inside(cls, directory: str, name: str, flags: int) -> Self:
        """Open a file of a directory that is not a link; the directory is open only meanwhile.

        Raises:
            OSError: one of them cannot be opened.
        """
        opened = cls()
        held: list[int] = []
        opened.closing = map(fs.close, held)
        try:
            opened.number = _open_inside(held, opened.closing, directory, name, flags)
        except BaseException:
            deque(opened.closing, 0)
            raise
        return opened

    def close(self) -> None:
        """Close it. A second call does nothing."""
        self.number = -1
        next(self.closing, None)

    def __enter__(self) -> int:
        return self.number

    def __exit__(self, *exc: object) -> None:
        self.number = -1
        next(self.closing, None)

    def __del__(self) -> None:
        if hasattr(self, "closing"):  # else interrupted before anything was opened
            deque(self.closing, 0)


def _open_inside(
    held: list[int], closing: Iterator[None], directory: str, name: str, flags: int
) -> int:
    """Open a file of a directory that is not a link; returns its descriptor.

    Args:
        held: gets the descriptors.
        closing: closes what is held, one after another; the caller goes on with it.
        directory, name: of the file.
        flags: of `open(2)`.
    """
    held.extend(map(fs.open, (directory,), (_DIRECTORY,)))
    held.extend(map(partial(fs.open, dir_fd=held[0]), (name,), (flags,)))
    next(closing)
    return held[1]


def while_inside(directory: str, name: str, flags: int, use: Callable[[int], _Given]) -> _Given:
    """What a function gives for a file that is opened as by `Descriptor.inside`, meanwhile."""
    held: list[int] = []
    closing = map(fs.close, held)
    try:
        return use(_open_inside(held, closing, directory, name, flags))
    finally:
        deque(closing, 0)


def while_open(
    call: Callable[[str | Path], int], path: str | Path, use: Callable[[int], _Given]
) -> _Given:
    """What a function gives for a file that is open meanwhile; faster than a `Descriptor`.

    Args:
        call: opens the file, and returns its descriptor; as `os.open`, not a function of Python's.
        path: its argument.
        use: takes the descriptor.

    Raises:
        OSError: it cannot be opened.
    """
    held: list[int] = []
    closing = map(fs.close, held)
    try:
        held.extend(map(call, (path,)))
        given = use(held[0])
    finally:
        next(closing, None)
    return given


def each_while_open(
    call: Callable[[str], int],
    paths: Iterable[str],
    use: Callable[[list[int]], list[_Given | OSError]],
) -> list[_Given | OSError]:
    """What a function gives for each of some files, or why one cannot be opened.

    All of them are open meanwhile, so they should be few. One at a time takes half as long again.

    Args:
        call: opens a file, and returns its descriptor; as for `while_open`.
        paths: its arguments.
        use: takes the descriptors of those that are open; gives an outcome for each.
    """
    held: list[int] = []
    closing = map(fs.close, held)
    errors: dict[int, OSError] = {}  # by place, ascending
    ahead = iter(paths)
    try:
        while True:
            try:
                held.extend(map(call, ahead))
                break
            except OSError as error:
                # Its traceback would keep this frame, and so itself, until garbage is collected.
                errors[len(held) + len(errors)] = error.with_traceback(None)
        given = use(held)
    finally:
        while True:
            try:
                deque(closing, 0)
                break
            except OSError:
                pass  # it is closed, and what was read of it is known; the others are still open
    for place, refusal in errors.items():
        given.insert(place, refusal)
    return given


def outcomes(call: Callable[..., _Given], *columns: Iterable[object]) -> list[_Given | OSError]:
    """As `list(map(call, *columns))`, but an OSError is an item."""
    found: list[_Given | OSError] = []
    ahead = [iter(column) for column in columns]
    while True:
        try:
            found.extend(map(call, *ahead))
            return found
        except OSError as error:
            found.append(error.with_traceback(None))


class ReopenedFile:
    """A file that is opened again and again, for a moment each; faster than a new `Descriptor`.

    Args:
        path: what to open.
        flags: of `open(2)`.

    Attributes:
        held: has its descriptor while it is open.
        opening: `next(opening)` opens it, or raises OSError; only while it is closed.
        closing: `next(closing)` closes it, or raises OSError; only while it is open.
    """

    __slots__ = ("closing", "held", "opening")

    def __init__(self, path: str | bytes | Path, flags: int) -> None:
        # Endless iterators: a step of them is one step for the interpreter, and makes no object.
        held: list[int] = []
        self.held = held
        self.opening = map(held.append, map(fs.open, repeat(path), repeat(flags)))
        self.closing = map(fs.close, iter(held.pop, None))

    def close(self) -> None:
        """Close it, if it is open."""
        if self.held:
            next(self.closing)

    def __del__(self) -> None:
        if hasattr(self, "closing"):  # else interrupted before anything was opened
            self.close()
