"""What the tests of reports share: a hostile store, and a headless Chromium."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from expstore import ExperimentStore, Metadata
from tests.helpers.application import log
from tests.report.browser import CHROMIUM, DRIVER, Browser
from tests.report.pages import ATTACKS


@pytest.fixture
def hostile(store: ExperimentStore) -> ExperimentStore:
    """Malicious names, non-finite values, and unreadable files."""
    values = [3.0, float("nan"), 2.0, float("inf"), float("-inf"), 1.0]
    log(store, "<img src=x onerror=alert(1)>", dict.fromkeys(ATTACKS, values))
    for attack in ATTACKS[1:3]:
        commit_id = f"id{len(attack)}"
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, 2**62, attack, attack))
    log(store, "torn", {"loss": [1.0, 2.0]})
    with open(store.metrics_path("torn"), "ab") as file:
        file.write(b"\x00\x01")
    store.create_experiment("no-metadata")
    log(store, "fifo", {})
    store.metrics_path("fifo").unlink(missing_ok=True)
    os.mkfifo(store.metrics_path("fifo"))
    return store


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests."""
    if not CHROMIUM or not DRIVER:
        pytest.skip("no chromium and chromedriver (Debian: chromium, chromium-driver)")
    pytest.importorskip("selenium", reason="selenium drives Chromium")
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.driver.quit()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    """The browser; checks that no test causes a console message or a network request."""
    chromium.complaints()
    chromium.requests()
    yield chromium
    assert chromium.complaints() == []
    assert [url for url in chromium.requests() if not url.startswith(("file:", "data:"))] == []
