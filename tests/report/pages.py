"""Reading a report as a program: its elements and its data; and names that attack it."""

from __future__ import annotations

import base64
import html.parser
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ATTACKS = (
    "<script>window.attacked=1</script>",
    "</script><script>window.attacked=1</script>",
    "<img src=x onerror=window.attacked=1>",
    "<!--<script>",
    "{{data}} {{policy}}",
    "__proto__",
    "\x1b[31m\x00\u202e",
    "n" * 255,
    "",
    b"\xff\xfe".decode("utf-8", "surrogateescape"),
)


class Page(html.parser.HTMLParser):
    """A page's elements, each with the text directly after its start tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open = False
        self.elements: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        self.elements.append((tag, dict(attributes), ""))
        self.open = True

    def handle_endtag(self, tag: str) -> None:
        """Close the current element; the text that follows is ignored."""
        self.open = False

    def handle_data(self, data: str) -> None:
        """Add text to the most recently opened element."""
        if self.open:
            tag, attributes, text = self.elements[-1]
            self.elements[-1] = (tag, attributes, text + data)


def payload(page: str) -> dict[str, Any]:
    """The JSON data of a page."""
    (text,) = (
        text for _, attributes, text in Page(page).elements if attributes.get("id") == "data"
    )
    data: dict[str, Any] = json.loads(text, parse_constant=pytest.fail)
    return data


def points(header: dict[str, Any], data: bytes | None = None) -> dict[str, list[float]]:
    """The columns of a curve, decoded as the page does."""
    data = base64.b64decode(header["data"]) if data is None else data
    n, at, found = header["n"], 0, {}
    for name, kind, first, *by in header["columns"]:
        if kind == "line":
            found[name] = [first + by[0] * index for index in range(n)]
            continue
        column = np.frombuffer(data, f"<{kind}", n, offset=at)
        at += column.nbytes
        # Values and means are floats, without an offset.
        found[name] = [first + one for one in column.tolist()]
    assert at == len(data)
    return found


def log_run(path: Path, **contents: Any) -> None:
    """Write a run.json into an experiment's directory."""
    (path / "run.json").write_text(json.dumps(contents))


def png(width: int = 2, height: int = 2, colour: tuple[int, int, int] = (200, 30, 90)) -> bytes:
    """A PNG of one colour."""

    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + checksum

    rows = (b"\0" + bytes(colour) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
