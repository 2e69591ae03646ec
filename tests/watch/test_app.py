"""The application, driven by keys, and what is then on the screen."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from textual.events import MouseScrollUp
from textual.pilot import Pilot
from textual.widgets import Input, Static

from expstore import ExperimentStore
from expstore.watch import live
from expstore.watch.app import WatchApp
from expstore.watch.charts import Chart
from expstore.watch.listing import Query
from expstore.watch.runlist import RunList
from tests.helpers.runs import add

_PATIENCE = 20.0  # seconds


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for what is new more often, so that tests need not wait; no colours unless asked for."""
    monkeypatch.setattr(live, "LIST_PAUSE", 0.05)
    monkeypatch.setattr(live, "LOG_PAUSE", 0.05)
    monkeypatch.setattr(live, "_SHARE", 1)
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def runs(store: ExperimentStore) -> ExperimentStore:
    """Three runs of two metrics."""
    for place, name in enumerate(("one", "two", "three")):
        metrics = {"val/loss": [3.0 - place, 2.0, 1.0], "lr": [0.1, 0.1, 0.1]}
        add(store, name, {"lr": 10.0**-place, "depth": 18}, metrics, job=f"job-{name}")
    return store


def screen(pilot: Pilot[None]) -> str:
    """The text on the screen."""
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


async def until(pilot: Pilot[None], holds: Callable[[], object]) -> None:
    """Wait until something is so; show the screen if it never is."""
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        assert time.monotonic() < deadline, screen(pilot)
        await pilot.pause(0.02)


async def sees(pilot: Pilot[None], *texts: str) -> None:
    """Wait until all of these are on the screen."""
    await until(pilot, lambda: all(text in screen(pilot) for text in texts))


async def types(pilot: Pilot[None], key: str, text: str) -> None:
    """Open the input line by a key, put text there, and submit it."""
    await pilot.press(key)
    pilot.app.query_one(Input).value = text
    await pilot.press("enter")


def watch(
    app: WatchApp,
    test: Callable[[Pilot[None]], Coroutine[Any, Any, None]],
    size: tuple[int, int] = (80, 24),
) -> None:
    """Run the application, and a test in it."""

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await test(pilot)

    asyncio.run(run())


def test_the_run_under_the_cursor_is_shown(runs) -> None:
    """Its curves, its last values, its parameters; then those of the next."""

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "3 runs", "val/loss 1", "lr 0.1", "depth 18", "id one")
        await pilot.press("down")
        await sees(pilot, "id three", "lr 0.01")

    watch(WatchApp(runs), test)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 12), (20, 6), (250, 70)])
def test_it_fits_into_any_terminal(runs, size) -> None:
    """Each row is as wide as the terminal, and nothing fails."""

    async def test(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: pilot.app.query(Chart))
        await pilot.press("space", "down", "tab", "enter", "question_mark", "escape", "escape")
        assert {len(line) for line in screen(pilot).splitlines()} == {size[0]}

    watch(WatchApp(runs), test, size)


def test_curves_grow_while_the_run_trains(runs) -> None:
    """And a run that comes later appears by itself, with the status that it has."""

    async def test(pilot: Pilot[None]) -> None:
        with runs.start_experiment("live", job_name="training") as writer:
            await sees(pilot, "4 runs", "live")
            await pilot.press("home")
            writer.log("val/loss", 0.75, step=0)
            await sees(pilot, "● live", "val/loss 0.75", "status running")
            writer.log("val/loss", 0.5, step=1)
            await sees(pilot, "val/loss 0.5")
        await sees(pilot, "· live", "status unknown")

    watch(WatchApp(runs, Query(sort="id")), test)


def test_runs_are_overlaid_with_their_letters(runs) -> None:
    """Those that are kept stay while the cursor moves; u takes them off."""

    def letters(app: WatchApp) -> dict[str, str]:
        return app.shown

    async def test(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, WatchApp)
        await sees(pilot, "val/loss")
        await pilot.press("space", "down", "space", "down")
        assert letters(app) == {"one": "a", "three": "b", "two": "c"}
        chart = app.query(Chart).first()
        await until(pilot, lambda: chart.content and len(chart.content.lines) == 3)
        await pilot.press("tab", "enter")
        await sees(pilot, "a one", "b three", "c two", "min 1", "max 3")
        await pilot.press("escape", "u")
        assert letters(app) == {"two": "a"}

    watch(WatchApp(runs), test)


def test_runs_are_filtered_and_sorted(runs) -> None:
    """By words or an expression; a mistake is said, and changes nothing."""

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "3 runs")
        await types(pilot, "slash", "lr < 0.5")
        await sees(pilot, "2 of 3 runs", "where lr < 0.5")
        await types(pilot, "o", "-lr")
        await sees(pilot, "by -lr")
        await until(
            pilot,
            lambda: (
                [row.commit_id for row in pilot.app.query_one(RunList).rows] == ["two", "three"]
            ),
        )
        await pilot.press("slash", *" and", "enter")
        await sees(pilot, "! ", "expected", "2 of 3 runs")
        await types(pilot, "slash", "nothing")
        await sees(pilot, "0 of 3 runs", "no run matches")
        await pilot.press("slash", "escape")
        assert "0 of 3 runs" in screen(pilot)

    watch(WatchApp(runs), test)


def test_metrics_are_filtered(runs) -> None:
    """By words or patterns, with commas; the others have no chart."""

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "val/loss", "─ lr")
        await pilot.press("m", *"val/*, nosuch", "enter")
        await until(pilot, lambda: "─ lr" not in screen(pilot))
        assert "val/loss" in screen(pilot)

    watch(WatchApp(runs), test)


def test_one_view_for_all_charts(runs) -> None:
    """Log, smoothing, axis, zoom and pan are named in the first line; 0 shows all again."""

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "val/loss 1")
        await pilot.press("l", "s", "x")
        await sees(pilot, "x time  log  smooth 0.6")
        await pilot.press("x", "x", "l", "s", "s", "s", "plus")
        await sees(pilot, "x 0.5 to 1.5")
        await pilot.press("greater_than_sign")
        await sees(pilot, "x 0.75 to 1.75")
        await pilot.press("0")
        await until(pilot, lambda: " to " not in screen(pilot).splitlines()[0])

    watch(WatchApp(runs), test)


def test_many_metrics_are_on_pages(store) -> None:
    """Arrows choose a chart, and turn the page at its end."""
    add(store, "one", metrics={f"m{number:03}": [1.0] for number in range(500)})

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "m000", "m005", "page 1/84")
        assert len(pilot.app.query(Chart)) == 6
        await pilot.press("]")
        await sees(pilot, "m006", "page 2/84")
        await pilot.press("tab", "left")
        await sees(pilot, "m005", "page 1/84")
        await pilot.press("g")
        await sees(pilot, "m004", "m005", "page 3/250")

    watch(WatchApp(store), test)


def test_hostile_names_do_no_harm(store) -> None:
    """Control characters are escaped, markup is text, and wide characters count as two."""
    add(store, "[red]x", {"[b]": "[/]"}, {"[bold]a\x1b[2J": [1.0], "精度": [2.0]}, job="\x07[u]\n")
    add(store, "名前" * 20, metrics={"loss": [1.0]}, job="長い" * 30)

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "[red]x", "[bold]a\\x1b[2J", "精度", "job \\x07[u]\\n", "[b] [/]")
        assert "\x1b" not in screen(pilot)
        assert "\x07" not in screen(pilot)
        await pilot.press("down")
        await sees(pilot, "名前")

    watch(WatchApp(store, Query(sort="id")), test)


def test_what_is_broken_is_a_row_with_its_problem(store) -> None:
    """The others are not affected."""
    add(store, "good", metrics={"loss": [1.0]})
    for name in ("bad-log", "bad-meta", "bad-run"):
        add(store, name, metrics={"loss": [1.0]})
    store.metrics_path("bad-log").write_bytes(os.urandom(600))
    store.metadata_path("bad-meta").write_bytes(b"junk")
    (store.experiment_path("bad-run") / "run.json").write_text("{")

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "! bad-log", "! bad-meta", "! bad-run", "· good", "! bad-log: its log")
        await pilot.press("end")
        await sees(pilot, "loss 1")

    watch(WatchApp(store, Query(sort="id")), test)


def test_an_empty_store_waits_for_its_first_run(store) -> None:
    """Which is then shown by itself; every key may be pressed before."""

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "0 runs", "no runs yet")
        keys = ["space", "u", "enter", "escape", "]", "+", ">", "0", "l", "s", "x", "g", "d", "d"]
        await pilot.press(*keys, "tab", "down", "left", "tab", "up")
        add(store, "one", metrics={"loss": [1.0]})
        await sees(pilot, "1 run ", "loss")

    watch(WatchApp(store), test)


def test_a_run_without_metrics_says_so(store) -> None:
    """Until it logs one; a filter that lets none through says that."""
    add(store, "one")

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "1 run ", "no metrics yet")
        store.log_metric("one", "loss", 1.0, 0)
        await until(pilot, lambda: "no metrics yet" not in screen(pilot))
        await sees(pilot, "loss")
        await types(pilot, "m", "accuracy")
        await sees(pilot, "no metric matches")

    watch(WatchApp(store), test)


def test_a_run_that_is_deleted_while_it_is_watched(runs) -> None:
    """It leaves the list; kept, its curves stay, and the last line says what happened."""

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "val/loss 1")
        await pilot.press("space")
        shutil.rmtree(runs.experiment_path("one"))
        await sees(pilot, "2 runs", "one: deleted while it was watched")
        chart = pilot.app.query(Chart).first()
        await until(pilot, lambda: chart.content and len(chart.content.lines) == 2)

    watch(WatchApp(runs), test)


def test_a_store_that_is_deleted_is_said(runs) -> None:
    """And shown again when it comes back."""

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "3 runs")
        runs.root.rename(runs.root.with_name("aside"))
        await sees(pilot, "! ", "create")  # no store; words may be wrapped
        runs.root.with_name("aside").rename(runs.root)
        add(runs, "four")
        await sees(pilot, "4 runs")

    watch(WatchApp(runs), test)


def test_without_colours_nothing_is_coloured(runs, monkeypatch) -> None:
    """Runs are told apart by their letters."""
    monkeypatch.setenv("NO_COLOR", "1")

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "val/loss 1")
        await pilot.press("space", "down")
        await until(pilot, lambda: screen(pilot).count("b") > 2)
        from textual.geometry import Region

        region = Region(0, 0, *pilot.app.size)
        strips = [
            strip.apply_filter(pilot.app._filters[-1], pilot.app.screen.background_colors[1])
            for strip in pilot.app.screen._compositor.render_strips(region.size)
        ]
        colours = {
            segment.style.color
            for strip in strips
            for segment in strip
            if segment.style is not None
        }
        assert all(one is None or one.is_default for one in colours)

    watch(WatchApp(runs), test)


def test_keys_are_listed(runs) -> None:
    """By ?, and esc closes the page."""

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "3 runs")
        await pilot.press("question_mark")
        await sees(pilot, "filter runs", "esc closes")
        await pilot.press("escape")
        await sees(pilot, "3 runs")
        await pilot.press("d")
        await until(pilot, lambda: "depth" not in screen(pilot))
        await pilot.press("b")
        await until(pilot, lambda: "Runs" not in screen(pilot))

    watch(WatchApp(runs), test)


def test_the_mouse_chooses_and_zooms(runs) -> None:
    """A click on a run or a chart chooses it, two show the chart alone, the wheel zooms."""

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "val/loss 1")
        await pilot.click(RunList, offset=(5, 2))
        await sees(pilot, "id three")
        chart = pilot.app.query(Chart).last()
        await pilot.click(chart)
        assert pilot.app.focused is not None
        assert pilot.app.focused.id == "grid"
        wheel = MouseScrollUp(chart, 5, 3, 0, -1, 0, False, False, False)
        chart.post_message(wheel)
        await sees(pilot, " to ")
        await pilot.click(chart, times=2)
        await sees(pilot, "esc back")

    watch(WatchApp(runs), test)


def test_a_slow_query_says_how_far_it_is_and_can_be_stopped(runs, monkeypatch) -> None:
    """By esc; the rows stay as they were."""
    original = live.Live._progress

    def slow(self: live.Live, ids: list[str]) -> Any:
        for commit_id in original(self, ids):
            time.sleep(0.2)
            yield commit_id

    monkeypatch.setattr(live.Live, "_progress", slow)

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "3 runs")
        await types(pilot, "slash", "val/loss < 0")
        await sees(pilot, "reading logs", "esc stops")
        await pilot.press("escape")
        await until(pilot, lambda: "reading logs" not in screen(pilot))
        assert "3 runs" in screen(pilot)

    watch(WatchApp(runs), test)


def test_only_rows_on_screen_are_looked_at(store, monkeypatch) -> None:
    """However many runs there are; scrolling to the end shows the last ones."""
    source = store.metadata_path("0")
    add(store, "0")
    for number in range(1, 2000):
        store.experiment_path(f"{number}").mkdir()
        os.link(source, store.metadata_path(f"{number}"))
    looked = set()
    app = WatchApp(store, Query())
    original = app.live.listing.look

    def look(ids: list[str]) -> bool:
        looked.update(ids)
        return original(ids)

    monkeypatch.setattr(app.live.listing, "look", look)

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "2,000 runs")
        await pilot.press("end")
        await sees(pilot, " 999 ")
        await until(pilot, lambda: "999" in looked)
        assert len(looked) < 100

    watch(app, test)


def test_texts_of_a_line_change_only_if_they_must(runs) -> None:
    """What is on the screen is not painted again and again."""
    painted = []

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "val/loss 1", "· one")
        await pilot.pause(0.3)
        for line in ("#status", "#hints"):
            pilot.app.query_one(line, Static).update = painted.append  # type: ignore[method-assign]
        await pilot.pause(0.6)  # the lines are looked at twice a second
        assert not painted

    watch(WatchApp(runs), test)


def test_keys_pressed_on_the_page_of_keys_do_no_harm(runs) -> None:
    """Also in the moment in which it closes."""

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "val/loss 1")
        app = pilot.app
        assert isinstance(app, WatchApp)
        await pilot.press("question_mark", "d", "slash", "tab", "o", "l")
        app.action_show_or_hide("#details")
        app.action_alone(True)
        app.action_alone(False)
        app.action_ask("filter")
        await pilot.press("escape")
        await sees(pilot, "Runs")

    watch(WatchApp(runs), test)


def test_what_is_read_while_the_program_ends_does_no_harm(runs) -> None:
    """Timers and threads may come after the widgets are gone."""
    app = WatchApp(runs)

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "val/loss 1")
        add(runs, "late", metrics={f"m{number}": [1.0] for number in range(9)})
        await app._base.query("*").remove()
        app._told.clear()
        app.show_charts()
        app.grid.show(["new"], app._content)
        app._show_bars()

    watch(app, test)


def test_what_a_program_prints_is_shown_as_it_grows(runs) -> None:
    """By c; of the run under the cursor, which may have none."""
    files = runs.files_path("two")
    files.mkdir(exist_ok=True)
    (files / "console.log").write_text("epoch 1\n")

    async def test(pilot: Pilot[None]) -> None:
        await sees(pilot, "job-three")
        await pilot.press("c")
        await sees(pilot, "Console of one", "Nothing was kept")
        await pilot.press("down", "down")
        await sees(pilot, "Console of two", "epoch 1")
        with (files / "console.log").open("a") as log:
            log.write("\x1b[31mepoch 2\x1b[0m [red]\x07\n")
        await sees(pilot, "epoch 2 [red]\\x07")
        await pilot.press("c")
        await until(pilot, lambda: "Console of" not in screen(pilot))

    watch(WatchApp(runs), test)


def test_ages_are_whole_beside_a_scrollbar(store) -> None:
    """As many runs have one."""
    for place in range(30):
        add(store, f"run{place}", {}, {"loss": [1.0]})

    async def test(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: re.search(r"run\d+ +job +\d+y.┃", screen(pilot)))

    watch(WatchApp(store), test)
