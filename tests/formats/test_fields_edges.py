"""The field types as `construct` uses them."""

from __future__ import annotations

from typing import Any

import pytest
from construct import Int8ub, StringError, Struct

from formats import META, Text
from formats.fields import AbsentAtEnd


@pytest.mark.parametrize("value", [b"bytes", 5, None, ["text"], "\ud800"])
def test_text_is_built_of_text_only(value: Any) -> None:
    """Anything else is construct's error for strings, with the field's path."""
    with pytest.raises(StringError) as caught:
        Struct("name" / Text).build({"name": value})
    assert caught.value.path == "(building) -> name"


def test_field_that_may_be_absent_need_not_be_given() -> None:
    """Building then writes its default."""
    declaration = Struct("count" / Int8ub, "note" / AbsentAtEnd(Text, "none"))
    assert declaration.build({"count": 1}) == b"\x01\x04none"
    assert declaration.build({"count": 1, "note": None}) == b"\x01\x04none"
    assert declaration.build({"count": 1, "note": "x"}) == b"\x01\x01x"
    bare = META.build({"timestamp": 1, "commit_id": "abc"})
    assert bare == META.build({"timestamp": 1, "commit_id": "abc", "job_name": "", "user": ""})
    assert bare.endswith(b"\x03abc\0\0")
