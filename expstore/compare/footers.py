"""What this package keeps in the footers of the Parquet files that it writes, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from expstore.extras import require

NOTES = "expstore"
"""The key, in a Parquet file's own metadata."""


def read_notes(path: Path) -> tuple[Any, dict[str, Any]] | None:
    """The metadata of a Parquet file and the notes in it; None if it is missing or damaged."""
    parquet, arrow = require("pyarrow.parquet", "arrow"), require("pyarrow", "arrow")
    try:
        # Opened here, since Arrow accepts only paths that are valid Unicode.
        with open(path, "rb") as file:
            footer = parquet.read_metadata(file)
        notes = json.loads((footer.metadata or {}).get(NOTES.encode(), b"{}"))
    except (OSError, ValueError, arrow.ArrowException):
        return None
    return (footer, notes) if isinstance(notes, dict) else None
