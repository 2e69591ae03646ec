"""The pytest plugin: the fixture `experiment_store`, in every project that installs this package.

Guarantees: it adds one fixture and nothing else. Nothing of expstore is loaded until the fixture is
asked for: pytest loads every plugin that is installed, also in projects that never use this one,
and a project may have a module of its own that is named `formats`.

For the same reason it is installed as a package of its own, `expstore_pytest`: importing a module
of expstore would import expstore.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from expstore import ExperimentStore


@pytest.fixture
def experiment_store(tmp_path: Path) -> ExperimentStore:
    """An empty experiment store in a temporary directory of this test's own."""
    from expstore import ExperimentStore

    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    return store
