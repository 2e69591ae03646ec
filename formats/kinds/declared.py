"""From `construct` objects to kinds.

Guarantees: a kind is returned only if its meaning is fully known: classes are compared exactly, and
a subclass, a hook, or a method replaced on one object is refused, since what is derived would not
follow it. What cannot be expressed raises `UnsupportedSchema` with the reason.
"""

from __future__ import annotations

import struct
from typing import Any

import construct as c

from formats.errors import FormatError, UnsupportedSchema
from formats.fields import AbsentAtEnd, LengthPrefixedText, Version
from formats.kinds.base import Choice, Constant, Kind, Padding, RawBytes
from formats.kinds.composed import Array, Group, Part
from formats.kinds.numbers import Enum, Flag, Flags, Number, OddInteger
from formats.kinds.pickling import choice_of
from formats.kinds.texts import LengthPrefixed, PaddedText, PascalText
from formats.kinds.value import Value

_ENCODINGS = {"utf8": "utf-8", "utf_8": "utf-8", "u8": "utf-8", "ascii": "ascii"}
_BEHAVIOUR = {
    *("_parse", "_build", "_decode", "_encode", "_validate", "_parsereport", "_sizeof"),
    *("parse", "build", "parse_stream", "build_stream"),
}
_CHOICES = 1 << 16

_CONDITION = "depends on a condition, so no later field has a known place"
_STREAM = "reads from elsewhere in the stream, so its bytes are not in order"
_GREEDY = "reads to the end of the data, so nothing can follow it"
_BITS = "is made of bits, and all fields here are whole bytes"
_COMPUTED = "is computed from other fields, which nothing derived can do"
_REASONS = {
    "VarInt": "has a width that depends on its value; use an integer of fixed width",
    "ZigZag": "has a width that depends on its value; use an integer of fixed width",
    **dict.fromkeys(("IfThenElse", "Switch", "StopIf", "Select", "Check", "Error"), _CONDITION),
    "Union": "gives the same bytes several meanings",
    **dict.fromkeys(("Pointer", "Peek", "Seek", "Tell", "RawCopy", "Terminated"), _STREAM),
    **dict.fromkeys(("Lazy", "LazyStruct", "LazyArray", "LazyBound"), "is read later, if at all"),
    **dict.fromkeys(("GreedyBytes", "GreedyRange", "StringEncoded"), _GREEDY),
    **dict.fromkeys(("Transformed", "Restreamed", "BitsInteger", "Bitwise"), _BITS),
    **dict.fromkeys(("Computed", "Rebuild", "Index", "Checksum"), _COMPUTED),
    "NullTerminated": "ends at a terminator, so its length is not known before it; use Text",
    "RepeatUntil": "ends at a condition, so its length is not known before it",
    "Prefixed": "has a length, but is neither bytes nor a text",
    "FocusedSeq": "drops the values of its other parts",
    "Sequence": "has parts without names; use Struct",
    "Pass": "takes no bytes",
    "Default": "is a default for something without a name; name what it is for",
    "ExprValidator": "has a condition of its own; use OneOf or NoneOf",
    "Aligned": "has a width that depends on its content; use Padding",
}


class Declared(Value):
    """One subcon of a Struct.

    Attributes:
        name, doc: as declared; an empty name if there is none.
        kind: what its bytes mean.
        absent: the value if the data ends before it; None if it is required.
        default: the value written if none is given; None if there is none.
    """

    name: str
    doc: str
    kind: Kind
    absent: Any = None
    default: Any = None


def refuse(reason: str, subcon: Any = None) -> UnsupportedSchema:
    """The error for a declaration, with the class that cannot be expressed."""
    return UnsupportedSchema(reason if subcon is None else f"{type(subcon).__name__} {reason}")


def unnamed(subcon: Any) -> Any:
    """The construct inside its names and docs; refuses hooks and replaced methods on the way."""
    while True:
        if getattr(subcon, "parsed", None) is not None:
            raise refuse("has a hook, which nothing derived would call", subcon)
        replaced = _BEHAVIOUR & vars(subcon).keys()
        if replaced and type(subcon) is not c.ExprValidator:
            raise refuse(f"has its own {min(replaced)}, which nothing derived would follow", subcon)
        if type(subcon) is not c.Renamed:
            return subcon
        subcon = subcon.subcon


def declared(subcon: Any) -> Declared:
    """One subcon of a Struct, unwrapped from the outside in."""
    name, doc = subcon.name or "", " ".join((subcon.docs or "").split())
    absent = default = None
    inner = unnamed(subcon)
    if type(inner) is AbsentAtEnd:
        absent = inner.default
        if absent is None:
            raise UnsupportedSchema("a field that may be absent needs a default")
        inner = unnamed(inner.subcon)
    if type(inner) is c.Default:
        default = inner.value
        if callable(default):
            raise refuse("has a default that is computed from other fields", inner)
        inner = unnamed(inner.subcon)
    kind = _prefixed(inner) or kind_of(inner)
    for value in (absent, default):
        if value is not None:
            _check("default", kind, value)
    if not name and not isinstance(kind, Constant | Padding):
        raise UnsupportedSchema("a field needs a plain name")
    return Declared(name, doc, kind, absent, default)


def _check(what: str, kind: Kind, value: Any) -> None:
    try:
        kind.build(value)
    except (FormatError, struct.error, OverflowError) as error:
        raise UnsupportedSchema(f"{what} {value!r} does not fit: {error}") from None


def _prefixed(subcon: Any) -> Kind | None:
    """A length and what it counts, if it is that."""
    if type(subcon) is LengthPrefixedText:
        length, is_text = subcon.length, True
    elif type(subcon) is c.Prefixed and unnamed(subcon.subcon) is c.GreedyBytes:
        length, is_text = subcon.lengthfield, False
        if subcon.includelength:
            raise refuse("has a length that counts itself", subcon)
    else:
        return None
    return LengthPrefixed(_length(length), is_text)


def _length(subcon: Any) -> Number:
    number = kind_of(unnamed(subcon))
    if not isinstance(number, Number) or not number.is_raw or number.code not in "BHIL":
        raise UnsupportedSchema("a text or bytes need an unsigned length of 1, 2 or 4 bytes")
    return number


def kind_of(subcon: Any) -> Kind:
    """The kind of a construct of fixed width."""
    subcon = unnamed(subcon)
    read = _READERS.get(type(subcon))
    if read is None:
        if isinstance(subcon, LengthPrefixedText | AbsentAtEnd):
            reason = "is not of fixed width, so it cannot be part of another field"
        else:
            reason = _REASONS.get(type(subcon).__name__, "is not known to anything derived")
        if type(subcon).__mro__[1] in _READERS:
            reason = "is a subclass, whose own behaviour nothing derived would follow"
        raise refuse(reason, subcon)
    kind: Kind = read(subcon)
    if kind.width < 1:
        raise refuse("takes no bytes", subcon)
    return kind


def _size(subcon: Any, size: Any) -> int:
    if isinstance(size, bool) or not isinstance(size, int):
        raise refuse("has a size that depends on other fields", subcon)
    if size < 1:
        raise refuse("takes no bytes", subcon)
    return size


def _number(subcon: Any) -> Kind:
    format = str(subcon.fmtstr)
    if format[0] not in "<>" or format[1] not in "bBhHiIlLqQefd":
        raise UnsupportedSchema(f"struct format {format!r} is not portable")
    return Number(format)


def _odd_integer(subcon: Any) -> Kind:
    size = _size(subcon, subcon.length)
    if size > 8 or callable(subcon.swapped):
        raise refuse("is wider than 8 bytes, or of a byte order that varies; use Bytes", subcon)
    order = "<" if subcon.swapped else ">"
    letter = {1: "b", 2: "h", 4: "i", 8: "q"}.get(size)
    format = order + (letter or ("i" if size < 4 else "q"))
    format = format if subcon.signed else format.upper()
    return Number(format) if letter else OddInteger(format, size)


def _constant(subcon: Any) -> Kind:
    kind = kind_of(subcon.subcon)
    if isinstance(kind, Array | Group | Flags | Padding):
        raise refuse("is a constant of several values; declare one for each", subcon)
    if subcon.value != subcon.value:
        raise refuse("is NaN, which equals nothing: no bytes would be accepted", subcon)
    if isinstance(subcon.value, bool) and isinstance(kind, Number):
        raise refuse(f"is a bool; as a number it is {int(subcon.value)}", subcon)
    _check("constant", kind, subcon.value)
    return Constant(kind, subcon.value, type(subcon) is Version)


def _labelled(kind: Any) -> Any:
    def read(subcon: Any) -> Kind:
        number = kind_of(subcon.subcon)
        if not isinstance(number, Number) or number.is_float:
            raise refuse("needs an integer", subcon)
        pairs = subcon.encmapping if kind is Enum else subcon.flags
        labels = tuple((str.__str__(name), int(value)) for name, value in pairs.items())
        low, high = number.range
        for name, value in labels:
            if not low <= value <= high:
                raise refuse(f"has a label {name} for {value}, which does not fit", subcon)
        result: Kind = kind(number, labels)
        return result

    return read


def _choice(subcon: Any) -> Kind:
    found = choice_of(subcon)
    if found is None:
        raise refuse(_REASONS["ExprValidator"], subcon)
    make, values = found
    kind = kind_of(subcon.subcon)
    if isinstance(kind, Array | Group | Flags | Padding):
        raise refuse("is a choice among several values; declare one for each", subcon)
    if not isinstance(values, list | tuple | set | frozenset | range) or len(values) > _CHOICES:
        raise refuse(f"needs a list, set or range of at most {_CHOICES} values", subcon)
    ordered = sorted(values, key=repr) if isinstance(values, set | frozenset) else values
    return Choice(kind, tuple(ordered), make is c.OneOf)


def _padding(subcon: Any) -> Kind:
    size, inner = _size(subcon, subcon.length), unnamed(subcon.subcon)
    if inner is c.Pass:
        return Padding(size, subcon.pattern)
    kind = kind_of(inner)
    if kind.width > size:
        raise refuse(f"has {kind.width} bytes in {size}", subcon)
    raise refuse("has a value before it; declare the value and Padding", subcon)


def _array(subcon: Any) -> Kind:
    item = kind_of(subcon.subcon)
    if not item.has_value:
        raise refuse("has items without a value; use Padding", subcon)
    if subcon.discard:
        raise refuse("discards its values", subcon)
    return Array(item, _size(subcon, subcon.count))


def _group(subcon: Any) -> Kind:
    return Group(tuple(_part(each) for each in subcon.subcons))


def _part(subcon: Any) -> Part:
    try:
        found = declared(subcon)
        if found.absent is not None or isinstance(found.kind, LengthPrefixed):
            raise UnsupportedSchema("has a variable width, so it cannot be part of another field")
    except UnsupportedSchema as error:
        error.field = ".".join(filter(None, (subcon.name, error.field)))
        raise
    return Part(found.name, found.doc, found.kind, found.default)


def _text(subcon: Any) -> Kind:
    """PaddedString, or a PascalString outside FixedSized, which is refused."""
    inner: Any = unnamed(subcon.subcon)
    if type(inner) is c.Prefixed:
        raise UnsupportedSchema(
            "PascalString refuses invalid UTF-8, which LengthPrefixedText keeps: use that, or "
            "FixedSized around it"
        )
    if type(inner) is not c.FixedSized or type(unnamed(inner.subcon)) is not c.NullStripped:
        found = type(inner).__name__
        raise UnsupportedSchema(f"a string in {found} {_REASONS.get(found, _GREEDY)}")
    encoding, stripped = _encoding(subcon), unnamed(inner.subcon)
    if unnamed(stripped.subcon) is not c.GreedyBytes or stripped.pad != b"\0":
        raise refuse("is padded with something other than NUL bytes", subcon)
    return PaddedText(_size(inner, inner.length), encoding)


def _fixed_size(subcon: Any) -> Kind:
    size = _size(subcon, subcon.length)
    text: Any = unnamed(subcon.subcon)
    is_string = type(text) is c.StringEncoded
    inner: Any = unnamed(text.subcon) if is_string else None
    if type(inner) is not c.Prefixed or unnamed(inner.subcon) is not c.GreedyBytes:
        raise refuse("holds something other than a PascalString; declare it and Padding", subcon)
    if inner.includelength:
        raise refuse("has a length that counts itself", inner)
    length = _length(inner.lengthfield)
    if length.width >= size:
        raise refuse("has no room for a text", subcon)
    return PascalText(size, length, _encoding(text))


def _encoding(subcon: Any) -> str:
    name = str(subcon.encoding).lower().replace("-", "_")
    if name not in _ENCODINGS:
        raise UnsupportedSchema(f"the encoding {subcon.encoding} is neither utf8 nor ascii")
    return _ENCODINGS[name]


_READERS: dict[type, Any] = {
    c.FormatField: _number,
    c.BytesInteger: _odd_integer,
    c.Bytes: lambda subcon: RawBytes(_size(subcon, subcon.length)),
    type(c.Flag): lambda _: Flag(),
    c.Const: _constant,
    Version: _constant,
    c.Enum: _labelled(Enum),
    c.FlagsEnum: _labelled(Flags),
    c.ExprValidator: _choice,
    c.Hex: lambda subcon: kind_of(subcon.subcon),
    c.HexDump: lambda subcon: kind_of(subcon.subcon),
    c.Padded: _padding,
    c.Array: _array,
    c.Struct: _group,
    c.StringEncoded: _text,
    c.FixedSized: _fixed_size,
}
