"""Many records as NumPy columns: parsed, built, and split, as the declaration says."""

from formats.columns.build import build_columns
from formats.columns.parse import ColumnParser, parse_columns, record_starts
from formats.columns.types import Columns, TextColumn

__all__ = [
    "ColumnParser",
    "Columns",
    "TextColumn",
    "build_columns",
    "parse_columns",
    "record_starts",
]
