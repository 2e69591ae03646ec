"""The cells of a notebook: what a cell began ends with the exception that ends the cell.

Such an exception does not end the program, and it keeps the objects of its frames alive, so that
neither ends a training. Guarantees: IPython is used only if the program is running in it.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, Protocol
from weakref import WeakSet


class Begun(Protocol):
    """What a cell began."""

    def end_of_cell(self, error: BaseException | None) -> None:
        """The cell has ended, by an exception or as it should."""


_begun: WeakSet[Any] = WeakSet()


def watch(begun: Begun) -> None:
    """Tell this object when the present cell ends, if there is one and it is in this thread."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if hasattr(ipython, "get_ipython") else None
    if shell is not None and threading.current_thread() is threading.main_thread():
        _begun.add(begun)
        shell.events.register("post_run_cell", _cell_ended)  # once, if it is so already


def _cell_ended(result: Any) -> None:
    begun = list(_begun)
    _begun.clear()
    for one in begun:
        one.end_of_cell(result.error_before_exec or result.error_in_exec)
