"""The records of W&B's `run-*.wandb`: a log in LevelDB's form, of messages in protobuf's form.

Guarantees: neither W&B nor protobuf is needed. A record is yielded only if its checksums hold;
reading stops at the first that is torn or damaged. No length is believed: nothing larger than a
limit, or than what is there, is allocated.

A file begins with `:W&B` and three bytes. It has blocks of 32 KiB; a record is in one or more
chunks of `u32 checksum | u16 size | u8 kind | data`, little-endian, and no chunk crosses blocks.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path

from expstore.errors import ImportSourceError
from expstore.exchange.sources.base import reading_file
from expstore.exchange.sources.files import opened

MAGIC = b":W&B"

RECORD_LIMIT = 1 << 28
"""Bytes of one record."""

_START = 7  # bytes before the first chunk, which count as part of the first block
_BLOCK = 1 << 15
_HEADER = 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4

Value = int | float | bytes
Fields = list[tuple[int, Value]]


def records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Each whole record, with the offset at which it ends.

    Raises:
        ImportSourceError: not such a file, or a record is too large.
    """
    with opened(path) as file, reading_file(path):
        parts: list[bytes] = []
        offset = size = 0
        block = file.read(_BLOCK)
        if not block.startswith(MAGIC):
            raise ImportSourceError(f"{path}: not a file of W&B: it does not begin with :W&B")
        position = _START
        while block:
            while position + _HEADER <= len(block):
                length = int.from_bytes(block[position + 4 : position + 6], "little")
                kind = block[position + 6]
                end = position + _HEADER + length
                if not kind and not length:
                    break  # padding
                data = block[position + _HEADER : end]
                found = zlib.crc32(data, zlib.crc32(block[position + 6 : position + 7]))
                if end > len(block) or found != int.from_bytes(
                    block[position : position + 4], "little"
                ):
                    return
                if (kind in (_FULL, _FIRST)) != (not parts) or kind > _LAST:
                    return
                parts.append(data)
                size += length
                if size > RECORD_LIMIT:
                    raise ImportSourceError(
                        f"{path}: the record at byte {offset + position} has more than "
                        f"{RECORD_LIMIT:,} bytes"
                    )
                position = end
                if kind in (_FULL, _LAST):
                    yield offset + end, b"".join(parts)
                    parts, size = [], 0
            offset += len(block)
            block, position = file.read(_BLOCK), 0


def fields(data: bytes) -> Fields:
    """The numbers and values of a message's fields, in order.

    Integers are as they are stored, numbers of 64 bits are floats, and all else is bytes.

    Raises:
        ValueError: not a message.
    """
    found: Fields = []
    position, end = 0, len(data)
    while position < end:
        key = data[position]
        position += 1
        if key > 127:
            key, position = varint(data, position - 1)
        number, kind = key >> 3, key & 7
        value: Value
        if kind == 2:
            length, position = varint(data, position)
            value = data[position : position + length]
            position += length
        elif kind == 0:
            value, position = varint(data, position)
        elif kind == 1:
            value = array("d", data[position : position + 8])[0]
            position += 8
        elif kind == 5:
            value = data[position : position + 4]
            position += 4
        else:
            raise ValueError(f"a field of kind {kind}")
        found.append((number, value))
    if position > end:
        raise ValueError("a field is longer than its message")
    return found


def varint(data: bytes, position: int) -> tuple[int, int]:
    """The integer at a position, and where it ends.

    Raises:
        ValueError: it does not end.
    """
    value = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("an integer does not end")


def signed(value: int) -> int:
    """The integer in a field of zigzag form."""
    return value >> 1 ^ -(value & 1)
