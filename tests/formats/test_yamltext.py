"""The YAML that a Kaitai schema is written in: a YAML parser reads back what was given."""

from __future__ import annotations

from typing import Any

import pytest

from formats.descriptions import yamltext

yaml = pytest.importorskip("yaml")


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1, "b": 0.5, "c": "text", "d": "true", "e": "0x10", "f": "- x", "g": ""},
        {"list": ["plain", "a: b", 3, "no"], "after": 1},
        {"list": [{"id": "a", "type": "u4"}, {"id": "b", "list": ["x"]}, "y"]},
        {"deep": {"er": {"list": [{"id": "c", "doc": "one\ntwo\n\nfour"}]}}},
    ],
)
def test_a_parser_reads_back_what_was_written(value: dict[str, Any]) -> None:
    """Mappings, lists of either kind, texts of several lines, and what looks like another type."""
    assert yaml.safe_load("\n".join(yamltext.lines(value))) == value
