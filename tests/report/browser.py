"""A headless Chromium that shows a report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from expstore import ExperimentStore
from expstore.report import write_report

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-sync", "--disable-background-networking", "--disable-component-update"),
    "--window-size=1400,1000",
)


class Browser:
    """A headless Chromium that shows a report."""

    def __init__(self, profile: Path) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        self.driver.set_script_timeout(20)
        self.driver.get("about:blank")  # the default start page makes requests of its own

    def show(self, store: ExperimentStore, path: Path, fragment: str = "") -> None:
        """Write a report on the whole store, and open it with a fragment of its address."""
        write_report(store, path)
        self.open(path, fragment)

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file; another fragment alone would not load it again."""
        self.driver.get("about:blank")
        self.driver.get(path.as_uri() + fragment)
        self.settle()

    def fragment(self) -> str:
        """The fragment of the address."""
        found: str = self.run("return decodeURIComponent(location.hash).replaceAll('+', ' ')")
        return found

    def texts(self, selector: str) -> list[str]:
        """The texts of all elements that match a selector."""
        return list(
            self.run(
                f"return [...document.querySelectorAll({json.dumps(selector)})]"
                ".map((element) => element.textContent)"
            )
        )

    def text(self, selector: str) -> str:
        """The text of the first element that matches a selector."""
        return self.texts(selector)[0]

    @contextmanager
    def phone(self) -> Iterator[None]:
        """A screen of 390 points width."""
        size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        try:
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def settle(self) -> None:
        """Wait until some frames were drawn, so that the effects of events are visible."""
        self.driver.execute_async_script(
            "const done = arguments[0]; let frames = 4;"
            "const next = () => frames-- ? requestAnimationFrame(next) : done(); next()"
        )

    def run(self, script: str) -> Any:
        """Run a script in the page, and return its result."""
        value = self.driver.execute_script(script)
        self.settle()
        return value

    def click(self, selector: str) -> None:
        """Click the first element that matches a selector."""
        self.driver.find_element("css selector", selector).click()
        self.settle()

    def enter(self, selector: str, value: str) -> None:
        """Set an input's value and fire its event."""
        self.run(
            f"const box = document.querySelector({json.dumps(selector)});"
            f"box.value = {json.dumps(value)}; box.dispatchEvent(new Event('input'));"
            "box.dispatchEvent(new Event('change'))"
        )

    def complaints(self) -> list[str]:
        """The console messages: errors, and what the policy blocked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Every URL that was requested."""
        messages = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def colours(self, card: int = 0) -> int:
        """How many of the theme's colours appear in a chart."""
        found: int = self.run(
            "const data = JSON.parse(document.getElementById('data').textContent);"
            f"const canvas = document.querySelectorAll('.card:not([hidden]) canvas')[{card}];"
            "if (!canvas) return 0;"
            "const pixels = canvas.getContext('2d')"
            ".getImageData(0, 0, canvas.width, canvas.height).data;"
            "const seen = new Set();"
            "for (let i = 0; i < pixels.length; i += 4)"
            " seen.add(pixels[i] * 65536 + pixels[i + 1] * 256 + pixels[i + 2]);"
            "const theme = document.documentElement.dataset.theme;"
            "return data.colours[theme].filter((c) => seen.has(parseInt(c.slice(1), 16))).length"
        )
        return found
