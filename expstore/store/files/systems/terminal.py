"""Terminals that a program makes for another, on POSIX systems only."""

from __future__ import annotations

import os
import sys
import termios


def make() -> tuple[int, int]:
    """Make a terminal; returns the descriptors of the end that is kept, and of the program's."""
    if sys.platform == "win32":
        raise NotImplementedError
    ours, theirs = os.openpty()
    # Line ends are left as they are: the real terminal adds what it needs.
    modes = termios.tcgetattr(theirs)
    modes[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, modes)
    return ours, theirs


def copy_size(source: int, target: int) -> None:
    """Give a terminal the size of another one.

    Raises:
        OSError: one of them is not a terminal any more.
    """
    if sys.platform == "win32":
        raise NotImplementedError
    try:
        termios.tcsetwinsize(target, termios.tcgetwinsize(source))
    except termios.error as error:
        raise OSError(*error.args) from error
