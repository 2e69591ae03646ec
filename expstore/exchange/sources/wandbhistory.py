"""One row of W&B's history: what a call of `log` wrote, and its step.

Guarantees: a row is the same whether its names are those of the row before, which are then not
decoded again, or others. Nested names are joined with `/`; what JSON holds is read as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from expstore.exchange.sources.jsontext import DECODER, loads
from expstore.exchange.sources.wandblog import fields, signed, varint

_ITEM, _STEP = 1 << 3 | 2, 2 << 3 | 2  # the keys of a row's fields
_JSON = (8, 16)  # fields of an item that hold its value as JSON
_SHORT = 128  # lengths below this have one byte
_read_json = DECODER.raw_decode


class RowReader:
    """Reads rows one after another."""

    def __init__(self) -> None:
        self._items: list[tuple[bytes, str]] = []  # what each item of the last row began with

    def read(self, data: bytes) -> tuple[dict[str, Any], int | None]:
        """The values of a row by name, and its step if the record has one.

        Raises:
            IndexError, ValueError: not such a message.
        """
        row: dict[str, Any] = {}
        step: int | None = None
        position, end, number = 0, len(data), 0
        while position < end:
            key, length = data[position], data[position + 1]
            start = position + 2
            if length >= _SHORT:
                length, start = varint(data, position + 1)
            if key == _ITEM:
                name, value = self._item(data, start, start + length, number)
                row[name] = value
                number += 1
            elif key == _STEP:
                step = int(dict(fields(data[start : start + length])).get(1, 0))
            else:  # what newer versions add to a row, of any kind
                fields(data[position:])
                break
            position = start + length
        if position > end:
            raise ValueError("a field is longer than its message")
        return row, step

    def _item(self, data: bytes, start: int, end: int, number: int) -> tuple[str, Any]:
        """The name and value of the item at some bytes of a row, and its number in it."""
        if number < len(self._items):
            prefix, name = self._items[number]
            mark = start + len(prefix)
            if (
                mark < end
                and data[mark] == end - mark - 1 < _SHORT
                and data.startswith(prefix, start)
            ):
                return name, _value(data[mark + 1 : end])
        found = fields(data[start:end])
        name, value = item(found)
        kind, last = found[-1] if found else (0, b"")
        if isinstance(last, bytes) and kind in _JSON and 0 < len(last) < _SHORT:
            mark = end - len(last) - 1
            if data[mark] == len(last):
                known = data[start:mark], name
                self._items[number : number + 1] = [known]
        return name, value


def _value(text: bytes) -> Any:
    """What JSON holds; nearly always a number, for which `loads` takes three times as long."""
    try:
        value, end = _read_json(text.decode("ascii"))
    except (ValueError, RecursionError):
        return loads(text)
    return value if end == len(text) else loads(text)


def item(parts: Iterable[tuple[int, Any]]) -> tuple[str, Any]:
    """The name and value of an item; nested names are joined with `/`."""
    names: list[str] = []
    value: Any = None
    for number, part in parts:
        if number in (1, 2):
            names.append(checked(part).decode("utf-8", "replace"))
        elif number == 4:
            value = bool(part)
        elif number == 5:
            value = signed(part)
        elif number == 6:
            value = part
        elif number == 7:
            value = checked(part).decode("utf-8", "replace")
        elif number in _JSON:
            value = loads(checked(part))
    return "/".join(name for name in names if name), value


def checked(value: Any) -> bytes:
    """The bytes of a field.

    Raises:
        ValueError: it is a number.
    """
    if not isinstance(value, bytes):
        raise ValueError("not a text or a message")  # noqa: TRY004
    return value
