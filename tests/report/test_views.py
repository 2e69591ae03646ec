"""The views of a report, in headless Chromium."""

from __future__ import annotations

import csv
import io
import math
import re
import time
from pathlib import Path

import pytest

from expstore import ExperimentStore, Metadata
from expstore.store import metafile
from tests.helpers.application import log
from tests.report.browser import Browser
from tests.report.pages import ATTACKS, log_run, png


@pytest.fixture
def sweep(store: ExperimentStore) -> ExperimentStore:
    """24 runs, the newest first r00: three learning rates, two kinds; r01 has an early failure."""
    for place in range(24):
        commit_id = f"r{place:02}"
        lr = [0.1, 0.01, 0.001][place % 3]
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, 1_000_000 - place * 1000, f"job{place % 2}", "al"))
        times = [1_000_000 - place * 1000 + 60 * step for step in range(30)]
        losses = [lr + 1 / (step + 1) for step in range(30)]
        with store.writer(commit_id) as writer:
            for name in (
                "val/loss",
                "val/acc",
                "train/loss",
                "grad/norm",
                "grad/max",
                "system/cpu",
            ):
                values = [1 - one / 2 for one in losses] if name == "val/acc" else losses
                columns = {"value": values, "step": list(range(30)), "timestamp": times}
                writer.append({"name": name, **columns})
        outcome = "failed" if place == 1 else "finished"
        start = {"started": times[0], "ended": times[-1], "outcome": outcome, "error": "E: no"}
        params = {"lr": lr, "model": {"kind": "ab"[place % 2]}, "batch": 64}
        tags, notes = ["base"] if place < 2 else [], "a note"
        path = store.experiment_path(commit_id)
        log_run(path, params=params, tags=tags, notes=notes, starts=[start])
    return store


DRAWN = "return document.querySelectorAll('#runs li input:checked').length"
ROWS = "return document.querySelectorAll('#table tbody tr').length"


def test_a_filter_narrows_list_curves_and_table(
    sweep: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """The first 20 are drawn; words or an expression choose others, everywhere at once."""
    browser.show(sweep, tmp_path / "report.html")
    assert browser.run(DRAWN) == 20
    assert browser.text("#runs .id") == "r00"
    assert "20 drawn · 24 in all" in browser.text("#runs-count")
    browser.enter("#runs-filter", "JOB1 base")
    assert browser.texts("#runs .id") == ["r01"]
    assert browser.colours() == 1
    browser.enter("#runs-filter", "lr < 0.05 and val/loss:min < 0.04 and not `model.kind` == b")
    assert browser.texts("#runs .id") == ["r02", "r08", "r14", "r20"]
    browser.click("#tab-table")
    assert browser.run(ROWS) == 4
    browser.enter("#runs-filter", "lr < 0.05 and vel/loss == 1")
    assert "vel/loss; did you mean val/loss" in browser.text("#filter-error")
    browser.enter("#runs-filter", "status == failed")
    assert browser.texts("#table tbody .id") == ["r01"]
    assert not browser.run("return document.getElementById('filter-error').textContent")
    browser.enter("#runs-filter", "zzz")
    browser.click("#tab-curves")
    assert browser.text("#empty") == "No experiment matches the filter."


def test_experiments_are_drawn_and_not_drawn(
    sweep: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """A box, `only`, None, All and First 20 do what they say."""
    browser.show(sweep, tmp_path / "report.html")
    browser.click("#runs input")
    assert browser.run(DRAWN) == 19
    browser.run("document.querySelectorAll('.only')[2].click()")
    assert browser.run(DRAWN) == browser.colours() == 1
    browser.click("#runs-none")
    assert browser.text(".plot") == "No drawn experiment has this metric"
    browser.click("#runs-all")
    assert browser.run(DRAWN) == 24
    browser.click("#runs-first")
    assert browser.run(DRAWN) == 20


def test_the_metrics_of_most_interest_come_first(
    sweep: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Validation first; gradients and the system folded; single charts share a row."""
    browser.show(sweep, tmp_path / "report.html")
    assert browser.texts(".group > summary") == ["val2", "Metrics1", "grad2", "system1"]
    opened = "return [...document.querySelectorAll('.group')].map((one) => one.open)"
    assert browser.run(opened) == [True, True, False, False]
    assert browser.texts(".group[open] h2") == ["val/loss", "val/acc", "train/loss"]
    browser.click("#fold")
    assert browser.run(opened) == [False] * 4
    browser.click("#fold")
    assert browser.run(opened) == [True] * 4
    browser.run("document.querySelectorAll('.card')[5].querySelector('button').click()")
    time.sleep(0.5)  # scrolling is smooth
    place = browser.run(
        "return document.querySelector('.card.wide').getBoundingClientRect().bottom"
    )
    assert place <= browser.run("return innerHeight") + 1


def test_the_address_keeps_the_view(
    sweep: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """What was chosen is in the fragment; opening it elsewhere shows the same."""
    path = tmp_path / "report.html"
    browser.show(sweep, path)
    browser.enter("#runs-filter", "lr == 0.1")
    browser.enter("#x", "relative")
    browser.enter("#smooth", "0.6")
    browser.click("#log")
    browser.run("document.querySelectorAll('#runs input')[1].click()")
    fragment = browser.run("return location.hash")
    assert "filter=lr == 0.1&x=relative" in browser.fragment()
    picture = browser.run("return document.querySelector('canvas').toDataURL()")
    browser.open(path, fragment)
    assert browser.run("return document.querySelector('canvas').toDataURL()") == picture
    assert browser.run("return document.getElementById('runs-filter').value") == "lr == 0.1"
    assert "7 drawn · 8 match" in browser.text("#runs-count")
    assert browser.run("return location.hash") == fragment
    browser.run("location.hash = '#tab=table&sort=-metric+val/loss'")
    assert browser.texts("#table tbody .id")[0] == "r00"
    for broken in ("#zoom=a..b&smooth=9&tab=x&y=1 z&sort=", "#%E0%A4%A&pick=", "#y=..+loss&run=no"):
        browser.open(path, broken)
        assert browser.text("#runs .id") == "r00"


def test_x_axes(sweep: ExperimentStore, browser: Browser, tmp_path: Path) -> None:
    """By step, by time, and by the time since the first record; the tooltip says which."""
    from selenium.webdriver.common.action_chains import ActionChains

    browser.show(sweep, tmp_path / "report.html", "#pick=r03")
    for axis, expected in {
        "step": r"step 1[45]r03",
        "time": r"1970-01-12 \d\d:\d\d:\d\dr03",
        "relative": r"after 1[45]mr03",
    }.items():
        browser.enter("#x", axis)
        over = browser.driver.find_element("css selector", ".u-over")
        ActionChains(browser.driver).move_to_element(over).perform()
        browser.settle()
        assert re.match(expected, browser.text(".tip")), axis


def test_a_spike_does_not_flatten_the_rest(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Outliers are ignored where they would, and counted; a switch and a range show them."""
    values = [1 + math.sin(step) / 10 for step in range(200)]
    log(store, "a", {"loss": [*values[:100], 1e6, *values[100:]], "fine": values})
    browser.show(store, tmp_path / "report.html")
    assert browser.text(".note.aside:not([hidden])") == "1 point aboveshow"
    picture = "return document.querySelector('canvas').toDataURL()"
    ignored = browser.run(picture)
    browser.enter("#outliers", "show")
    shown = browser.run(picture)
    assert shown != ignored
    assert browser.run("return document.querySelectorAll('.note:not([hidden])').length") == 0
    browser.enter("#outliers", "auto")
    assert browser.run(picture) == ignored
    browser.click(".note.aside:not([hidden]) button")
    assert browser.run(picture) == shown
    browser.click(".card button[aria-pressed]")
    browser.enter(".limits input:last-child", "1")
    assert "points above" in browser.text(".note.aside:not([hidden])")
    assert browser.fragment().startswith("#y=..1 loss")


def test_parameters_are_drawn_against_a_metric(
    sweep: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Parallel coordinates, a scatter for each parameter that differs, and the best."""
    browser.show(sweep, tmp_path / "report.html", "#tab=params")
    assert browser.run("return document.querySelectorAll('.strand').length") == 24
    assert browser.run("return document.querySelectorAll('.dot').length") == 48
    names = browser.texts("#params h2")
    assert names[0] == "Parameters and val/loss (best)"
    assert names[1:3] == ["lr", "model.kind"]
    assert "rank correlation 1.00" in browser.text("#params .grid .count")
    assert browser.texts(".best-runs li")[0].startswith("r02 0.034333 lr 0.001")
    browser.run(
        "document.querySelector('.strand').dispatchEvent("
        "new PointerEvent('pointerover', { bubbles: true }))"
    )
    assert browser.run("return document.querySelectorAll('.lit').length") == 3
    assert "lr 0.1" in browser.text(".readout")
    browser.run("document.querySelector('#params select').value = 'val/acc'")
    browser.run("document.querySelector('#params select').dispatchEvent(new Event('change'))")
    assert browser.texts("#params h2")[0] == "Parameters and val/acc (best)"
    browser.click(".best-runs button")
    assert browser.text("#details thead .id") == "r02"


def test_an_experiment_has_a_section_of_its_own(
    sweep: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """All that is known of it, its files and images; and another one beside it."""
    for commit_id in ("r01", "r02"):
        (sweep.files_path(commit_id) / "curve.png").write_bytes(png())
        evil = "<svg xmlns='http://www.w3.org/2000/svg' onload='window.attacked=1'/>"
        (sweep.files_path(commit_id) / "evil.svg").write_text(evil)
        (sweep.files_path(commit_id) / "fake.png").write_text(evil)
    browser.show(sweep, tmp_path / "report.html")
    browser.run("document.querySelectorAll('#runs button.id')[1].click()")
    text = browser.text("#details")
    for part in ("failed: E: no", "base", "a note", "model.kind", "@ 29", "evil.svg", "fake.png"):
        assert part in text
    loaded = "return [...document.querySelectorAll('#details img')].map((one) => one.naturalWidth)"
    assert browser.run(loaded) == [2]
    assert browser.run("return window.attacked") is None
    browser.open(tmp_path / "report.html", "#tab=runs&run=r01&run=r02")
    assert browser.texts("#details thead .id") == ["r01", "r02"]
    differing = browser.texts("#details .differing th")
    assert "lr ≠" in differing
    assert "batch ≠" not in differing
    assert browser.run(loaded) == [2, 2]
    browser.run("document.querySelector('#details .table-tools > button').click()")
    assert browser.run(DRAWN) == 2


def test_the_table_has_parameters_best_values_and_steps(
    sweep: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Which value is chosen; the CSV has all of it, in full."""
    browser.show(sweep, tmp_path / "report.html", "#tab=table")
    heads = browser.texts("#table thead button")
    assert heads[:6] == ["Experiment", "Status", "lr", "model.kind", "val/loss ↓", "val/acc ↑"]
    assert browser.text("#table tbody td.best") == "0.034333 (best) @ 29"
    assert "The same in all: batch = 64" in browser.text("#table")
    browser.run(
        "window.saved = null; const old = URL.createObjectURL;"
        "URL.createObjectURL = (blob) => { blob.text().then((text) => (window.saved = text));"
        " return old.call(URL, blob); };"
        "HTMLAnchorElement.prototype.click = () => {};"
        "document.querySelector('.table-tools button').click()"
    )
    rows = list(csv.DictReader(io.StringIO(browser.run("return window.saved"))))
    assert len(rows) == 24
    assert rows[1]["status"] == "failed"
    assert float(rows[0]["val/loss:best"]) == 0.1 + 1 / 30
    assert (rows[0]["val/loss:step"], rows[0]["batch"]) == ("29", "64")
    assert rows[0]["created"] == "1970-01-12T13:46:40Z"


def test_hostile_names_do_nothing_in_a_browser(
    hostile: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Every name appears as text on the page, and no script in a name has run."""
    browser.show(hostile, tmp_path / "report.html")
    for tab in ("table", "params", "runs", "curves"):
        browser.click(f"#tab-{tab}")
    assert browser.run("return window.attacked") is None
    assert browser.run("return document.querySelectorAll('img, main script').length") == 0
    shown = browser.run(
        "return [...document.querySelectorAll('.card h2')].map((e) => e.textContent)"
    )
    for name in (*ATTACKS[:6], r"\x1b[31m\x00\u202e", "n" * 255, "(no name)", r"\udcff\udcfe"):
        assert name in shown
    assert "4 problems in 3 experiments" not in shown
    assert "3 problems in 3 experiments" in browser.run(
        "return document.getElementById('problems').textContent"
    )
    assert "NaN or infinite" in browser.run(
        "return document.querySelector('.note:not(.aside)').textContent"
    )


def test_text_of_run_json_does_nothing_in_a_browser(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Parameters, tags and notes are text wherever they appear, also of 10,000 characters."""
    attacks = [one.encode("utf-8", "replace").decode() for one in ATTACKS if one] + ["w" * 10_000]
    for place, attack in enumerate(attacks):
        log(store, f"a{place}", {"loss": [1.0 * place]})
        (store.files_path(f"a{place}") / attack.replace("/", "_").replace("\0", "_")[:200]).touch()
        log_run(
            store.experiment_path(f"a{place}"),
            params={attack: attack, "p": attack},
            tags=[attack],
            notes=attack,
            starts=[{"started": 1, "outcome": "failed", "error": attack}],
        )
    for tab in ("table", "params", "curves"):
        browser.show(store, tmp_path / "report.html", f"#tab={tab}")
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    for place, attack in enumerate(attacks[:5]):
        browser.open(tmp_path / "report.html", f"#tab=runs&run=a{place}&run=a{place + 1}")
        assert attack in browser.text("#details")
        browser.enter("#runs-filter", f"`{attack}` == '{attack}'")
        assert browser.texts("#runs .id") == [f"a{place}"]
    assert browser.run("return window.attacked") is None


def test_the_list_and_the_table_of_thousands_grow_as_one_scrolls(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Only some hundred rows are in the document; all are filtered and sorted."""
    for place in range(450):  # by hand: creating them makes each durable
        path = store.root / f"e{place:04}"
        path.mkdir(parents=True)
        (path / "meta.bin").write_bytes(metafile.build(Metadata(path.name, place)))
    browser.show(store, tmp_path / "report.html", "#tab=table")
    listed = "return document.querySelectorAll('#runs li').length"
    assert browser.run(listed) < 250
    assert 200 <= browser.run(ROWS) < 250
    browser.run("document.querySelector('#runs .more').scrollIntoView()")
    assert browser.run(listed) > 250
    browser.run("document.querySelector('#table thead button').click()")
    assert browser.text("#table tbody .id") == "e0000"
    browser.enter("#runs-filter", "e044")
    assert browser.run(ROWS) == 10


def test_search_log_scale_smoothing_and_theme(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Each control works, and its effect can be undone."""
    log(store, "a", {"train/loss": [100.0, 10.0, 1.0], "val/loss": [0.0, -1.0], "lr": [1.0]})
    browser.show(store, tmp_path / "report.html")
    count = "return [...document.querySelectorAll('.card')].filter((e) => e.offsetParent).length"
    assert browser.run(count) == 3
    browser.enter("#query", "LOSS va")
    assert browser.run(count) == 1
    assert browser.run("return document.getElementById('shown').textContent") == "1 of 3 metrics"
    assert browser.run("return document.querySelectorAll('.group:not([hidden])').length") == 0
    browser.click("#log")
    nothing = "return document.querySelector('#curves > .grid .plot').textContent"
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
    assert re.fullmatch(r"step (49|50|51)a  job-a(2,401|2,500|2,601)", tip)
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
    assert "loss: 1 curve of 3 points. Last values: a 9" in (plot.get_attribute("aria-label") or "")
    plot.send_keys("\ue014")
    browser.settle()
    assert browser.run("return document.getElementById('live').textContent") == "step 1: a  job-a5"
    browser.driver.find_element("css selector", "#tab-curves").send_keys("\ue014")
    browser.settle()
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
    """At phone width, with the longest possible names, in every view."""
    with browser.phone():
        for tab in ("curves", "table", "params", "runs"):
            browser.show(hostile, tmp_path / "report.html", f"#tab={tab}")
            assert browser.run("return document.documentElement.scrollWidth") == 390, tab


def test_an_empty_report_says_so(store: ExperimentStore, browser: Browser, tmp_path: Path) -> None:
    """Without experiments, and with experiments but no metrics."""
    browser.show(store, tmp_path / "none.html")
    shown = "return document.getElementById('empty').textContent"
    assert browser.run(shown) == "This report contains no experiments."
    log(store, "a", {})
    browser.show(store, tmp_path / "empty.html")
    assert browser.run(shown) == "Nothing has been logged yet."


def test_only_metrics_of_drawn_experiments_have_charts(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Nor has the table columns of others; if nothing is drawn, all charts say so."""
    log(store, "a", {"loss": [1.0, 2.0], "": [3.0]})
    log(store, "b", {"loss": [2.0, 1.0], "other": [3.0]})
    browser.show(store, tmp_path / "report.html", "#filter=id+%3D%3D+a")
    cards = "return [...document.querySelectorAll('.card h2')].map((one) => one.textContent)"
    assert sorted(browser.run(cards)) == ["(no name)", "loss"]
    assert browser.text("#shown") == "2 of 3 metrics"
    browser.click("#tab-table")
    assert "other" not in browser.texts("#table thead button")
    browser.enter("#runs-filter", "")
    assert {"loss ↓", "other"} <= set(browser.texts("#table thead button"))
    assert browser.text("#shown") == "3 metrics"
    browser.click("#tab-curves")
    browser.click("#runs-none")
    assert len(browser.run(cards)) == 3
    assert browser.text(".plot") == "No drawn experiment has this metric"


def test_parameters_can_be_drawn_against_a_metric_without_a_name(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """It is chosen like any other, and is not the first choice."""
    for place in range(3):
        log(store, f"r{place}", {"": [1.0 * place], "loss": [2.0 * place]})
        log_run(store.experiment_path(f"r{place}"), params={"lr": place})
    browser.show(store, tmp_path / "report.html", "#tab=params")
    assert browser.text("#params h2") == "Parameters and loss (best)"
    browser.open(tmp_path / "report.html", "#tab=params&target=")
    assert browser.text("#params h2") == "Parameters and (no name) (best)"


def test_any_steps_and_times_have_axes(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """As in damaged records: also numbers beyond any calendar, or that adding 1 does not change."""
    far = 9_200_000_000_000_000_000
    times = {"a": [-far, far], "b": [far, far], "c": [10**13, 10**13 + 60], "d": [-(10**16)] * 2}
    for name, stamps in times.items():
        with store.start_experiment(name) as writer:
            columns = {"step": [0, 2**32 - 1], "value": [1.0, 2.0], "timestamp": stamps}
            writer.append({"name": name, **columns})
    for axis in ("step", "time", "relative"):
        browser.show(store, tmp_path / "report.html", f"#x={axis}")
        assert browser.run("return document.querySelectorAll('.card canvas').length") == 4
        for place in range(4):
            assert browser.colours(place) == 1, (axis, place)


def test_runs_of_one_commit_are_told_apart(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Their ids differ at the end, which is shown in the list, the table and beside a curve."""
    commit = "1feebbe7d2d4bf47fab9f0d1a751ed3f7317749d"
    ids = [commit, *(f"{commit}-{number}" for number in (2, 3))]
    for commit_id in ids:
        log(store, commit_id, {"loss": [1.0, 0.5]})
    browser.show(store, tmp_path / "report.html", "#tab=table")
    short = {"1feebbe7…7317749d", "1feebbe7…17749d-2", "1feebbe7…17749d-3"}
    cut = "return [...document.querySelectorAll('{}')].filter((e) => e.scrollWidth > e.clientWidth)"
    for place in ("#runs .id", "#table tbody .id"):
        assert set(browser.texts(place)) == short
        assert browser.run(cut.format(place)) == []
    titles = "return [...document.querySelectorAll('#table tbody .id')].map((e) => e.title)"
    assert sorted(browser.run(titles)) == sorted(ids)
