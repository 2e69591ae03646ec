"""Errors in bytes or values, located by field, record index and byte offset.

Guarantees: every error that this package defines is a `FormatError`; each subclass is also the
matching built-in (`EOFError`, `ValueError`, `TypeError`). The message includes everything known
about the location.
"""

from __future__ import annotations


def counted(count: int, noun: str, form: str = "") -> str:
    """A number of things as messages give it: `1 record`, `2 records`; `form` is of the number."""
    return f"{count:{form}} {noun}" + "s" * (count != 1)


class FormatError(Exception):
    """Bytes or values that do not fit a declared format.

    Attributes:
        reason: what is wrong, without the location.
        field: the declared field at fault, if there is one.
        index: the record's number in its file, from 0, if the format is a sequence.
        offset: the byte offset of the field (not of its record), if bytes were read.
        source: where the bytes or values come from, such as the file's path. Only the caller knows
            that, and sets it with `at`.
    """

    def __init__(
        self,
        reason: str,
        *,
        field: str | None = None,
        index: int | None = None,
        offset: int | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.index = index
        self.offset = offset
        self.source = source

    def at(
        self, *, source: str | None = None, index: int | None = None, offset: int | None = None
    ) -> FormatError:
        """Add to the location and return this error; `offset` is added to the error's own."""
        if source is not None:
            self.source = source
        if index is not None:
            self.index = index
        if offset is not None:
            self.offset = offset + (self.offset or 0)
        return self

    def __str__(self) -> str:
        parts = [
            f"field {self.field}" if self.field is not None else "",
            f"record {self.index}" if self.index is not None else "",
            f"byte {self.offset}" if self.offset is not None else "",
        ]
        location = ", ".join(part for part in parts if part)
        return (
            (f"{self.source}: " if self.source else "")
            + self.reason
            + (f" ({location})" if location else "")
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions are pickled to cross process boundaries, which drops keyword arguments.
        return (_restore, (type(self), self.reason, self.__dict__))


def _restore(kind: type[FormatError], reason: str, state: dict[str, object]) -> FormatError:
    error = kind(reason)
    error.__dict__.update(state)
    return error


class TruncatedError(FormatError, EOFError):
    """The data ends inside a field."""


class UnsupportedVersionError(FormatError, ValueError):
    """The version byte is not one that this declaration describes."""


class FieldValueError(FormatError, ValueError):
    """A value that its field cannot hold: out of range, too long, or of the wrong type."""


class TooManyTextsError(FormatError, ValueError):
    """One column has more distinct texts than the reader's limit."""


class UnsupportedSchema(FormatError, TypeError):
    """A declaration with a part that a codec or schema cannot express."""
