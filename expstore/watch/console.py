"""What the program of a run prints: the end of its `files/console.log`, as it grows.

Guarantees: however long the file is, only its end is read, only while it is shown, and only after
it has changed; no link is followed. Colours and cursor movements in it do nothing.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from rich.text import Text
from textual import work
from textual.widgets import Static

from expstore.errors import ExpStoreError
from expstore.model.texts import printable
from expstore.store.files import layout
from expstore.store.files.place import open_directory
from expstore.watch import live

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

_NAME = "console.log"
_END = 1 << 16  # bytes
_NONE = "Nothing was kept: expstore run -- PROGRAM keeps what a program prints."
# What terminals obey: CSI and OSC sequences, and other escapes of two characters.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[^\[\]])")


class ConsoleEnd:
    """The console of one run.

    Args:
        store: the store.
        commit_id: the run.
    """

    def __init__(self, store: StoreReader, commit_id: str) -> None:
        self._store, self.commit_id = store, commit_id
        self._version: object = None
        self._lines: list[str] = []

    def lines(self) -> list[str]:
        """The last lines, as text that a terminal shows; empty if there is no such file."""
        try:
            with (
                open_directory(self._store.locate(self.commit_id)) as directory,
                directory.subdirectory(layout.FILES) as files,
                files.open_log(_NAME) as log,
            ):
                version = log.identity, log.version
                if version != self._version:
                    start = max(log.size - _END, 0)
                    data = log.read(start, _END) if log.exists else b""
                    self._lines = _shown(data, is_whole=start == 0)
                    self._version = version
        except (ExpStoreError, OSError, ValueError):  # deleted, or no regular file
            self._lines, self._version = [], None
        return self._lines


def _shown(data: bytes, *, is_whole: bool) -> list[str]:
    lines = data.decode("utf-8", "replace").split("\n")
    if not is_whole:
        del lines[0]  # its beginning was not read
    if lines and not lines[-1]:
        del lines[-1]
    # A progress bar goes back to the beginning of its line.
    last = (_ESCAPES.sub("", line).rstrip("\r").rpartition("\r")[2] for line in lines)
    return [printable(line.expandtabs()) for line in last]


class ConsolePane(Static):
    """Shows the console of a run; hidden at first.

    Args:
        store: the store.
    """

    def __init__(self, store: StoreReader) -> None:
        super().__init__(id="console", markup=False)
        self._store = store
        self._shown_console: ConsoleEnd | None = None
        self._told: object = None

    def on_mount(self) -> None:
        """Begin to follow what is shown."""
        self.display = False
        self._watch()

    def follow(self, commit_id: str | None) -> None:
        """Show that of another run."""
        if commit_id is None:
            self._shown_console = None
        elif self._shown_console is None or self._shown_console.commit_id != commit_id:
            self._shown_console = ConsoleEnd(self._store, commit_id)

    @work
    async def _watch(self) -> None:
        while True:
            console = self._shown_console
            if self.display and console is not None:
                lines = await asyncio.to_thread(console.lines)
                self._tell(console.commit_id, lines[-max(self.content_size.height, 1) :])
            await asyncio.sleep(live.LOG_PAUSE)

    def _tell(self, commit_id: str, lines: list[str]) -> None:
        if self._told != (commit_id, lines) and self._shown_console is not None:
            self._told = commit_id, lines
            self.border_title = Text(f"Console of {printable(commit_id)}")
            self.update(Text("\n".join(lines) or _NONE, no_wrap=bool(lines), overflow="ellipsis"))
