"""A loop over records, generated from their declaration, for data too short for NumPy's calls.

Guarantees: it reads whole records only, and gives up at the first that is not; a text is entered
into its vocabulary only with a whole record. The declaration's names do not enter the source.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from formats.kinds.numbers import Number
from formats.schema import Schema


@lru_cache(maxsize=64)
def is_walkable(schema: Schema) -> bool:
    """Whether data are records of numbers and texts only, so that a simple loop reads them."""
    return (
        bool(schema.texts)
        and schema.header is None
        and all(
            field.is_variable or (isinstance(field.kind, Number) and field.kind.is_raw)
            for field in schema
        )
    )


@lru_cache(maxsize=64)
def compiled_loop(schema: Schema) -> Callable[..., int]:
    """A function that reads up to `quota` records and returns the offset after the last one.

    Its arguments are `data, at, end, quota, vocabularies, starts, codes`; the last two are lists
    that it appends to.
    """
    names: dict[str, Any] = {"_StructError": struct.error}
    for number, run in enumerate(schema.runs):
        if run.text is not None:
            names[f"_length{number}"] = struct.Struct(run.text.format).unpack_from
    exec(compile("\n".join(_source(schema)), "<loop over records>", "exec"), names)
    function: Callable[..., int] = names["read"]
    return function


def _source(schema: Schema) -> Iterator[str]:
    count = len(schema.texts)
    yield "def read(data, at, end, quota, vocabularies, starts, codes):"
    yield "    append = starts.append"
    for i in range(count):
        yield f"    append{i}, known{i} = codes[{i}].append, vocabularies[{i}].index.get"
    yield "    try:"
    yield "        for _ in range(quota):"
    yield "            stop = at"
    text = 0
    for number, run in enumerate(schema.runs):
        if run.text is None:
            yield f"            stop += {run.width}"
            continue
        place = f"stop + {run.width - run.text.width}"
        length = f"data[{place}]" if run.text.width == 1 else f"_length{number}(data, {place})[0]"
        yield f"            length{text} = {length}"
        yield f"            begin{text} = stop + {run.width}"
        yield f"            stop = begin{text} + length{text}"
        text += 1
    yield "            if stop > end:"
    yield "                break"
    for i in range(count):
        yield f"            text{i} = data[begin{i}:begin{i} + length{i}]"
        yield f"            code{i} = known{i}(text{i})"
        yield f"            if code{i} is None:"
        yield f"                code{i} = vocabularies[{i}].add_one(text{i})"
    yield "            append(at)"
    for i in range(count):
        yield f"            append{i}(code{i})"
    yield "            at = stop"
    yield "    except (IndexError, _StructError):"
    yield "        pass  # the data ends inside a length prefix"
    yield "    return at"
