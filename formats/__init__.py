"""The binary formats of an experiment store: bytes in, values out; no file is opened here.

`META`, `RECORD` and `METRICS` are `construct` declarations and work as such. All else is derived
from them: `RecordCodec` (fast scalar and columnar parse and build), `to_ksy` (Kaitai Struct) and
`annotate` (what each byte is). `FORMATS` lists them by name. The specification is README.md in this
package.
"""

from formats.annotate import Span, annotate
from formats.catalog import FORMATS, Format
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
    "TruncatedError",
    "UnsupportedSchema",
    "UnsupportedVersionError",
    "Version",
    "annotate",
    "tail_status",
    "to_ksy",
]
