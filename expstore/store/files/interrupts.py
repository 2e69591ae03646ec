"""Ctrl-C and its like, held back while something must be done to its end.

Guarantees: in a block, no signal that ends a program raises anything; what came meanwhile is
handled after it. A second Ctrl-C while a first one is answered asks for nothing new.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

_ENDING = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back what this program does at signals that end it; for work of moments.

    What the system does is not held back: a program without a handler for SIGTERM ends by it.
    """
    if threading.current_thread() is not threading.main_thread():  # the only one with handlers
        yield
        return
    answered = {signal.SIGINT} if isinstance(sys.exc_info()[1], KeyboardInterrupt) else set()
    came: list[int] = []
    held = True
    handlers = {one: handler for one in _ENDING if callable(handler := signal.getsignal(one))}

    def hold(number: int, frame: FrameType | None) -> None:
        if held:
            came.append(number)
        else:  # while handlers are put back: one that raises ends that
            handlers[number](number, frame)

    try:
        for one in handlers:
            signal.signal(one, hold)
        yield
    finally:
        held = False
        with ExitStack() as after:
            for one, handler in handlers.items():
                after.callback(signal.signal, one, handler)
        for number in dict.fromkeys(came):
            if number not in answered:
                signal.raise_signal(number)
