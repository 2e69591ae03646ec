"""Ctrl-C, SIGTERM and SIGHUP: each ends a command, which then has moments to put things in order.

Guarantees: for these moments no other one interrupts it, so nothing unfinished is left, and one
line is told; after that, another one ends the program at once. Whoever waits for the program sees
by which signal it ended, but for Ctrl-C, whose exit code is that of shells.
"""

from __future__ import annotations

import atexit
import signal
import time
from types import FrameType
from typing import Any, NoReturn

_MOMENTS = 3.0  # seconds
_ENDING: dict[int, Any] = {
    getattr(signal, name): handler
    for name, handler in (
        ("SIGINT", signal.default_int_handler),
        ("SIGTERM", signal.SIG_DFL),
        ("SIGHUP", signal.SIG_DFL),
    )
    if hasattr(signal, name)  # not all systems have all
}
"""The signals, each with what Python does at it by itself."""

_came: list[int] = []


def prepare() -> None:
    """Take the signals, unless the program was started to ignore them."""
    atexit.register(_ignore)
    for number, handler in _ENDING.items():
        if signal.getsignal(number) == handler:
            signal.signal(number, _interrupt)


def finish() -> None:
    """End by the signal that came, unless that was Ctrl-C or none did."""
    if _came and _came[0] != signal.SIGINT:
        signal.signal(_came[0], signal.SIG_DFL)
        signal.raise_signal(_came[0])


def _ignore() -> None:
    """When Python has but its memory to free, which it does without handlers."""
    for number in _ENDING if _came else ():
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    _came.append(number)
    until = time.monotonic() + _MOMENTS

    def again(number: int, frame: FrameType | None) -> None:
        if time.monotonic() > until:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for one in _ENDING:
        if signal.getsignal(one) is _interrupt:
            signal.signal(one, again)
    raise KeyboardInterrupt
