"""What a store survives: the quick forms of tests/faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import __main__ as experiments
from tests.faults.base import Skip


@pytest.mark.parametrize("name", [name for name in experiments.QUICK if name != "model"])
def test_store_survives(name: str, tmp_path: Path) -> None:
    """No record is lost, torn or false, and nothing is half done; see tests.faults."""
    try:
        figures = experiments.QUICK[name](tmp_path)
    except Skip as reason:
        pytest.skip(str(reason))
    assert figures
