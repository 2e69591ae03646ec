"""The binary formats of an experiment store: bytes in, values out; no file is opened here.

`META`, `RECORD` and `METRICS` are ordinary `construct` declarations. Everything else is derived
from them: `RecordCodec` (fast parsing and building), `ColumnParser` and `build_columns` (NumPy
columns), `to_ksy` (Kaitai Struct), `to_hexpat` (ImHex), `to_cstruct` (dissect.cstruct), `describe`
(the specification as JSON) and `annotate` (the meaning of each byte). `FORMATS` lists the formats
by name. `RUN` declares run.json, which is text: `parse_run`, `build_run` and `to_json_schema` are
for it. The specification is README.md in this package.
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
from formats.fields import AbsentAtEnd, LengthPrefixedText, Roles, Text, Version
from formats.meta import META
from formats.metrics import METRICS, RECORD
from formats.schema import Schema

if TYPE_CHECKING:
    from formats.catalog import FORMATS, Format
    from formats.codec.spans import Span, annotate
    from formats.columns.build import build_columns
    from formats.columns.parse import ColumnParser
    from formats.columns.types import Columns, TextColumn
    from formats.descriptions.cstruct import to_cstruct
    from formats.descriptions.hexpat import to_hexpat
    from formats.descriptions.ksy import to_ksy
    from formats.descriptions.spec import describe
    from formats.run import RUN, build_run, parse_run, to_json_schema

__all__ = [
    "CLEAN",
    "FORMATS",
    "META",
    "METRICS",
    "RECORD",
    "RUN",
    "AbsentAtEnd",
    "ColumnParser",
    "Columns",
    "FieldValueError",
    "Format",
    "FormatError",
    "LengthPrefixedText",
    "RecordCodec",
    "Roles",
    "Schema",
    "Span",
    "TailStatus",
    "Text",
    "TextColumn",
    "TooManyTextsError",
    "TruncatedError",
    "UnsupportedSchema",
    "UnsupportedVersionError",
    "Version",
    "annotate",
    "build_columns",
    "build_run",
    "describe",
    "parse_run",
    "tail_status",
    "to_cstruct",
    "to_hexpat",
    "to_json_schema",
    "to_ksy",
]

# Only tools need these, so they load on first use: logging should start quickly.
_ON_DEMAND = {
    "ColumnParser": "formats.columns.parse",
    "Columns": "formats.columns.types",
    "FORMATS": "formats.catalog",
    "Format": "formats.catalog",
    "RUN": "formats.run",
    "Span": "formats.codec.spans",
    "TextColumn": "formats.columns.types",
    "annotate": "formats.codec.spans",
    "build_columns": "formats.columns.build",
    "build_run": "formats.run",
    "describe": "formats.descriptions.spec",
    "parse_run": "formats.run",
    "to_cstruct": "formats.descriptions.cstruct",
    "to_hexpat": "formats.descriptions.hexpat",
    "to_json_schema": "formats.run",
    "to_ksy": "formats.descriptions.ksy",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_DEMAND[name]), name)
