"""The keys of the application, and the page that lists them and the signs."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from expstore.watch.texts import PROBLEM, STATUS

BINDINGS: list[BindingType] = [
    Binding("q,ctrl+c", "quit", priority=False),
    Binding("question_mark", "keys"),
    Binding("tab", "other_side", priority=True),
    Binding("space", "overlay"),
    Binding("u", "overlay_none"),
    Binding("slash", "ask('filter')"),
    Binding("m", "ask('metrics')"),
    Binding("o", "ask('sort')"),
    Binding("d", "show_or_hide('#details')"),
    Binding("b", "show_or_hide('#side')"),
    Binding("c", "show_or_hide('#console')"),
    Binding("enter", "alone(True)"),
    Binding("escape", "alone(False)"),
    Binding("right_square_bracket,n", "page(1)"),
    Binding("left_square_bracket,p", "page(-1)"),
    Binding("plus,equals_sign", "zoom(0.5)"),
    Binding("minus", "zoom(2)"),
    Binding("greater_than_sign,full_stop", "pan(0.25)"),
    Binding("less_than_sign,comma", "pan(-0.25)"),
    Binding("0", "zoom(0)"),
    Binding("l", "log"),
    Binding("s", "smooth"),
    Binding("x", "axis"),
    Binding("g", "columns"),
]
"""What they do; see `KEYS`."""

KEYS = (
    ("Runs", ""),
    ("up down  k j", "another run; its curves are shown"),
    ("space", "keep the run on the charts, beside others, or not"),
    ("u", "keep none but the one under the cursor"),
    ("/", "filter runs: words, or lr < 0.01 and tag == x"),
    ("o", "order: loss:min, lr; -lr has the largest first"),
    ("d b", "hide or show the details; the whole left side"),
    ("c", "show or hide what the program of the run prints"),
    ("Charts", ""),
    ("tab", "from the runs to the charts, and back"),
    ("arrows", "choose a chart"),
    ("enter  esc", "show the chart alone; back to all"),
    ("] [", "next page of charts; the one before"),
    ("m", "filter metrics: words or val/*, with commas"),
    ("+ -  wheel", "zoom in and out along the x axis"),
    ("> <", "pan to the right and left"),
    ("0", "all of the x axis"),
    ("l", "logarithmic y axis"),
    ("s", "smoothing: none, 0.6, 0.9, 0.99"),
    ("x", "x axis: step, time, time since the first record"),
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
