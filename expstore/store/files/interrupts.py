"""Ctrl-C and its like, held back while something must be done to its end.

Guarantees: in a block, no signal that ends a program raises anything; what came meanwhile is
handled after it. A second Ctrl-C while a first one is answered asks for nothing new.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

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
    handlers = {one: handler for one in _ENDING if callable(handler := signal.getsignal(one))}
    try:
        for one in handlers:
            signal.signal(one, lambda number, _: came.append(number))
        yield
    finally:
        for one, handler in handlers.items():
            signal.signal(one, handler)
        for number in dict.fromkeys(came):
            if number not in answered:
                signal.raise_signal(number)
