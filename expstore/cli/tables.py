"""Tables as lines of text, for a terminal or a pipe.

Guarantees: printing takes a few microseconds per cell, for any number of rows; Rich's own tables
take a hundred times as long, which a log of many names makes a minute. On a narrow terminal texts
are folded, or cut with an ellipsis where a column says so; numbers are always whole.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size

from expstore.cli.streams import as_ascii

if TYPE_CHECKING:
    from rich.console import Console

ON_SCREEN = 40
"""Rows of a long table that a terminal gets, in every command; a pipe gets all."""

GAP = "   "
_NARROWEST = 6  # columns of the terminal that a folded text keeps
_CUT = "…"


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        title: its heading; it may have several lines.
        right: align to the right, and never fold; for numbers.
        limit: cut texts that are wider, instead of folding them; 0: no limit.
        style: of its cells, in Rich's words.
        whole: never fold; for what is copied, such as ids.
    """

    title: str
    right: bool = False
    limit: int = 0
    style: str = ""
    whole: bool = False


class Styled(NamedTuple):
    """A cell with a style of its own."""

    text: str
    style: str


Cell = str | Styled


class Table:
    """A heading, a rule, and rows of cells, to be printed by `show`.

    Args:
        columns: the columns; a plain title that begins with `>` is of a column of numbers.
        title: a line above the heading, folded to the table's width.
    """

    def __init__(self, *columns: Column | str, title: str = "", heading: str = "bold") -> None:
        self._columns = [
            c if isinstance(c, Column) else Column(c.lstrip(">"), c.startswith(">"))
            for c in columns
        ]
        self._title = title
        self._heading = heading
        self._cut = _CUT
        self._rows: list[list[str]] = []
        self._styles: list[list[str] | None] = []

    def add_row(self, *cells: Cell) -> None:
        """Add a row with a cell for each column."""
        texts = [cell if isinstance(cell, str) else cell.text for cell in cells]
        self._rows.append(texts)
        pairs = zip(cells, self._columns, strict=True)
        styles = [c.style if isinstance(cell, str) else cell.style for cell, c in pairs]
        self._styles.append(styles if any(styles) else None)

    def lines(self, available: int, pen: Pen) -> Iterator[str]:
        """The table's lines, as wide as the texts, or as `available` allows."""
        titles, rows = [column.title for column in self._columns], self._rows
        if pen.is_ascii:  # before widths are computed: `…` becomes wider
            titles = list(map(as_ascii, titles))
            rows = [list(map(as_ascii, cells)) for cells in rows]
        self._cut = as_ascii(_CUT) if pen.is_ascii else _CUT
        columns = list(zip(*rows, strict=True)) or [()] * len(titles)
        full = [
            max(_widest(title.split("\n")), _widest(cells))
            for title, cells in zip(titles, columns, strict=True)
        ]
        widths = self._widths(full, available)
        whole = sum(widths) + len(GAP) * (len(widths) - 1)
        for line in fold(self._title, whole) if self._title else ():
            yield pen.write(line, "bold")
        headings = [self._heading] * len(widths)
        for line_of_titles in zip_longest(*(t.split("\n") for t in titles), fillvalue=""):
            for parts in self._folded(line_of_titles, widths):
                yield pen.row(parts, headings)
        yield pen.rule * whole
        if pen.is_plain and widths == full and all("".join(cells).isascii() for cells in columns):
            # As below, in a third of the time: nothing is folded, cut or styled.
            pairs = zip(self._columns, widths, strict=True)
            line = GAP.join(f"{{:{'>' if column.right else '<'}{w}}}" for column, w in pairs)
            for cells in rows:
                yield line.format(*cells).rstrip()
            return
        for cells, styles in zip(rows, self._styles, strict=True):
            for parts in self._folded(cells, widths):
                yield pen.row(parts, styles)

    def _widths(self, full: Sequence[int], available: int) -> list[int]:
        """The columns' widths; if the full ones do not fit, texts are narrowed: first those cut.

        Folding one, such as a reason, makes a second line; of several, the widest is narrowed.
        """
        pairs = zip(self._columns, full, strict=True)
        widths = [min(width, column.limit or width) for column, width in pairs]
        excess = sum(widths) + len(GAP) * (len(widths) - 1) - available
        narrowed = [i for i, one in enumerate(self._columns) if not (one.right or one.whole)]

        def urgency(i: int) -> tuple[bool, int]:
            return bool(self._columns[i].limit) and widths[i] > _NARROWEST, widths[i]

        while excess > 0 and narrowed:
            widest = max(narrowed, key=urgency)
            if widths[widest] <= _NARROWEST:
                break
            widths[widest] -= 1
            excess -= 1
        return widths

    def _folded(self, cells: Sequence[str], widths: Sequence[int]) -> Iterator[list[str]]:
        """The padded cells of each line of a row: of one, or more if a text is folded."""
        line = []
        for text, width, column in zip(cells, widths, self._columns, strict=True):
            space = width - width_of(text)
            if space < 0 and not column.limit:
                break
            if space < 0:
                text = set_cell_size(text, max(width - len(self._cut), 0)) + self._cut  # noqa: PLW2901
            line.append(" " * space + text if column.right else text + " " * space)
        else:
            yield line
            return
        folds = [
            [text] if column.limit else fold(text, width)
            for text, width, column in zip(cells, widths, self._columns, strict=True)
        ]
        for texts in zip_longest(*folds, fillvalue=""):
            yield from self._folded(texts, widths)


class Pen:
    """Writes texts in the styles that a console can show."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._marks: dict[str, tuple[str, str]] | None = {}
        if console.color_system is None:
            self._marks = None
        self.is_ascii = console.options.ascii_only
        self.rule = "-" if self.is_ascii else "─"

    @property
    def is_plain(self) -> bool:
        """Whether the console shows no styles."""
        return self._marks is None

    def row(self, cells: Sequence[str], styles: Sequence[str] | None) -> str:
        """A line of cells, each in its style."""
        if styles is None or self._marks is None:
            return GAP.join(cells).rstrip()
        return GAP.join(map(self.write, cells, styles))

    def write(self, text: str, style: str) -> str:
        """A text in a style, given in Rich's words."""
        if self._marks is None or not style:
            return text
        if style not in self._marks:
            with self._console.capture() as capture:
                self._console.print("|", style=style, end="")
            before, _, after = capture.get().partition("|")
            self._marks[style] = before, after
        before, after = self._marks[style]
        return f"{before}{text}{after}"


def show(console: Console, *tables: Table) -> None:
    """Print tables with empty lines between them; a line that is too wide is not cut."""
    show_all(console, tables)


def show_all(console: Console, tables: Iterable[Table]) -> None:
    """As `show`; each table is printed as it is made."""
    pen, width, write = Pen(console), console.width, console.file.write
    for number, table in enumerate(tables):
        write("\n" * bool(number) + "".join(f"{line}\n" for line in table.lines(width, pen)))


def room() -> int:
    """How many rows of a long table to show: as many as a person reads, or in a pipe all."""
    return ON_SCREEN if sys.stdout.isatty() else sys.maxsize


def see_all(*ways: str, pipe: str = "| less") -> str:
    """How to see the rows that a terminal was not shown: by these options, or in a pipe."""
    return f"{' or '.join(f'`{way}`' for way in (*ways, pipe))} shows all"


def width_of(text: str) -> int:
    """The columns of the terminal that a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def _widest(texts: Sequence[str]) -> int:
    whole = "".join(texts)
    return max(map(len if whole.isascii() else width_of, texts), default=0)


def fold(text: str, width: int) -> list[str]:
    """The text in lines of at most this width, broken between words where possible."""
    if width_of(text) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if width_of(longer) <= width:
            lines[-1] = longer
        else:
            lines += chop_cells(word, width)
    return lines if lines[0] else lines[1:]
