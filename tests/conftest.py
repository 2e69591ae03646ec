"""What the tests share: the golden vectors, a store, and the settings of hypothesis."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from expstore import ExperimentStore
from tests.helpers.paths import MEMORY, VECTORS

# Machines are shared: a slow example is not a failure.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.load_profile("default")


def pytest_configure() -> None:
    """Make temporary files in memory, unless TMPDIR says where.

    A disk takes milliseconds for each sync, of which some ten thousand are made.
    """
    if MEMORY and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = tempfile.tempdir = MEMORY


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two for each core with `-n auto`, since tests wait for programs half of the time."""
    return 2 * len(os.sched_getaffinity(0))


@pytest.fixture(scope="session", autouse=True)
def interruptible_children() -> Iterator[None]:
    """Programs that tests start can be interrupted, even if this one ignores it.

    A shell starts background jobs so that they ignore SIGINT, and their children inherit that. What
    is handled, even by doing nothing, is the default again in a child.
    """
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def expected() -> dict[str, Any]:
    """What the reference program reads back from the vectors."""
    return json.loads((VECTORS / "expected.json").read_text())


@pytest.fixture(scope="session")
def vectors() -> ExperimentStore:
    """The golden vectors as a store; read-only."""
    return ExperimentStore(VECTORS / "store")


@pytest.fixture
def vectors_copy(tmp_path: Path) -> ExperimentStore:
    """A copy of the golden vectors that a test may write to."""
    return ExperimentStore(shutil.copytree(VECTORS / "store", tmp_path / "vectors"))


@pytest.fixture
def store(tmp_path: Path) -> ExperimentStore:
    """An empty, initialized store with a fixed clock."""
    store = ExperimentStore(tmp_path / "experiments", clock=lambda: 1_700_000_000.75)
    store.initialize()
    return store
