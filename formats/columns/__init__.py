"""Records as NumPy columns: parsing, building and splitting, derived from the declaration."""

from formats.columns.build import build_columns
from formats.columns.parse import ColumnParser, parse_columns
from formats.columns.starts import record_starts
from formats.columns.types import Columns, TextColumn

__all__ = [
    "ColumnParser",
    "Columns",
    "TextColumn",
    "build_columns",
    "parse_columns",
    "record_starts",
]
