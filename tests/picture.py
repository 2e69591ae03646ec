"""Makes the picture in the README: a report on the demonstration's runs, in light and dark.

    python -m tests.picture

It writes `tests/pictures/report-light.png` and `report-dark.png`, and needs Chromium with its
driver, and Selenium (extra `test`).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from expstore import ExperimentStore
from expstore.cli.demo_training import free_settings, train
from expstore.report import write_report
from tests.helpers.paths import ROOT
from tests.report.browser import CHROMIUM, DRIVER, Browser

PICTURES = ROOT / "tests" / "pictures"
THEMES = ("light", "dark")
WIDTH, HEIGHT = 1180, 680  # pixels
MAXIMUM = 150_000  # bytes of a picture


def take(report: Path, directory: Path, profile: Path) -> list[Path]:
    """Take a picture of a report in each theme; returns the files, named after the report.

    Args:
        report: the HTML file.
        directory: where the pictures go.
        profile: an empty directory for the browser.
    """
    browser = Browser(profile)
    try:
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        command = browser.driver.execute_cdp_cmd
        command("Emulation.setDeviceMetricsOverride", size)
        command("Emulation.setScrollbarsHidden", {"hidden": True})
        taken = []
        for theme in THEMES:
            preference = {"name": "prefers-color-scheme", "value": theme}
            command("Emulation.setEmulatedMedia", {"features": [preference]})
            browser.open(report)
            taken.append(directory / f"{report.stem}-{theme}.png")
            browser.driver.save_screenshot(str(taken[-1]))
        return taken
    finally:
        browser.driver.quit()


def main() -> None:
    """Train the demonstration's models, and take the pictures."""
    if not CHROMIUM or not DRIVER:
        sys.exit("no chromium and chromedriver (Debian: chromium, chromium-driver)")
    with tempfile.TemporaryDirectory() as work:
        store = ExperimentStore(Path(work, "experiments"))
        for setting in free_settings(store):
            train(store, setting)
        report = Path(work, "report.html")
        write_report(store, report, title="Three learning rates")
        profile = Path(work, "profile")
        profile.mkdir()
        for path in take(report, PICTURES, profile):
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
