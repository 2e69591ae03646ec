"""What parsing records needs to know of their declaration, worked out once for each."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from formats.columns.loop import is_walkable
from formats.columns.starts import record_walk
from formats.columns.wire import column_type, is_direct
from formats.schema import Schema


class Plan:
    """Properties of a declaration.

    Attributes:
        walk: the steps from record to record.
        is_brief: whether a simple loop reads the records.
        is_text: by the name of a text, whether it is one, or bytes.
        types: of the columns; of a text's codes.
        is_direct: whether NumPy converts all numbers by itself.
        checked: the fields that may be refused.
        predicts: whether what is compared of repeated records is enough to accept them.
    """

    def __init__(self, schema: Schema) -> None:
        self.walk = record_walk(schema)
        self.is_brief = is_walkable(schema)
        self.is_text = {field.name: field.is_text for field in schema.texts}
        self.types = {
            field.name: np.int32 if field.is_variable else column_type(field.kind)
            for field in schema
            if field.is_column
        }
        self.is_direct = all(f.is_variable or is_direct(f.kind) for f in schema if f.is_column)
        # What a prediction compares is enough for constants, but not for other checks.
        self.checked = [field for field in schema if field.kind.may_refuse]
        self.predicts = all(f.constant is not None and f.kind.is_raw for f in self.checked)


@lru_cache(maxsize=64)
def plan_of(schema: Schema) -> Plan:
    """The schema's Plan."""
    return Plan(schema)
