"""The field types that the formats share, as `construct` classes.

Guarantees: the bytes of a text survive parsing and building unchanged (invalid UTF-8 is kept as
lone surrogates, PEP 383). A text too long for its length prefix is an error; the length never
wraps. A truncated field is an error; it is never filled with zeros.

These exist because `construct`'s own PascalString has no `errors=`, and its Optional hides torn
data.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import IO, Any

from construct import Const, Construct, Int8ub, StringError, Subconstruct, stream_read, stream_write

ENCODING = "utf-8"
ERRORS = "surrogateescape"


class LengthPrefixedText(Construct):  # type: ignore[type-arg]
    """A length in bytes, then that many bytes of UTF-8; a value is a `str`.

    Reads its stream from front to back, so a socket or a pipe will do.

    Args:
        length: the field for the length, an unsigned integer of fixed width.
    """

    def __init__(self, length: Any) -> None:
        super().__init__()
        self.length = length

    def _parse(self, stream: IO[bytes], context: Any, path: str) -> str:
        size = self.length._parsereport(stream, context, path)
        return bytes(stream_read(stream, size, path)).decode(ENCODING, ERRORS)

    def _build(self, obj: Any, stream: IO[bytes], context: Any, path: str) -> Any:
        if not isinstance(obj, str):
            raise StringError(f"expected str, got {type(obj).__name__}", path=path)
        try:
            data = obj.encode(ENCODING, ERRORS)
        except UnicodeEncodeError as error:
            raise StringError(str(error), path=path) from error
        self.length._build(len(data), stream, context, path)
        stream_write(stream, data, len(data), path)
        return obj


Text = LengthPrefixedText(Int8ub)
"""A text of at most 255 bytes: a u8 length in bytes, then UTF-8."""


class Version(Const):  # type: ignore[type-arg]
    """A format's version number: a constant whose mismatch raises `UnsupportedVersionError`."""


class AbsentAtEnd(Subconstruct):  # type: ignore[type-arg]
    """A field that older writers omitted at the end: `default` if none of its bytes are present.

    Data that ends *inside* the field is torn, and an error. Building always writes the field.
    """

    def __init__(self, subcon: Any, default: Any) -> None:
        super().__init__(subcon)
        self.default = default
        self.flagbuildnone = True

    def _parse(self, stream: IO[bytes], context: Any, path: str) -> Any:
        first = stream.read(1)
        if not first:
            return copy.deepcopy(self.default)  # the caller owns it
        if stream.seekable():
            stream.seek(-1, 1)
            return self.subcon._parsereport(stream, context, path)
        again: Any = _Reread(first, stream)
        return self.subcon._parsereport(again, context, path)

    def _build(self, obj: Any, stream: IO[bytes], context: Any, path: str) -> Any:
        return self.subcon._build(self.default if obj is None else obj, stream, context, path)


class _Reread:
    """A stream that cannot seek, from which one byte was read too early."""

    def __init__(self, first: bytes, stream: IO[bytes]) -> None:
        self._first, self._stream = first, stream

    def read(self, size: int = -1) -> bytes:
        first = self._first[:size] if size >= 0 else self._first
        self._first = self._first[len(first) :]
        return first + self._stream.read(size - len(first) if size >= 0 else size)


@dataclass(frozen=True)
class Roles:
    """The fields that show whether a record is plausible.

    Attributes:
        clock: an integer, Unix seconds if all is well.
        counter: an integer that stays close to those of other records, if there is one.
        label: a text that other records share, if there is one. Without it, the clock may also be
            in milli-, micro- or nanoseconds, all through the log.
    """

    clock: str
    counter: str | None = None
    label: str | None = None


def fit(text: str, limit: int) -> str:
    """The longest prefix of whole characters that takes at most `limit` bytes."""
    prefix = text[:limit]  # every character takes at least one byte
    while len(prefix.encode(ENCODING, ERRORS)) > limit:
        prefix = prefix[:-1]
    return prefix
