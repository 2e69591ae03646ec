"""What the system that this program runs on has; chosen once, when it is imported.

    from expstore.store.files.systems.native import fs, own

Guarantees: `fs` has `open`, `close`, `stat`, `scandir` and the others of `os` that take a
descriptor of a directory, under their names and with their arguments; `own` has what `posix` and
`portable` both define. A system without `fcntl` is taken for one without directory descriptors.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if sys.platform == "win32":
    from expstore.store.files.systems import portable as fs
    from expstore.store.files.systems import portable as own
elif TYPE_CHECKING or find_spec("fcntl") is not None:
    import os as fs

    from expstore.store.files.systems import posix as own
else:
    from expstore.store.files.systems import portable as fs
    from expstore.store.files.systems import portable as own

__all__ = ["fs", "own"]
