"""The page in Chromium, while runs log."""

from __future__ import annotations

import time

import pytest

import expstore
from expstore import ExperimentStore
from expstore.live.server import Server
from tests.helpers.application import log
from tests.report.browser import Browser

WAIT = 10.0  # seconds after which a test fails


def wait_for(page: Browser, script: str, seconds: float = WAIT) -> float:
    """Wait until a JavaScript expression is true; returns how long that took, in seconds."""
    began = time.monotonic()
    while not page.driver.execute_script(f"return Boolean({script})"):
        if time.monotonic() - began > seconds:
            pytest.fail(f"not true after {seconds} s: {script}\n{page.text('body')[:2000]}")
        time.sleep(0.02)
    return time.monotonic() - began


DRAWN = "document.querySelector('.card canvas')"
PICTURE = f"({DRAWN} ? {DRAWN}.toDataURL() : '')"


def test_a_run_appears_grows_and_ends_while_it_logs(
    page: Browser, server: Server, store: ExperimentStore
) -> None:
    """Without a reload: a new run, its points, its status, and that it was deleted."""
    log(store, "first", {"loss": [3.0, 2.0, 1.0]})
    page.driver.get(server.address)
    wait_for(page, DRAWN)
    assert page.texts("#runs button.id") == ["first"]
    run = expstore.start(store.root, "second", params={"lr": 0.1})
    with run:
        run.log({"loss": 5.0}, step=0)
        wait_for(page, "document.querySelectorAll('#runs li').length === 2")
        wait_for(page, "document.querySelector('#runs .status.running')")
        wait_for(
            page, "document.querySelector('.plot').getAttribute('aria-label').includes('2 curves')"
        )
        page.settle()
        before = page.run(f"return {PICTURE}")
        run.log({"loss": 4.0}, step=1)
        wait_for(page, f"{PICTURE} !== {before!r}")
    wait_for(page, "document.querySelector('#runs .status.finished')")
    store.prune_experiments(1)
    wait_for(page, "document.querySelectorAll('#runs li').length === 1")
