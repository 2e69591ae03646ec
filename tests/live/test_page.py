"""The page in Chromium, while runs log."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import expstore
from expstore import ExperimentStore, Metadata
from expstore.live import view
from expstore.live.server import Server
from tests.helpers.application import log
from tests.report.browser import Browser
from tests.report.pages import payload, png

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


def test_runs_are_listed_by_age_whenever_they_come(
    page: Browser, server: Server, store: ExperimentStore
) -> None:
    """An import of old runs, and those that are found while the page loads, do not come first."""
    shown = "[...document.querySelectorAll('#runs button.id')].map((e) => e.textContent).join(' ')"

    def add(name: str, created: int) -> None:
        store.create_experiment(name)
        store.write_metadata(Metadata(name, created))

    add("middle", 2000)
    page.driver.get(server.address)
    wait_for(page, f"{shown} === 'middle'")
    add("oldest", 1000)
    wait_for(page, f"{shown} === 'middle oldest'")
    add("newest", 3000)
    store.create_experiment("unknown")
    wait_for(page, f"{shown} === 'newest middle oldest unknown'")
    add("alike", 2000)
    wait_for(page, f"{shown} === 'newest alike middle oldest unknown'")


def test_the_page_finds_itself_again_after_a_restart(
    chromium: Browser, server: Server, store: ExperimentStore
) -> None:
    """What was logged and deleted meanwhile is there, without a reload."""
    log(store, "old", {"loss": [1.0, 2.0]})
    log(store, "kept", {"loss": [3.0, 2.0, 1.0]})
    page = chromium  # which complains that the server does not answer
    port = int(server.address.rpartition(":")[2].strip("/"))
    page.driver.get(server.address)
    wait_for(page, DRAWN)
    page.run("window.same = true")
    before = page.run(f"return {PICTURE}")
    server.stop()
    wait_for(page, "!document.querySelector('#state').hidden")
    assert "does not answer" in page.text("#state") or "ended" in page.text("#state")
    store.prune_experiments(0, protect=["kept"])
    with store.writer("kept") as writer:
        writer.log("loss", 9.0, 3)
    log(store, "new", {"loss": [2.0]})
    again = Server(store, port=port)
    again.start()
    try:
        wait_for(page, "document.querySelector('#state').hidden")
        wait_for(page, "document.querySelector('#runs').textContent.includes('new')")
        wait_for(page, "!document.querySelector('#runs').textContent.includes('old')")
        assert sorted(page.texts("#runs button.id")) == ["kept", "new"]
        wait_for(page, f"{PICTURE} !== {before!r}")
        wait_for(
            page, "document.querySelector('.plot').getAttribute('aria-label').includes('kept 9')"
        )
        assert page.run("return window.same")
    finally:
        page.driver.get("about:blank")
        again.stop()


def test_hostile_names_are_text(page: Browser, server: Server, hostile: ExperimentStore) -> None:
    """In every view; and nothing of them runs."""
    files = hostile.files_path("torn")
    files.mkdir(exist_ok=True)
    (files / "<img src=x onerror=window.attacked=1>").write_text("x")
    page.driver.get(server.address)
    wait_for(page, DRAWN)
    wait_for(page, "document.querySelectorAll('#runs .flag').length >= 3")
    for tab in ("table", "params", "runs", "curves"):
        page.click(f"#tab-{tab}")
    page.run("location.hash = '#tab=runs&run=torn'")
    wait_for(page, "document.querySelector('.files a')")
    assert page.text(".files a") == "<img src=x onerror=window.attacked=1>"
    assert page.run("return window.attacked === undefined")
    assert page.run("return document.querySelectorAll('script').length") == 3


def test_saving_gives_a_report(page: Browser, server: Server, store: ExperimentStore) -> None:
    """The button makes a file of what is drawn."""
    log(store, "run", {"loss": [3.0, 2.0, 1.0]})
    page.driver.get(server.address)
    wait_for(page, DRAWN)
    page.run(
        "const make = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { blob.text().then((t) => (window.saved = t));"
        " return make(new Blob([])); };"
        "[...document.querySelectorAll('button')].find((b) => b.textContent === 'Save as report')"
        ".click()"
    )
    wait_for(page, "window.saved")
    data = payload(page.run("return window.saved"))
    assert [row["id"] for row in data["runs"]] == ["run"]
    assert data["curves"][0]


def test_an_image_is_shown_and_other_files_are_links(
    page: Browser, server: Server, store: ExperimentStore
) -> None:
    """By what they are inside."""
    log(store, "run", {"loss": [1.0]})
    store.files_path("run").mkdir(exist_ok=True)
    (store.files_path("run") / "image.png").write_bytes(png(8, 6))
    (store.files_path("run") / "page.html").write_text("<script>window.attacked = 1</script>")
    page.driver.get(server.address + "#tab=runs&run=run")
    wait_for(page, "document.querySelector('.files img')?.naturalWidth === 8")
    assert page.texts(".files a") == ["image.png", "page.html"]


def test_the_token_leaves_the_address(chromium: Browser, store: ExperimentStore) -> None:
    """The cookie stays: the page can be reloaded, and a new tab opened."""
    page = chromium
    log(store, "run", {"loss": [1.0]})
    server = Server(store, token="secret-token")
    server.start()
    try:
        page.driver.get(server.address)
        wait_for(page, DRAWN)
        assert page.driver.current_url == server.address.partition("?")[0]
        page.driver.refresh()
        wait_for(page, DRAWN)
        page.driver.get(server.address.partition("?")[0] + "#tab=table")
        wait_for(page, "document.querySelector('#table td')")
    finally:
        page.driver.get("about:blank")
        server.stop()


@pytest.mark.parametrize("live", [True, False])
def test_a_notebook_shows_the_page(
    page: Browser, store: ExperimentStore, tmp_path: Path, live: bool
) -> None:
    """Inside another page: live with its token, or as a report that can reach nothing outside."""
    log(store, "run", {"loss": [1.0, 2.0]})
    log(store, "other", {"loss": [1.0, 2.0]})
    store.files_path("run").mkdir(exist_ok=True)
    (store.files_path("run") / "image.png").write_bytes(png(8, 6))
    found = view(store, ["run"], live=live)
    assert (found.address is not None) is live
    (tmp_path / "notebook.html").write_text(f"<!doctype html><p>cell</p>{found._repr_html_()}")
    page.driver.get((tmp_path / "notebook.html").as_uri())
    page.driver.switch_to.frame(0)
    try:
        if live:
            wait_for(page, "document.querySelector('.files img')?.naturalWidth === 8")
        wait_for(page, "document.querySelectorAll('#runs button.id').length >= 1")
        page.click("#tab-curves")
        wait_for(page, DRAWN)
        drawn = "[...document.querySelectorAll('#runs input:checked')].length"
        assert page.run(f"return {drawn}") == 1
    finally:
        page.driver.switch_to.default_content()
        page.driver.get("about:blank")
    page.requests()


def test_the_pointer_stays_on_a_chart_that_grows(
    page: Browser, server: Server, store: ExperimentStore
) -> None:
    """What it reads stays there, and the chart is the same one, while points come."""
    from selenium.webdriver.common.action_chains import ActionChains

    with expstore.start(store.root, "a") as run:
        run.log({"loss": 5.0}, step=0)
        run.log({"loss": 4.0}, step=10)
        page.driver.get(server.address)
        wait_for(page, DRAWN)
        wait_for(page, "document.querySelector('#runs .status.running')")
        time.sleep(0.5)  # until the chart is no longer made anew
        over = page.driver.find_element("css selector", ".u-over")
        ActionChains(page.driver).move_to_element(over).perform()
        wait_for(page, "document.querySelector('.tip')")
        page.run("window.tip = document.querySelector('.tip')")
        before = page.run(f"return {PICTURE}")
        run.log({"loss": 1.0}, step=20)
        wait_for(page, f"{PICTURE} !== {before!r}")
        assert page.run("return window.tip === document.querySelector('.tip')")
        over.click()  # not stale


def test_a_curve_that_cannot_be_had_is_named_as_such(
    page: Browser, server: Server, store: ExperimentStore
) -> None:
    """It was not left out of a report: here is none."""
    log(store, "a", {"loss": [1.0, 2.0]})
    log(store, "b", {"loss": [2.0, 1.0], "other": [1.0]})
    page.driver.get(server.address)
    wait_for(page, DRAWN)
    page.run(
        "const fetched = window.fetch; window.fetch = (address, options) => fetched(address,"
        " { ...options, body: options?.body?.replaceAll('\"other\"', '\"gone\"') });"
        "document.querySelector('#x').value = 'time';"
        "document.querySelector('#x').dispatchEvent(new Event('change'))"
    )
    wait_for(page, "document.querySelector('.none')?.textContent === 'Could not be read'")


def test_a_text_is_shown_as_text(page: Browser, server: Server, store: ExperimentStore) -> None:
    """The end of a long one; whatever is in it, and also if there is nothing."""
    log(store, "run", {"loss": [1.0]})
    files = store.files_path("run")
    files.mkdir(exist_ok=True)
    (files / "a.log").write_text(
        "first\n" + "é\n" * 200_000 + "<img src=x onerror=window.attacked=1>"
    )
    (files / "b.txt").write_text("")
    (files / "c.bin").write_text("x")
    page.driver.get(server.address + "#tab=runs&run=run")
    wait_for(page, "document.querySelectorAll('.files button').length === 2")
    page.click(".files button")
    wait_for(page, "document.querySelector('.files pre')")
    shown = page.text(".files pre")
    assert shown.endswith("é\n<img src=x onerror=window.attacked=1>")
    assert "first" not in shown
    assert "Only the end is shown" in page.text(".files li")
    page.click(".files button")
    assert page.texts(".files pre") == []
    page.run("document.querySelectorAll('.files button')[1].click()")
    wait_for(page, "document.querySelector('.files pre')?.textContent === '(empty)'")
    assert page.run("return window.attacked === undefined")
