"""The report: a single file, tested in headless Chromium."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expstore import ExperimentNotFoundError, ExperimentStore, Metadata, OutputExistsError
from expstore.report.page import collect, render, write_report
from tests.helpers.application import log, run

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-sync", "--disable-background-networking", "--disable-component-update"),
    "--window-size=1400,1000",
)

ATTACKS = (
    "<script>window.attacked=1</script>",
    "</script><script>window.attacked=1</script>",
    "<img src=x onerror=window.attacked=1>",
    "<!--<script>",
    "{{data}} {{policy}}",
    "__proto__",
    "\x1b[31m\x00\u202e",
    "n" * 255,
    "",
    b"\xff\xfe".decode("utf-8", "surrogateescape"),
)


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


class Page(html.parser.HTMLParser):
    """A page's elements, each with the text directly after its start tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open = False
        self.elements: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        self.elements.append((tag, dict(attributes), ""))
        self.open = True

    def handle_endtag(self, tag: str) -> None:
        """Close the current element; the text that follows is ignored."""
        self.open = False

    def handle_data(self, data: str) -> None:
        """Add text to the most recently opened element."""
        if self.open:
            tag, attributes, text = self.elements[-1]
            self.elements[-1] = (tag, attributes, text + data)


def payload(page: str) -> dict[str, Any]:
    """The JSON data of a page."""
    (text,) = (
        text for _, attributes, text in Page(page).elements if attributes.get("id") == "data"
    )
    data: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return data


def points(curve: dict[str, Any]) -> tuple[list[int], list[float]]:
    """The steps and values of a curve, decoded as the page does."""
    raw, n = base64.b64decode(curve["data"]), curve["n"]
    values = np.frombuffer(raw, f"<{curve['type']}", n)
    steps = np.frombuffer(raw, "<u4", n, offset=values.nbytes)
    return steps.tolist(), values.tolist()


def test_the_page_is_self_contained_and_its_policy_allows_nothing_else(
    store: ExperimentStore,
) -> None:
    """It loads nothing; the policy lists the hash of each script and style in the page."""
    log(store, "a", {"loss": [1.0]})
    page = render(collect(store, ["a"]), "title")
    elements = Page(page).elements
    for tag, attributes, _ in elements:
        assert not {"src", "srcset", "action"} & attributes.keys(), tag
        assert (attributes.get("href") or "#").startswith(("#", "data:")), tag
        assert not [name for name in attributes if name.startswith(("on", "style"))], tag
    (policy,) = (
        a["content"] for _, a, _ in elements if "Content-Security" in str(a.get("http-equiv"))
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag, attributes, text in elements:
        if tag == "style" or (tag == "script" and "type" not in attributes):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
    assert not re.search(r"@import|url\(", page)


def test_the_chart_library_is_unmodified_and_licensed(store: ExperimentStore) -> None:
    """It has the digest of the published file, and every report includes its licence."""
    page = render(collect(store, []), "title")
    (library,) = (
        text for tag, _, text in Page(page).elements if tag == "script" and "uPlot=" in text
    )
    assert hashlib.sha256(library.encode()).hexdigest() == LIBRARY
    assert "The MIT License (MIT)" in page
    assert "Leon Sorokin" in page


LIBRARY = "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"


def test_names_from_files_cannot_leave_their_data(hostile: ExperimentStore) -> None:
    """The page has the same elements whatever the names are, and the title is plain text."""
    page = render(collect(hostile, hostile.list_experiments()), ATTACKS[1])
    plain = render(collect(hostile, []), "title")
    assert [tag for tag, _, _ in Page(page).elements] == [tag for tag, _, _ in Page(plain).elements]
    assert r"\x1b[31m\x00\u202e" in payload(page)["metrics"]
    assert len(payload(page)["metrics"]) == len(ATTACKS) + 1


def test_problems_are_reported(hostile: ExperimentStore) -> None:
    """Torn, unreadable and empty experiments are included, without the path of the store."""
    runs = {entry["id"]: entry for entry in collect(hostile, hostile.list_experiments())["runs"]}
    assert "torn tail of 2 bytes" in runs["torn"]["tail"]
    assert runs["fifo"]["problems"] == ["fifo/metrics.bin: not a regular file"]
    assert "no metadata" in runs["no-metadata"]["problems"][0]
    assert str(hostile.root) not in json.dumps(list(runs.values()))


def test_short_curves_are_complete_and_accurate(store: ExperimentStore) -> None:
    """Curves keep enough digits to be drawn, even with large offsets; the last value is exact."""
    for name, values in {
        "plain": [0.1, 0.2, 1e9],
        "offset": [1e9 + 0.25, 1e9 + 0.5],
        "tiny": [1e-300, 2e-300],
        "huge": [1e300, -1e300],
        "gaps": [1.0, float("nan"), float("inf")],
    }.items():
        log(store, name, {name: values})
    for curve in collect(store, store.list_experiments())["curves"]:
        name = curve["metric"]
        steps, values = points(curve)
        whole = store.get_metrics(store.list_experiments()[curve["run"]])
        assert steps == whole.steps.tolist(), name
        np.testing.assert_allclose(values, whole.values, rtol=1e-6)
        span = np.ptp(whole.values[np.isfinite(whole.values)])
        finite = np.isfinite(whole.values)
        error = np.abs(np.array(values)[finite] - whole.values[finite])
        assert (error <= span * 1e-5).all()
        assert float(curve["last"]) == whole.values[-1]


def test_long_curves_are_thinned_and_keep_their_spike(store: ExperimentStore) -> None:
    """50,000 points become at most 4,000; last, min and max are taken over all points."""
    values = np.linspace(1, 2, 50_000)
    values[31_415] = 9.0
    log(store, "a", {"loss": values.tolist()})
    (curve,) = collect(store, ["a"])["curves"]
    assert curve["n"] <= 4000
    assert curve["points"] == 50_000
    steps, kept = points(curve)
    assert kept[steps.index(31_415)] == 9.0
    assert (curve["min"], curve["max"], curve["last"]) == (1.0, 9.0, 2.0)


def test_many_curves_share_the_space(store: ExperimentStore) -> None:
    """The more curves there are, the fewer points each has."""
    steps = np.tile(np.arange(2000), 300)
    names = np.repeat([f"m{i}" for i in range(300)], 2000).tolist()
    with store.start_experiment("a") as writer:
        writer.append({"name": names, "step": steps, "value": steps * 1.0})
    curves = collect(store, ["a"])["curves"]
    assert len(curves) == 300
    assert 400_000 / 300 * 0.9 < curves[0]["n"] <= 400_000 / 300


def test_the_command_writes_a_report(store: ExperimentStore, tmp_path: Path) -> None:
    """An existing file is replaced; a directory or an unknown id is an error."""
    log(store, "a", {"loss": [1.0]})
    path = tmp_path / "report.html"
    path.write_text("old")
    result = run(store, "report", "a", "-o", str(path), "--title", "<Mine>")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "<title>&lt;Mine&gt;</title>" in path.read_text()
    assert "1 experiment in" in result.stderr
    with pytest.raises(OutputExistsError):
        write_report(store, tmp_path)
    with pytest.raises(ExperimentNotFoundError):
        write_report(store, tmp_path / "other.html", ["nothing"])
    assert not (tmp_path / "other.html").exists()


# In a browser -------------------------------------------------------------------------------------


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

    def show(self, store: ExperimentStore, path: Path) -> None:
        """Write a report on the whole store, and open it."""
        write_report(store, path)
        self.driver.get(path.as_uri())
        self.settle()

    def settle(self) -> None:
        """Wait until two frames were drawn, so that the effects of events are visible."""
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 50)"
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
            f"box.value = {json.dumps(value)}; box.dispatchEvent(new Event('input'))"
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


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests in this module."""
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


def test_hostile_names_do_nothing_in_a_browser(
    hostile: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Every name appears as text on the page, and no script in a name has run."""
    browser.show(hostile, tmp_path / "report.html")
    browser.click("#tab-table")
    browser.click("#tab-curves")
    assert browser.run("return window.attacked") is None
    assert browser.run("return document.querySelectorAll('img, main script').length") == 0
    shown = browser.run(
        "return [...document.querySelectorAll('.card h3')].map((e) => e.textContent)"
    )
    for name in (*ATTACKS[:6], r"\x1b[31m\x00\u202e", "n" * 255, "(no name)", r"\udcff\udcfe"):
        assert name in shown
    assert "4 problems in 3 experiments" not in shown
    assert "3 problems in 3 experiments" in browser.run(
        "return document.getElementById('problems').textContent"
    )
    assert "NaN or infinite" in browser.run("return document.querySelector('.note').textContent")


def test_experiments_are_shown_and_hidden(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Unchecking an experiment removes its curve; `only`, None and All do what they say."""
    for i in range(4):
        log(store, f"run{i}", {"loss": [1.0 + i, 2.0 + i, 1.5 + i]})
    browser.show(store, tmp_path / "report.html")
    assert browser.colours() == 4
    browser.click("#runs input")
    assert browser.colours() == 3
    assert browser.run("return document.getElementById('runs-count').textContent") == "3 of 4"
    browser.run("document.querySelectorAll('.only')[2].click()")
    assert browser.colours() == 1
    browser.click("#runs-none")
    assert browser.run("return document.querySelector('.plot').textContent") == (
        "No selected experiment has this metric"
    )
    browser.click("#runs-all")
    assert browser.colours() == 4


def test_search_log_scale_smoothing_and_theme(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Each control works, and its effect can be undone."""
    log(store, "a", {"train/loss": [100.0, 10.0, 1.0], "val/loss": [0.0, -1.0], "lr": [1.0]})
    browser.show(store, tmp_path / "report.html")
    count = "return document.querySelectorAll('.card:not([hidden])').length"
    assert browser.run(count) == 3
    browser.enter("#query", "LOSS va")
    assert browser.run(count) == 1
    assert browser.run("return document.getElementById('shown').textContent") == "1 of 3 metrics"
    assert browser.run("return document.querySelectorAll('.group:not([hidden])').length") == 0
    browser.click("#log")
    nothing = "return document.querySelector('.card:not([hidden]) .plot').textContent"
    assert browser.run(nothing) == "No value above zero"
    browser.click("#log")
    assert browser.run(nothing) == ""
    browser.enter("#query", "")
    assert browser.run(count) == 3
    assert browser.run("return document.querySelectorAll('.group:not([hidden]) .card').length") == 3
    before = browser.run("return document.querySelectorAll('canvas')[1].toDataURL()")
    browser.enter("#smooth", "0.9")
    assert browser.run("return document.querySelectorAll('canvas')[1].toDataURL()") != before
    browser.enter("#smooth", "0")
    assert browser.run("return document.querySelectorAll('canvas')[1].toDataURL()") == before
    theme = browser.run("return document.documentElement.dataset.theme")
    browser.click("#theme")
    assert {theme, browser.run("return document.documentElement.dataset.theme")} == {
        "light",
        "dark",
    }
    assert browser.colours() == 1


def test_tooltips_and_zooming(store: ExperimentStore, browser: Browser, tmp_path: Path) -> None:
    """Hovering shows the logged values; dragging zooms every chart; the button undoes it."""
    from selenium.webdriver.common.action_chains import ActionChains

    values = [float(i * i) for i in range(101)]
    log(store, "a", {"loss": values, "other": values})
    browser.show(store, tmp_path / "report.html")
    over = browser.driver.find_element("css selector", ".u-over")
    ActionChains(browser.driver).move_to_element(over).perform()
    browser.settle()
    tip = browser.run("return document.querySelector('.tip').textContent")
    assert re.fullmatch(r"step (49|50|51)a  job-a(2401|2,401|2500|2,500|2601|2,601)", tip)
    drag = ActionChains(browser.driver).move_to_element_with_offset(over, -40, 0).click_and_hold()
    drag.move_by_offset(80, 0).release().perform()
    browser.settle()
    assert not browser.run("return document.getElementById('unzoom').hidden")
    browser.click("#unzoom")
    assert browser.run("return document.getElementById('unzoom').hidden")


def test_the_keyboard_reads_values_out(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Arrow keys on a chart read out values; arrow keys on a tab switch tabs."""
    log(store, "a", {"loss": [1.0, 5.0, 9.0]})
    browser.show(store, tmp_path / "report.html")
    plot = browser.driver.find_element("css selector", ".plot")
    assert "loss: 1 curve. Last values: a 9" in (plot.get_attribute("aria-label") or "")
    plot.send_keys("\ue014")
    browser.settle()
    assert browser.run("return document.getElementById('live').textContent") == "step 1: a  job-a5"
    browser.driver.find_element("css selector", "#tab-curves").send_keys("\ue014")
    assert not browser.run("return document.getElementById('table').hidden")


def test_the_table_sorts_missing_values_last(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """NaN and missing values come last, ascending and descending."""
    for commit_id, metrics in {"a": [2.0], "b": [10.0], "c": [float("nan")], "d": []}.items():
        log(store, commit_id, {"loss": metrics} if metrics else {})
    browser.show(store, tmp_path / "report.html")
    browser.click("#tab-table")
    order = "return [...document.querySelectorAll('tbody .id')].map((e) => e.textContent).join('')"
    head = "document.querySelector('thead button[title=loss]')"
    browser.run(f"{head}.click()")
    assert browser.run(order) == "abcd"
    browser.run(f"{head}.click()")
    assert browser.run(order) == "bacd"
    sorted_by = "return document.querySelector('[aria-sort]').getAttribute('aria-sort')"
    assert browser.run(sorted_by) == "descending"


def test_only_visible_charts_are_drawn(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """With 500 metrics only a few charts exist; scrolling draws others and drops the first."""
    names = [f"m{i}" for i in range(500)]
    with store.start_experiment("a") as writer:
        writer.append({"name": names, "step": [0] * 500, "value": [1.0] * 500})
    browser.show(store, tmp_path / "report.html")
    assert browser.run("return document.querySelectorAll('.card').length") == 500
    assert 0 < browser.run("return document.querySelectorAll('canvas').length") < 40
    browser.run("window.scrollTo(0, document.body.scrollHeight)")
    assert browser.run("return document.querySelectorAll('canvas').length") < 40
    last = "return document.querySelector('.card:last-child canvas') !== null"
    assert browser.run(last)
    browser.click("#tab-table")
    assert "12 of 500 metrics" in browser.run("return document.getElementById('table').textContent")


def test_a_narrow_page_does_not_scroll_sideways(
    hostile: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """At phone width, with the longest possible names."""
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.show(hostile, tmp_path / "report.html")
        assert browser.run("return document.documentElement.scrollWidth") == 390
        browser.click("#tab-table")
        assert browser.run("return document.documentElement.scrollWidth") == 390
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_an_empty_report_says_so(store: ExperimentStore, browser: Browser, tmp_path: Path) -> None:
    """Without experiments, and with experiments but no metrics."""
    browser.show(store, tmp_path / "none.html")
    shown = "return document.getElementById('empty').textContent"
    assert browser.run(shown) == "This report contains no experiments."
    log(store, "a", {})
    browser.show(store, tmp_path / "empty.html")
    assert browser.run(shown) == "Nothing has been logged yet."
