"""A real browser that watches runs, and is killed when it is told to."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import psutil

from tests.report.browser import Browser

_POINTS = """
const found = {};
for (const plot of document.querySelectorAll(".plot[aria-label]")) {
  const [, name, curves, points] = plot.getAttribute("aria-label").match(/^(.*): (.*) curves? of (.*) points?\\./);
  found[name] = Number(points.replaceAll(",", ""));
}
return found;
"""  # noqa: E501


class BrowserWatcher(threading.Thread):
    """Watches two metrics of runs in Chromium; the other side of `tests.live.client.Watcher`.

    Args:
        address: of the server.
        runs: what it draws.
        metrics: whose charts are expected on the screen, as those of the first ones are.

    Attributes:
        fetched: how often a page was opened.
        broken: when it is set, the browser is killed, and another one begins.
        ended: when it is set, the browser is closed.
    """

    def __init__(self, address: str, runs: list[str], metrics: list[str]) -> None:
        super().__init__(daemon=True)
        picks = urlencode([("pick", run) for run in runs])
        self._address = f"{address}#{picks}"
        self._runs = runs
        self._points: dict[str, int] = {}
        self.fetched = 0
        self.broken, self.ended = threading.Event(), threading.Event()

    def run(self) -> None:
        """Watch until `ended` is set."""
        while not self.ended.is_set():
            profile = Path(tempfile.mkdtemp(prefix="watcher-"))
            browser = Browser(profile)
            self.fetched += 1
            try:
                browser.driver.get(self._address)
                began = time.monotonic()
                while not self.ended.is_set():
                    self._points = browser.driver.execute_script(_POINTS)
                    if self.broken.is_set() and time.monotonic() > began + 5:
                        break
                    time.sleep(0.2)
            finally:
                _kill(browser)
                shutil.rmtree(profile, ignore_errors=True)
                self.broken.clear()

    def logged(self, run: str, metric: str) -> int:
        """How many logged points the chart stands for, if each run has as many."""
        points, rest = divmod(self._points.get(metric, 0), len(self._runs))
        return points if not rest else -1


def _kill(browser: Browser) -> None:
    """As by a crash: without a word to the server."""
    driver = psutil.Process(browser.driver.service.process.pid)
    for one in [*driver.children(recursive=True), driver]:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    with suppress(OSError):
        browser.driver.service.process.wait(10)
