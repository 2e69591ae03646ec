"""Streams: what a program prints, shown as before and kept.

Guarantees: a program whose output would be on a terminal still finds one there, of the same size,
so that it keeps its colours and progress bars; otherwise it finds a pipe. What is one file for
standard output and standard error stays one, in its order. Standard input is left alone.
"""

from __future__ import annotations

import errno
import os
import selectors
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from expstore.store.files.systems import terminal

_BLOCK = 1 << 16  # bytes read at a time
_OUTPUTS = 1, 2
_HELD = 1 << 20  # bytes that a pipe or terminal may hold; by default, it is a sixteenth


class Streams:
    """The outputs of a program that is about to be started; a context manager.

    Args:
        keep: called with all that is printed.

    Attributes:
        given: for each descriptor, what the program gets as such.
    """

    def __init__(self, keep: Callable[[bytes], object]) -> None:
        self._keep = keep
        self._targets: dict[int, int] = {}  # where what is read from a descriptor goes
        self._terminals: list[tuple[int, int]] = []  # ours, and the one whose size it has
        self.given: dict[int, int] = {}
        made: dict[tuple[int, int], int] = {}
        for output in _OUTPUTS:
            status = os.fstat(output)
            same = status.st_dev, status.st_ino
            if same not in made:
                made[same] = self._channel(output)
            self.given[output] = made[same]
        self.resize()

    def _channel(self, output: int) -> int:
        """Make a terminal or pipe to an output; returns the end that the program gets."""
        if sys.platform == "win32":
            raise NotImplementedError
        if os.isatty(output):
            ours, theirs = terminal.make()
            self._terminals.append((ours, output))
        else:
            ours, theirs = os.pipe()
        os.set_blocking(ours, False)
        self._targets[ours] = output
        return theirs

    def resize(self) -> None:
        """Give the program's terminals the size that the real ones have now."""
        for ours, real in self._terminals:
            with suppress(OSError):
                terminal.copy_size(real, ours)

    def started(self) -> None:
        """The program has its ends; these are closed here, so that its end can be seen."""
        for descriptor in set(self.given.values()):
            os.close(descriptor)
        self.given = {}

    @property
    def readable(self) -> list[int]:
        """The descriptors from which output comes."""
        return list(self._targets)

    def pass_on(self, descriptor: int) -> int:
        """Show and keep what there is to read; returns its size, 0 if there is nothing now."""
        try:
            data = os.read(descriptor, _BLOCK)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno != errno.EIO:  # the end of a terminal
                raise
            data = b""
        if not data:
            self._targets.pop(descriptor)
            self._terminals = [pair for pair in self._terminals if pair[0] != descriptor]
            os.close(descriptor)
            return 0
        self._keep(data)
        if (target := self._targets[descriptor]) >= 0 and not _show(target, data):
            self._targets[descriptor] = -1
        return len(data)

    def drain(self) -> None:
        """Show and keep what the program has printed before it ended.

        What it has left behind may print for ever, and faster than is read here.
        """
        for descriptor in self.readable:
            left = _HELD
            while left > 0 and (size := self.pass_on(descriptor)):
                left -= size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.started()
        for descriptor in self.readable:
            os.close(descriptor)
        self._targets = {}


def _show(target: int, data: bytes) -> bool:
    """Write to an output; False if nobody reads it any more, which does not end the program."""
    while data:
        try:
            data = data[os.write(target, data) :]
        except BlockingIOError:
            with selectors.DefaultSelector() as room:
                room.register(target, selectors.EVENT_WRITE)
                room.select(1)
        except OSError:
            return False
    return True
