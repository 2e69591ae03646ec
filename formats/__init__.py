"""The binary formats of an experiment store: bytes in, values out; no file is opened here.

`META`, `RECORD` and `METRICS` are `construct` declarations and work as such. All else is derived
from them: `RecordCodec` (fast scalar and columnar parse and build) and `to_ksy` (Kaitai Struct).
The specification is README.md in this package.
"""

from formats.codec import RecordCodec
from formats.errors import (
    FieldValueError,
    FormatError,
    TruncatedError,
    UnsupportedSchema,
    UnsupportedVersionError,
)
from formats.fields import AbsentAtEnd, LengthPrefixedText, Text, Version
from formats.ksy import to_ksy
from formats.meta import META
from formats.metrics import METRICS, RECORD
from formats.schema import Schema
from formats.tail import CLEAN, TailStatus, tail_status

__all__ = [
    "CLEAN",
    "META",
    "METRICS",
    "RECORD",
    "AbsentAtEnd",
    "FieldValueError",
    "FormatError",
    "LengthPrefixedText",
    "RecordCodec",
    "Schema",
    "TailStatus",
    "Text",
    "TruncatedError",
    "UnsupportedSchema",
    "UnsupportedVersionError",
    "Version",
    "tail_status",
    "to_ksy",
]
