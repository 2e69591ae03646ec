"""The pytest plugin: the fixture `experiment_store`, in every project that installs this package.

Guarantees: it adds one fixture and nothing else, and loads neither NumPy nor Hypothesis.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from expstore.store import ExperimentStore


@pytest.fixture
def experiment_store(tmp_path: Path) -> ExperimentStore:
    """An empty experiment store in a temporary directory of this test's own."""
    from expstore.store import ExperimentStore

    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    return store
