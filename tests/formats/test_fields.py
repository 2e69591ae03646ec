"""The field types themselves, as `construct` uses them."""

from __future__ import annotations

import os
from typing import Any

import pytest
from construct import Array, Int8ub, StreamError, Struct

from formats import META, RECORD, AbsentAtEnd, LengthPrefixedText, RecordCodec, Text


class Pipe:
    """A pipe's reading end, which can neither seek nor tell."""

    def __init__(self, data: bytes) -> None:
        reader, writer = os.pipe()
        os.write(writer, data)
        os.close(writer)
        self.file = os.fdopen(reader, "rb", buffering=0)

    def __enter__(self) -> Any:
        return self.file

    def __exit__(self, *_: object) -> None:
        self.file.close()


def test_streams_that_cannot_seek_are_read() -> None:
    """`parse_stream` reads META and RECORD from a pipe, and stops where the value ends."""
    meta = {"timestamp": 1, "commit_id": "c", "job_name": "jöb", "user": "u"}
    record = {"timestamp": 1, "step": 2, "value": 0.5, "name": "loss"}
    with Pipe(RECORD.build(record) * 2) as stream:
        for _ in range(2):
            assert RECORD.parse_stream(stream).name == "loss"
    built = META.build(meta)
    with Pipe(built + b"rest") as stream:
        assert META.parse_stream(stream).user == "u"
        assert stream.read() == b"rest"
    with Pipe(built[:-2]) as stream:  # job_name is the last field present
        assert META.parse_stream(stream).user == ""
    with Pipe(built[:-1]) as stream, pytest.raises(StreamError):
        META.parse_stream(stream)


def test_a_default_is_not_shared() -> None:
    """Each value has its own list."""
    declared = Struct("n" / Int8ub, "items" / AbsentAtEnd(Array(2, Int8ub), [1, 2]))
    codec = RecordCodec(declared)
    for parse in (lambda: codec.parse(b"\0")[0], lambda: declared.parse(b"\0")):
        parse()["items"].append(3)
        assert parse()["items"] == [1, 2]
    assert codec.build(n=0) == declared.build({"n": 0}) == b"\0\1\2"


def test_a_text_has_no_other_type() -> None:
    """Building refuses bytes and what UTF-8 cannot encode, and writes nothing of it."""
    for wrong in (b"loss", 3, "\ud800"):
        with pytest.raises(Exception, match=r"str|surrogates"):
            Text.build(wrong)
    assert LengthPrefixedText(Int8ub).parse(b"\2\xff\0") == "\udcff\0"
