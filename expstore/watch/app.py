"""WatchApp: the terminal view of a store.

Guarantees: it reads, and never writes; see `live` for what is read, and when. Every part of it can
be used with keys alone, on 80 columns and 24 rows, and without colours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.timer import Timer
from textual.widgets import Input, Static

from expstore.compare.conditions import pattern
from expstore.compare.interest import by_interest
from expstore.watch.bars import hints, legend, status_line
from expstore.watch.charts import Chart, ChartGrid, Content
from expstore.watch.console import ConsolePane
from expstore.watch.drawing import Line, View
from expstore.watch.keys import BINDINGS, Help
from expstore.watch.listing import Query
from expstore.watch.live import Live
from expstore.watch.overlay import LETTERS, Overlay
from expstore.watch.runlist import RunList
from expstore.watch.texts import details, now

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

_SMOOTHING = (0.0, 0.6, 0.9, 0.99)
_AXES = ("step", "time", "relative")


class WatchApp(App[None]):
    """The application.

    Args:
        store: what to show.
        query: which runs, and in which order.
        metrics: a filter of metrics, as the user would type it.
        overlay: ids of runs to put on the charts at first.
    """

    CSS_PATH = "watch.tcss"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide"), (160, "-widest")]  # noqa: RUF012
    BINDINGS = BINDINGS

    def __init__(
        self,
        store: StoreReader,
        query: Query | None = None,
        metrics: str = "",
        overlay: Iterable[str] = (),
    ) -> None:
        super().__init__(ansi_color=True)  # the terminal's own colours, be it dark or light
        self.live = Live(store, query or Query())
        self.view = View()
        self.metrics = metrics
        self.overlay = Overlay(overlay)
        self._title = str(store.location)
        self._asking = ""  # what the input line is for
        self._settling: Timer | None = None
        self._told: dict[str, Text] = {}  # what the lines say

    def compose(self) -> ComposeResult:
        """The widgets."""
        yield Static(id="status", markup=False)
        with Horizontal():
            with Vertical(id="side"):
                yield RunList(id="runs")
                with VerticalScroll(id="details", can_focus=False):
                    yield Static(markup=False)
            with Vertical(id="charts"):
                yield ChartGrid(id="grid")
                yield Static(id="legend", markup=False)
                yield ConsolePane(self.live.store)
        yield Static(id="hints", markup=False)
        yield Input(id="input", select_on_focus=False)

    def on_mount(self) -> None:
        """Begin to read."""
        self.theme = "ansi-dark"
        self._base = self.screen
        self.runs, self.grid = self._base.query_one(RunList), self._base.query_one(ChartGrid)
        self.runs.border_title = "Runs"
        self.runs.focus()
        self.runs.show_rows((), "reading ...")
        self.live.show(self.shown)
        self.set_interval(0.5, self._show_bars)
        self.set_interval(2.0, self._show_runs)  # ages grow
        self._watch_list()
        self._watch_logs()

    def on_unmount(self) -> None:
        """End what is being read."""
        self.live.stop()

    @work
    async def _watch_list(self) -> None:
        await self.live.watch_list(lambda: self.runs.on_screen, self._show_rows, self._show_runs)

    @work
    async def _watch_logs(self) -> None:
        await self.live.watch_logs(self.show_charts)

    # What is shown.

    @property
    def shown(self) -> dict[str, str]:
        """The runs on the charts, with their letters: those that are kept, and the current one."""
        current = self.runs.current
        return self.overlay.shown(current.commit_id if current else None)

    def on_run_list_moved(self) -> None:
        """Show the run under the cursor."""
        self._show_runs()
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(0.1, self._settle)  # not each run that the cursor passes

    def _settle(self) -> None:
        row = self.runs.current
        for pane in self._base.query(ConsolePane):  # none while it ends
            pane.follow(row.commit_id if row else None)
        self.live.show(self.shown)
        self.live.look()
        self.show_charts()

    def _show_rows(self) -> None:
        empty = "no run matches" if self.live.query.filter else "no runs yet"
        self.runs.show_rows(self.live.listing.rows, empty)

    def _show_runs(self) -> None:
        known = self.live.listing.details
        flaws = {feed.commit_id: feed.problem for feed in self.live.feeds.states() if feed.problem}
        self.runs.show_details(known, self.shown, flaws)
        text, row = Text(), self.runs.current
        if row is not None:
            flaw = flaws.get(row.commit_id, "")
            text = details(row, known.get(row.commit_id), flaw, now())
        self._tell("#details > Static", text)

    def show_charts(self) -> None:
        """Bring the charts up to date with the feeds."""
        if not all(feed.is_read for feed in self.live.feeds.states()):
            return  # the charts of another run stay until then
        names: dict[str, None] = {}
        for commit_id in self.shown:
            names |= dict.fromkeys(self.live.feeds.curves(commit_id))
        filters = [pattern(word.strip()) for word in self.metrics.split(",") if word.strip()]
        chosen = [name for name in names if not filters or any(one(name) for one in filters)]
        empty = "no metric matches" if names else "no metrics yet" if self.shown else ""
        self.grid.show(by_interest(chosen), self._content, empty)
        self._show_runs()
        self._show_bars()

    def _content(self, name: str) -> Content:
        lines = []
        for commit_id, letter in reversed(self.shown.items()):
            curves = self.live.feeds.curves(commit_id)
            if name in curves:
                first = min(int(one.times.min()) for one in curves.values() if len(one.times))
                lines.append(Line(letter, curves[name], first))
        return Content(name, tuple(lines), self.view)

    def _show_bars(self) -> None:
        """The lines at the top and the bottom, and what the curves of a single chart are."""
        where = f"{self.grid.page + 1}/{self.grid.pages}"
        self._tell("#status", status_line(self.live, self._title, self.view, self.metrics, where))
        self._tell("#hints", hints(self.live, self.grid.is_alone))
        chart = self.grid.chart(self.grid.chosen) if self.grid.is_alone else None
        self._tell("#legend", legend(chart.content if chart else None, self.shown))

    def _tell(self, selector: str, text: Text) -> None:
        if self._told.get(selector) != text:
            self._told[selector] = text
            for widget in self._base.query(selector).results(Static):  # none while it ends
                widget.update(text)

    # Keys.

    def on_key(self) -> None:
        """A message stays until the next key."""
        self.live.message = ""

    def action_keys(self) -> None:
        """Show the keys."""
        self.push_screen(Help())

    def action_other_side(self) -> None:
        """From the runs to the charts, and back."""
        if self.screen is self._base and not self._asking:
            (self.grid if self.runs.has_focus else self.runs).focus()

    def action_overlay(self) -> None:
        """Keep the run under the cursor on the charts, or not."""
        row = self.runs.current
        if row is not None and not self.overlay.keep(row.commit_id):
            self.live.message = f"at most {len(LETTERS)} runs fit on the charts; u takes all off"
        self.on_run_list_moved()

    def action_overlay_none(self) -> None:
        """Keep no run on the charts."""
        self.overlay.clear()
        self.on_run_list_moved()

    def action_show_or_hide(self, selector: str) -> None:
        """Hide a part of the screen, or show it."""
        part = self._base.query_one(selector)
        part.display = not part.display
        self.runs.set_class(not self._base.query_one("#details").display, "whole")
        if not self._base.query_one("#side").display:
            self.grid.focus()

    def action_alone(self, wanted: bool) -> None:
        """Show the chosen chart alone, or all; esc also stops what takes a while."""
        if self._asking:
            self._end_asking()
            return
        if not wanted and self.live.reading:
            self.live.ask(self.live.listing.query)
        if wanted and not self.grid.names:
            return
        self.grid.is_alone = wanted
        self._base.query_one("#side").display = not wanted
        (self.grid if wanted else self.runs).focus()
        self.grid.update()
        self.live.look()  # other runs may be on screen
        self._show_bars()

    def action_page(self, pages: int) -> None:
        """Turn pages of charts."""
        self.grid.turn(pages)

    def action_zoom(self, factor: float) -> None:
        """Zoom about the middle; 0: show all."""
        self._zoom(self.grid.chosen, factor, 0.5)

    def action_pan(self, share: float) -> None:
        """Move by a part of what is shown."""
        span = self._span(self.grid.chosen)
        if span is not None:
            by = share * (span[1] - span[0])
            self._set_view(span=(span[0] + by, span[1] + by))

    def action_log(self) -> None:
        """Logarithmic y axis, or linear."""
        self._set_view(log=not self.view.log)

    def action_smooth(self) -> None:
        """The next smoothing."""
        place = _SMOOTHING.index(self.view.smoothing) + 1
        self._set_view(smoothing=_SMOOTHING[place % len(_SMOOTHING)])

    def action_axis(self) -> None:
        """The next x axis."""
        place = _AXES.index(self.view.x) + 1
        self._set_view(x=_AXES[place % len(_AXES)], span=None)

    def action_columns(self) -> None:
        """The next number of charts side by side."""
        self.grid.columns = (self.grid.columns + 1) % 5
        self.grid.update()
        self._show_bars()

    def _span(self, name: str | None) -> tuple[float, float] | None:
        chart = self.grid.chart(name)
        return None if chart is None or chart.drawing is None else chart.drawing.span

    def _zoom(self, name: str | None, factor: float, share: float) -> None:
        span = self._span(name)
        if not factor:
            self._set_view(span=None)
        elif span is not None:
            middle = span[0] + share * (span[1] - span[0])
            width = max((span[1] - span[0]) * factor, 1e-6)
            self._set_view(span=(middle - share * width, middle + (1 - share) * width))

    def _set_view(self, **changes: object) -> None:
        self.view = replace(self.view, **changes)  # type: ignore[arg-type]
        self.grid.update()
        self._show_bars()

    def on_chart_zoomed(self, message: Chart.Zoomed) -> None:
        """The wheel was turned over a chart."""
        self._zoom(message.name, message.factor, message.share)

    def on_chart_picked(self, message: Chart.Picked) -> None:
        """A chart was clicked."""
        self.grid.select(list(self.grid.names).index(message.name))
        self.grid.focus()
        if message.clicks > 1:
            self.action_alone(True)

    def on_chart_grid_changed(self) -> None:
        """Another chart is chosen."""
        self._show_bars()

    # The input line.

    def action_ask(self, what: str) -> None:
        """Ask for a filter or an order."""
        self._asking = what
        query = self.live.query
        box = self._base.query_one(Input)
        box.value = {"filter": query.filter, "sort": query.sort, "metrics": self.metrics}[what]
        box.cursor_position = len(box.value)
        box.border_title = what
        box.display = True
        box.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed."""
        query = self.live.query
        what, value = self._asking, event.value.strip()
        self._end_asking()
        if what == "metrics":
            self.metrics = value
            self.show_charts()
            return
        changed = replace(query, filter=value) if what == "filter" else replace(query, sort=value)
        self.live.ask(changed)

    def _end_asking(self) -> None:
        self._asking = ""
        self._base.query_one(Input).display = False
        self.runs.focus()
