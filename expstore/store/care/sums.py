"""The text of a seal: `sha256sum`'s lines, and a comment that holds the size of the log.

Guarantees: a file that `build` made is what `sha256sum` itself would print, plus the comment;
`parse` accepts no name that a seal does not cover, so none leads out of the experiment.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from expstore.store.files import layout

SEALED = layout.METADATA, layout.METRICS, layout.RUN
"""The files that a seal covers besides those below files/."""

_LINE = re.compile(rb"(\\?)([0-9a-fA-F]{64}) [ *](.+)", re.DOTALL)
_SIZE = re.compile(rb"# %s: (\d{1,19}) bytes" % re.escape(layout.METRICS.encode()))
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}
_PLAIN = {escape: plain for plain, escape in _ESCAPES.items()}


@dataclass
class Sums:
    """The content of a seal.

    Attributes:
        digests: the SHA-256 of each file, in hexadecimal digits, by the file's path within the
            experiment's directory.
        log_size: the log's size in bytes; None if it is not sealed.
    """

    digests: dict[str, str] = field(default_factory=dict)
    log_size: int | None = None


def build(sums: Sums) -> bytes:
    """The content as text."""
    lines = []
    if sums.log_size is not None:
        lines.append(b"# %s: %d bytes\n" % (layout.METRICS.encode(), sums.log_size))
    for name, digest in sums.digests.items():
        plain = os.fsencode(name)
        escaped = re.sub(rb"[\\\n\r]", lambda one: _ESCAPES[one[0]], plain)
        mark = b"" if escaped == plain else b"\\"
        lines.append(b"%s%s  %s\n" % (mark, digest.encode(), escaped))
    return b"".join(lines)


def parse(data: bytes) -> Sums:
    """The content of a text.

    Raises:
        ValueError: says which line is not the sum of a sealed file, or that none is.
    """
    sums = Sums()
    *lines, rest = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if size := _SIZE.fullmatch(line):
            sums.log_size = int(size[1])
        elif not line.startswith(b"#") and not _add(line, sums.digests):
            raise ValueError(f"line {number} is not the sum of a sealed file")
    if rest:
        raise ValueError(f"line {len(lines) + 1} has no end")
    if not sums.digests:
        raise ValueError("there are no sums in it")
    return sums


def _add(line: bytes, digests: dict[str, str]) -> bool:
    """Add a line's sum; False if it is malformed, of no sealed file, or a second one of a file."""
    if not (match := _LINE.fullmatch(line)):
        return False
    is_escaped, digest, name = match.groups()
    if is_escaped:
        if b"\\" in re.sub(rb"\\[\\nr]", b"", name):
            return False
        name = re.sub(rb"\\.", lambda pair: _PLAIN[pair[0]], name)
    text = os.fsdecode(name).removeprefix("./")
    if text in digests or not _is_covered(text):
        return False
    digests[text] = digest.decode().lower()
    return True


def _is_covered(name: str) -> bool:
    top, *below = name.split("/")
    inside = top == layout.FILES and bool(below) and not {"", ".", ".."} & {*below}
    return name in SEALED or (inside and "\0" not in name)


def order(name: str) -> tuple[int, bytes]:
    """The key by which a seal lists its files: the store's own first, then by their bytes."""
    return (SEALED.index(name) if name in SEALED else len(SEALED)), os.fsencode(name)
