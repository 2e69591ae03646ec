"""The field types that the formats share, as `construct` classes.

Guarantees: the bytes of a text survive parsing and building unchanged (invalid UTF-8 is kept as
lone surrogates, PEP 383). A text too long for its length prefix is an error; the length never
wraps. A truncated field is an error; it is never filled with zeros.

These exist because `construct`'s own PascalString has no `errors=`, and its Optional hides torn
data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

from construct import Adapter, Const, GreedyBytes, Int8ub, Prefixed, StringError, Subconstruct

ENCODING = "utf-8"
ERRORS = "surrogateescape"


class LengthPrefixedText(Adapter):  # type: ignore[type-arg]
    """A length in bytes, then that many bytes of UTF-8; a value is a `str`.

    Args:
        length: the field for the length, an unsigned integer of fixed width.
    """

    def __init__(self, length: Any) -> None:
        super().__init__(Prefixed(length, GreedyBytes))
        self.length = length

    def _decode(self, obj: bytes, context: Any, path: str) -> str:
        return obj.decode(ENCODING, ERRORS)

    def _encode(self, obj: Any, context: Any, path: str) -> bytes:
        if not isinstance(obj, str):
            raise StringError(f"expected str, got {type(obj).__name__}", path=path)
        try:
            return obj.encode(ENCODING, ERRORS)
        except UnicodeEncodeError as error:
            raise StringError(str(error), path=path) from error


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
        start = stream.tell()
        if not stream.read(1):
            return self.default
        stream.seek(start)
        return self.subcon._parsereport(stream, context, path)

    def _build(self, obj: Any, stream: IO[bytes], context: Any, path: str) -> Any:
        return self.subcon._build(self.default if obj is None else obj, stream, context, path)


@dataclass(frozen=True)
class Roles:
    """The fields that show whether a record is plausible.

    Attributes:
        clock: an integer, Unix seconds if all is well.
        counter: an integer that stays close to those of other records.
        label: a text that other records share.
    """

    clock: str
    counter: str
    label: str


def is_masked(value: Any) -> bool:
    """Whether an array hides an element, which its `item` returns as a number nevertheless."""
    # By attribute: NumPy may not be loaded, and other libraries have masked arrays as well.
    mask: Any = getattr(value, "mask", None)
    return getattr(getattr(mask, "dtype", None), "kind", "") == "b" and bool(mask.any())


def fit(text: str, limit: int) -> str:
    """The longest prefix of whole characters that takes at most `limit` bytes."""
    prefix = text[:limit]  # every character takes at least one byte
    while len(prefix.encode(ENCODING, ERRORS)) > limit:
        prefix = prefix[:-1]
    return prefix
