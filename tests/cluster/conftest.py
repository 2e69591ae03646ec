"""A cluster that tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client

from expstore.cluster import open_client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One worker."""
    with open_client(workers=1) as client:
        yield client
