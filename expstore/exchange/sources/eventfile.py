"""The records of TensorBoard's event files.

Guarantees: a record is yielded only if both of its checksums hold; reading stops at the first that
is torn or damaged. No length in a file is believed: nothing larger than what is there, or than a
limit, is allocated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import reading_file
from expstore.exchange.sources.files import opened
from expstore.extras import require

RECORD_LIMIT = 1 << 28
"""Bytes of one event; TensorBoard's largest have some millions."""

_BLOCK = 1 << 22  # bytes read at a time
_LENGTH, _HEADER, _FOOTER = 8, 12, 4  # bytes: the length, it with its checksum, that of the data
_SOUND = 1 << 12  # headers that are remembered
_DELTA = 0xA282EAD8  # what TFRecord adds to a rotated checksum


def records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each whole record's data, with the offset at which the record ends.

    Raises:
        MissingExtraError: the extra `tensorboard` is not installed.
        ImportSourceError: the file cannot be read, or a record is too large.
    """
    crc: Callable[[Any], int] = require("google_crc32c", "tensorboard").value
    number = int.from_bytes
    with opened(path) as file, reading_file(path):
        size = os.fstat(file.fileno()).st_size
        sound: set[bytes] = set()  # headers whose checksums hold; most are of few lengths
        start, block, position = 0, b"", 0  # the block's offset in the file, and where it is read
        while True:
            header = block[position : position + _HEADER]
            if len(header) < _HEADER:
                start, block, position = _more(file, start, block, position, _BLOCK)
                header = block[:_HEADER]
                if len(header) < _HEADER:
                    return
            if header not in sound:
                if _masked(crc(header[:_LENGTH])) != number(header[_LENGTH:], "little"):
                    return
                if len(sound) < _SOUND:
                    sound.add(header)
            length = number(header[:_LENGTH], "little")
            end = position + _HEADER + length + _FOOTER
            if end > len(block):
                if start + end > size:
                    return
                if length > RECORD_LIMIT:
                    raise ImportSourceError(
                        f"{path}: the record at byte {start + position} has {length:,} bytes; at "
                        f"most {RECORD_LIMIT:,} are read"
                    )
                wanted = max(_BLOCK, _HEADER + length + _FOOTER)
                start, block, position = _more(file, start, block, position, wanted)
                end = _HEADER + length + _FOOTER
                if end > len(block):
                    return
            data = block[position + _HEADER : end - _FOOTER]
            found = crc(data)
            if ((found >> 15 | found << 17) + _DELTA) & 0xFFFFFFFF != number(
                block[end - _FOOTER : end], "little"
            ):
                return
            position = end
            yield start + end, data


def _more(
    file: Any, start: int, block: bytes, position: int, wanted: int
) -> tuple[int, bytes, int]:
    """A block that begins at the position and has at least `wanted` bytes, if there are as many."""
    rest = block[position:]
    return start + position, rest + file.read(max(0, wanted - len(rest))), 0


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + _DELTA) & 0xFFFFFFFF
