"""What the tests of the server share: one that runs in a thread, and a browser that looks at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("starlette", reason="the extra `serve` is not installed")
pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")

from expstore import ExperimentStore
from expstore.live.server import Server
from tests.report.browser import Browser
from tests.report.conftest import chromium, hostile

__all__ = ["chromium", "hostile"]


@pytest.fixture
def server(store: ExperimentStore) -> Iterator[Server]:
    """A server of the empty store, in a thread."""
    found = Server(store)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def page(chromium: Browser, server: Server) -> Iterator[Browser]:
    """The browser; checks that the page complains of nothing, and asks no other server."""
    chromium.complaints()
    chromium.requests()
    yield chromium
    complaints = chromium.complaints()
    chromium.driver.get("about:blank")
    assert complaints == []
    own = (server.address, "data:", "about:", "blob:")
    assert [url for url in chromium.requests() if not url.startswith(own)] == []
