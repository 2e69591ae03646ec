"""The pytest plugin: the fixture `experiment_store`, in every project that installs this package.

Guarantees: it adds one fixture and nothing else. No part of expstore is loaded until the fixture is
requested: pytest loads every installed plugin, even in projects that never use it, and a project
may have its own module named `formats`.

For the same reason it is installed as a separate package, `expstore_pytest`: importing a module of
expstore would import expstore.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from expstore.store import ExperimentStore


@pytest.fixture
def experiment_store(tmp_path: Path) -> ExperimentStore:
    """An empty experiment store in a temporary directory, separate for each test."""
    from expstore.store import ExperimentStore

    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    return store
