"""Text that fits into a number of columns, and what the widgets say of runs.

Guarantees: nothing of a file reaches the terminal unescaped, as markup, or wider than its place;
characters of two columns count as two.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from expstore.compare.conditions import as_text
from expstore.compare.textplot import COLOURS
from expstore.model.texts import printable, shown_time
from expstore.watch.overlay import LETTERS
from expstore.watch.ticks import duration

if TYPE_CHECKING:
    from expstore.watch.listing import Detail, Row

STATUS = {
    "running": ("●", "green"),
    "finished": ("✓", ""),
    "failed": ("✗", "red"),
    "stopped": ("■", "yellow"),
    "unknown": ("·", "bright_black"),
}
PROBLEM = ("!", "bold red")
_NOTES = 4000  # characters that are shown of notes, and of a parameter


def colour(letter: str) -> str:
    """The colour of the run with this letter."""
    return COLOURS[LETTERS.index(letter) % len(COLOURS)]


def fitted(text: str, columns: int) -> str:
    """The text in exactly so many columns, with `…` where something is left out."""
    text = printable(text)
    if cell_len(text) <= columns:
        return set_cell_size(text, columns)
    return set_cell_size(set_cell_size(text, max(columns - 1, 0)) + "…", columns)


def fitted_id(commit_id: str, columns: int) -> str:
    """Likewise; the end of an id is kept, since ids of one commit differ there."""
    shown = printable(commit_id)
    if len(shown) <= columns or columns < 8 or cell_len(shown) != len(shown):
        return fitted(commit_id, columns)
    return f"{shown[: columns - 5]}…{shown[-4:]}"


def age(timestamp: int, now: float) -> str:
    """The time since then in its largest unit: `3h`; `?` if it is not in the past."""
    seconds = now - timestamp
    if not -60 < seconds < 100 * 365 * 86400:
        return "?"
    if seconds >= 1000 * 86400:
        return f"{int(seconds / 86400 / 365.25)}y"
    text = duration(max(seconds, 0))
    return text[: next(i for i, c in enumerate(text) if c.isalpha()) + 1]


def details(row: Row, detail: Detail | None, flaw: str, now: float) -> Text:
    """All that is known of a run, for the panel below the list; `flaw` is what its log has."""
    text = Text()

    def line(name: str, value: str, style: str = "") -> None:
        text.append(f"{printable(name)} ", "bold")
        text.append(printable(value[:_NOTES]) + "\n", style)

    for problem in dict.fromkeys(
        filter(None, (row.problem, flaw, *(detail.problems if detail else ())))
    ):
        line("!", problem, "red")
    line("id", row.commit_id)
    if row.metadata is not None:
        line("job", row.metadata.job_name)
        line("user", row.metadata.user)
        line("created", shown_time(row.metadata.timestamp))
    if detail is None:
        return text
    state, run = detail.state, detail.run
    since = "" if state.since is None else f", {duration(max(now - state.since, 0))} ago"
    since = since.replace(" ago", "") if state.status == "running" else since
    line("status", state.status + since, STATUS[state.status][1])
    if state.note:
        line("note", state.note)
    if run.tags:
        line("tags", ", ".join(run.tags))
    for name, value in sorted(run.flat_params.items()):
        line(name, as_text(value))
    if run.notes:
        text.append("\n")
        for each in run.notes[:_NOTES].splitlines():
            text.append(printable(each) + "\n")
    return text


def now() -> float:
    """Seconds since 1970-01-01 UTC."""
    return time.time()
