"""Connecting to workers: a failure raises one error, and leaves no half-constructed client."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from expstore import ClusterError
from expstore.cluster import open_client, workers
from tests.helpers.paths import ROOT


@pytest.mark.parametrize("address", ["127.0.0.1", "tcp://127.0.0.1", "nothing://x:1", "", "tcp://"])
def test_a_malformed_address_constructs_no_client(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is parsed first: a client that fails in its constructor is left half-constructed."""
    distributed = workers.require("distributed", "cluster")
    monkeypatch.setattr(distributed.Client, "__init__", lambda *_: pytest.fail("a client"))
    with pytest.raises(ClusterError, match="not an address of a Dask scheduler"):
        open_client(address).__enter__()


def test_a_client_that_cannot_connect_is_closed_and_not_left_to_garbage_collection() -> None:
    """If its finalizer ran while another client starts, it would deadlock with its own thread."""
    program = """
        import gc
        from distributed.utils import LoopRunner
        from expstore import ClusterError
        from expstore.cluster import open_client, workers

        workers._PATIENCE = 0.2
        start = LoopRunner._start_unlocked

        def collecting(runner):
            gc.collect()  # while the lock of all runners is held
            start(runner)

        LoopRunner._start_unlocked = collecting
        gc.disable()
        for address in ("tcp://127.0.0.1", "tcp://127.0.0.1:9", "inproc://x", "tcp://127.0.0.1:9"):
            try:
                open_client(address).__enter__()
            except ClusterError:
                print("refused")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,  # a deadlock would wait forever
        check=True,
    )
    assert done.stdout == "refused\n" * 4
