"""What a worker process of this machine does first: see `expstore.workers`.

Guarantees: Ctrl-C, which a terminal sends to all processes, is for the one that has the workers.
"""

from __future__ import annotations

import signal


def dask_setup(_: object) -> None:
    """Dask calls this in each new worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
