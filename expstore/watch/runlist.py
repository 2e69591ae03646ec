"""The list of runs.

Guarantees: only the rows that are on screen are made, so a list of any length costs the same. The
cursor stays on its run when others come, go, or change places.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from expstore.watch.listing import Detail, Row
from expstore.watch.texts import PROBLEM, STATUS, age, colour, fitted, fitted_id, now

_AGE = 4  # columns


class RunList(ScrollView, can_focus=True):
    """Runs, one a line: letter on the charts, status, id, job and age."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000000)", show=False),
        Binding("end,G", "move(1000000000)", show=False),
    ]

    class Moved(Message):
        """The cursor is on another run, or other rows are on screen."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows: Sequence[Row] = ()
        self.cursor = 0
        self._details: Mapping[str, Detail] = {}
        self._letters: Mapping[str, str] = {}
        self._flawed: Collection[str] = ()
        self._empty = ""

    @property
    def current(self) -> Row | None:
        """The row that the cursor is on."""
        return self.rows[self.cursor] if self.rows else None

    @property
    def on_screen(self) -> list[str]:
        """The ids of the runs that are on screen."""
        first = round(self.scroll_offset.y)
        return [row.commit_id for row in self.rows[first : first + max(self.size.height, 1)]]

    def show_rows(self, rows: Sequence[Row], empty: str = "") -> None:
        """Show these; `empty` is said if there are none."""
        before = self.current
        offset = self.cursor - round(self.scroll_offset.y)
        self.rows, self._empty = rows, empty
        places = (i for i, row in enumerate(rows) if before and row.commit_id == before.commit_id)
        self.cursor = next(places, min(self.cursor, max(len(rows) - 1, 0)))
        self.virtual_size = Size(0, len(rows))
        self.scroll_to(y=max(self.cursor - offset, 0), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Moved())

    def show_details(
        self, details: Mapping[str, Detail], letters: Mapping[str, str], flawed: Collection[str]
    ) -> None:
        """Show what is known of runs, the letters on the charts, and whose log has a flaw."""
        self._details, self._letters, self._flawed = details, letters, flawed
        self.refresh()

    def action_move(self, by: int) -> None:
        """Move the cursor by so many rows, as far as there are any."""
        self.cursor = min(max(self.cursor + by, 0), max(len(self.rows) - 1, 0))
        first, height = round(self.scroll_offset.y), max(self.size.height, 1)
        if not first <= self.cursor < first + height:
            first = self.cursor if self.cursor < first else self.cursor - height + 1
            self.scroll_to(y=first, animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Moved())

    def action_page(self, pages: int) -> None:
        """Move the cursor by so many screens."""
        self.action_move(pages * max(self.size.height - 1, 1))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Other rows are on screen."""
        super().watch_scroll_y(old_value, new_value)
        if self.is_mounted:
            self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the row that was clicked."""
        offset = event.get_content_offset(self)
        if offset is not None:
            self.action_move(round(self.scroll_offset.y) + offset.y - self.cursor)

    def render_line(self, y: int) -> Strip:
        """One row."""
        width = self.scrollable_content_region.width  # without the scrollbar
        place = y + round(self.scroll_offset.y)
        if place >= len(self.rows):
            text = self._empty if y == 0 and not self.rows else ""
            return Strip([Segment(fitted(text, width), Style())], width)
        row = self.rows[place]
        under = Style(reverse=self.has_focus, bold=True) if place == self.cursor else Style()
        segments = [
            Segment(text, Style.parse(style) + under if style else under)
            for text, style in self._parts(row, width)
        ]
        return Strip(segments).adjust_cell_length(width, under)

    def _parts(self, row: Row, width: int) -> list[tuple[str, str]]:
        letter = self._letters.get(row.commit_id, " ")
        detail = self._details.get(row.commit_id)
        mark = (" ", "") if detail is None else STATUS[detail.state.status]
        if row.problem or row.commit_id in self._flawed or (detail and detail.problems):
            mark = PROBLEM
        room = max(width - 5 - _AGE, 1)
        id_room = min(room, max(8, min(14, room // 2)))
        job = "" if row.metadata is None else row.metadata.job_name
        created = "?" if row.metadata is None else age(row.metadata.timestamp, now())
        return [
            (letter, "" if letter == " " else f"bold {colour(letter)}"),
            (" ", ""),
            mark,
            (" " + fitted_id(row.commit_id, id_room) + " ", ""),
            (fitted(job, max(room - id_room, 0)), ""),
            (f"{created:>{_AGE}}", "bright_black"),
        ]
