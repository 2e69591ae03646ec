"""What the tests of a log that is appended to begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from expstore.store.append.log import AppendLog
from tests.helpers.logs import record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a log that does not exist yet."""
    return tmp_path / "metrics.bin"


@pytest.fixture
def log(path: Path) -> Iterator[AppendLog]:
    """An open log with one record."""
    log = AppendLog(path)
    log.append(record("first"))
    yield log
    log.close()
