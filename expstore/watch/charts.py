"""The grid of charts, and one chart.

Guarantees: there are only as many charts as are on screen, and one is drawn anew only when what it
shows has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from expstore.watch.drawing import AXIS, Drawing, Line, View, draw
from expstore.watch.texts import colour, fitted
from expstore.watch.ticks import number

_SMALLEST = 26, 7  # columns and rows of a chart, unless the user asks for more charts
_MOST = 5  # charts side by side, and above each other


class Content(NamedTuple):
    """What a chart shows.

    Attributes:
        name: of the metric.
        lines: the curves.
        view: how they are shown.
    """

    name: str
    lines: tuple[Line, ...]
    view: View

    def is_same(self, other: Content | None) -> bool:
        """Whether the pictures are equal: points are replaced, never changed."""
        return (
            other is not None
            and (self.name, self.view) == (other.name, other.view)
            and [(one.letter, id(one.series)) for one in self.lines]
            == [(one.letter, id(one.series)) for one in other.lines]
        )


class Chart(Widget):
    """One chart."""

    class Picked(Message):
        """A chart was clicked, `clicks` times."""

        def __init__(self, name: str, clicks: int) -> None:
            super().__init__()
            self.name, self.clicks = name, clicks

    class Zoomed(Message):
        """The wheel was turned: `factor` is the new width of the x axis by the old."""

        def __init__(self, name: str, factor: float, share: float) -> None:
            super().__init__()
            self.name, self.factor, self.share = name, factor, share

    def __init__(self) -> None:
        super().__init__()
        self.content: Content | None = None
        self.drawing: Drawing | None = None
        self._drawn_size: tuple[int, int] | None = None  # None: what is drawn is out of date

    def show(self, content: Content) -> None:
        """Show this."""
        if content.is_same(self.content):
            return
        self.content, self._drawn_size = content, None
        self.set_title()
        self.refresh()

    def set_title(self) -> None:
        """The metric's name, and the last value of a single curve."""
        if self.content is None or self.size.width < 1:
            return
        name, lines, _ = self.content
        last = ""
        if len(lines) == 1 and len(lines[0].series.values):
            last = " " + number(float(lines[0].series.values[-1]))
        room = max(self.size.width - len(last) - 2, 1)
        title = fitted(name, room).rstrip() + last
        self.border_title = Text(title)  # as text, not as markup

    def on_resize(self) -> None:
        """The title has another width."""
        self.set_title()

    def render_line(self, y: int) -> Strip:
        """One row of the drawing."""
        width, height = self.content_size
        if self.content is None:
            return Strip.blank(width, Style())
        if self._drawn_size != (width, height) or self.drawing is None:
            _, lines, view = self.content
            self.drawing = draw(lines, view, width, height, spread=self.app.no_color)
            self._drawn_size = width, height
        if y >= len(self.drawing.rows):
            return Strip.blank(width, Style())
        lines = self.content.lines
        return Strip(
            Segment(text, Style() if owner == AXIS else Style.parse(colour(lines[owner].letter)))
            for text, owner in self.drawing.rows[y]
        )

    def on_click(self, event: events.Click) -> None:
        """Choose the chart; twice: show it alone."""
        if self.content is not None:
            self.post_message(self.Picked(self.content.name, event.chain))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in."""
        self._wheel(event, 0.8)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        self._wheel(event, 1.25)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        event.stop()
        if self.content is not None:
            share = min(max(event.x / max(self.size.width, 1), 0.0), 1.0)
            self.post_message(self.Zoomed(self.content.name, factor, share))


class ChartGrid(Widget, can_focus=True):
    """As many charts as there is room for; the others are on further pages."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "select(-1, 0)", show=False),
        Binding("right", "select(1, 0)", show=False),
        Binding("up,k", "select(0, -1)", show=False),
        Binding("down,j", "select(0, 1)", show=False),
        Binding("home", "first", show=False),
    ]

    class Changed(Message):
        """Other charts are on screen, or another one is chosen."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.names: Sequence[str] = ()
        self.selected = 0
        self.is_alone = False  # whether only the chosen chart is shown
        self.columns = 0  # asked for; 0: as many as fit
        self._content: Callable[[str], Content] | None = None
        self._shape = (0, 0)
        self._empty = ""

    def render(self) -> str:
        """What is said where there are no charts."""
        return "" if self.names else self._empty

    @property
    def shape(self) -> tuple[int, int]:
        """How many charts are side by side, and above each other."""
        if self.is_alone:
            return 1, 1
        width, height = self.size
        wide, high = max(width // _SMALLEST[0], 1), max(height // _SMALLEST[1], 1)
        if self.columns:
            wide, high = self.columns, max(min(height // 4, -(-high * self.columns // wide)), 1)
        count = max(len(self.names), 1)
        wide, high = min(wide, _MOST, count), min(high, _MOST)
        return wide, min(high, -(-count // wide))

    @property
    def page(self) -> int:
        """The page that the chosen chart is on, from 0."""
        wide, high = self.shape
        return self.selected // (wide * high)

    @property
    def pages(self) -> int:
        """How many pages there are."""
        wide, high = self.shape
        return max(-(-len(self.names) // (wide * high)), 1)

    @property
    def chosen(self) -> str | None:
        """The metric whose chart is chosen."""
        return self.names[self.selected] if self.names else None

    @property
    def on_page(self) -> Sequence[str]:
        """The metrics that are on screen."""
        wide, high = self.shape
        first = self.page * wide * high
        return self.names[first : first + wide * high]

    def chart(self, name: str | None) -> Chart | None:
        """The chart of a metric, if it is on screen."""
        charts = (one for one in self.query(Chart) if one.content and one.content.name == name)
        return next(charts, None)

    def show(
        self, names: Sequence[str], content: Callable[[str], Content], empty: str = ""
    ) -> None:
        """Show charts of these metrics, or say that it is `empty`; the same one stays chosen."""
        chosen = self.chosen
        if empty != self._empty or bool(names) != bool(self.names):
            self._empty = empty
            self.refresh()
        self.names, self._content = names, content
        self.selected = (
            names.index(chosen) if chosen in names else min(self.selected, max(len(names) - 1, 0))
        )
        self.update()

    def update(self) -> None:
        """Bring the charts on screen up to date."""
        if not self.is_attached:  # the program ends
            return
        shape, names = self.shape, self.on_page
        charts = list(self.query(Chart))
        if len(charts) < len(names):
            added = [Chart() for _ in range(len(names) - len(charts))]
            self.mount_all(added)
            charts += added
        for chart in charts[len(names) :]:
            chart.remove()
        if shape != self._shape:
            self._shape = shape
            self.styles.grid_size_columns, self.styles.grid_size_rows = shape
        for chart, name in zip(charts, names, strict=False):
            chart.set_class(name == self.chosen, "chosen")
            if self._content is not None:
                chart.show(self._content(name))

    def on_resize(self) -> None:
        """Another number of charts may fit."""
        self.update()

    def action_select(self, right: int, down: int) -> None:
        """Choose a neighbour."""
        self.select(self.selected + right + down * self.shape[0])

    def action_first(self) -> None:
        """Choose the first chart."""
        self.select(0)

    def turn(self, pages: int) -> None:
        """Go to another page."""
        wide, high = self.shape
        self.select((self.page + pages) * wide * high)

    def select(self, place: int) -> None:
        """Choose a chart by its place."""
        if 0 <= place < len(self.names):
            self.selected = place
            self.update()
            self.post_message(self.Changed())
