"""The keys, and what the signs mean."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from expstore.watch.texts import PROBLEM, STATUS

KEYS = (
    ("Runs", ""),
    ("up down  k j", "the run above or below; its curves are shown"),
    ("space", "keep the run on the charts, beside others; again: take it off"),
    ("u", "take all runs off the charts, but the one under the cursor"),
    ("/", "filter runs: words, or an expression such as lr < 0.01 and tag == x"),
    ("o", "order of the runs: loss:min, lr, created; -lr has the largest first"),
    ("d b", "hide or show the details; the whole left side"),
    ("Charts", ""),
    ("tab", "from the runs to the charts, and back"),
    ("arrows", "choose a chart"),
    ("enter  esc", "show the chart alone; back to all"),
    ("] [", "next page of charts; the one before"),
    ("m", "filter metrics: val/* or words, with commas between them"),
    ("+ -  wheel", "zoom in and out along the x axis"),
    ("> <", "pan to the right and left"),
    ("0", "all of the x axis"),
    ("l", "logarithmic y axis"),
    ("s", "smoothing: none, 0.6, 0.9, 0.99"),
    ("x", "x axis: step, time, time since the run's first record"),
    ("g", "more or fewer charts side by side"),
    ("", ""),
    ("?", "this page"),
    ("q", "quit"),
)


class Help(ModalScreen[None]):
    """A page over the others; any of its keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,enter,space", "dismiss", show=False)
    ]

    def compose(self) -> ComposeResult:
        """The page."""
        with VerticalScroll() as page:
            page.border_title = "Keys"
            page.border_subtitle = "esc closes"
            yield Static(_text())


def _text() -> Text:
    text = Text()
    for keys, about in KEYS:
        if about:
            text.append(f"{keys:>13}  ", "bold")
            text.append(about + "\n")
        else:
            text.append(f"{keys}\n", "bold underline")
    text.append("\n")
    for status, (sign, style) in STATUS.items():
        text.append(sign, style)
        text.append(f" {status}  ")
    text.append(PROBLEM[0], PROBLEM[1])
    text.append(" cannot be read in full; the details say why")
    return text
