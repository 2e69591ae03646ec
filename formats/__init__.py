"""The binary formats of an experiment store: bytes in, values out; no file is opened here.

`META`, `RECORD` and `METRICS` are ordinary `construct` declarations. Everything else is derived
from them: `RecordCodec` (fast scalar and columnar parsing and building), `to_ksy` (Kaitai Struct),
`to_hexpat` (ImHex), `to_cstruct` (dissect.cstruct) and `annotate` (the meaning of each byte).
`FORMATS` lists the formats by name. The specification is README.md in this package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from formats.codec.record import RecordCodec
from formats.damage.tail import CLEAN, TailStatus, tail_status
from formats.errors import (
    FieldValueError,
    FormatError,
    TooManyTextsError,
    TruncatedError,
    UnsupportedSchema,
    UnsupportedVersionError,
)
from formats.fields import AbsentAtEnd, LengthPrefixedText, Text, Version
from formats.meta import META
from formats.metrics import METRICS, RECORD
from formats.schema import Schema

if TYPE_CHECKING:
    from formats.catalog import FORMATS, Format
    from formats.codec.spans import Span, annotate
    from formats.descriptions.cstruct import to_cstruct
    from formats.descriptions.hexpat import to_hexpat
    from formats.descriptions.ksy import to_ksy

__all__ = [
    "CLEAN",
    "FORMATS",
    "META",
    "METRICS",
    "RECORD",
    "AbsentAtEnd",
    "FieldValueError",
    "Format",
    "FormatError",
    "LengthPrefixedText",
    "RecordCodec",
    "Schema",
    "Span",
    "TailStatus",
    "Text",
    "TooManyTextsError",
    "TruncatedError",
    "UnsupportedSchema",
    "UnsupportedVersionError",
    "Version",
    "annotate",
    "tail_status",
    "to_cstruct",
    "to_hexpat",
    "to_ksy",
]

# Only tools need these, so they load on first use: logging should start quickly.
_ON_DEMAND = {
    "FORMATS": "formats.catalog",
    "Format": "formats.catalog",
    "Span": "formats.codec.spans",
    "annotate": "formats.codec.spans",
    "to_cstruct": "formats.descriptions.cstruct",
    "to_hexpat": "formats.descriptions.hexpat",
    "to_ksy": "formats.descriptions.ksy",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_DEMAND[name]), name)
