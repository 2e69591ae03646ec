"""What can be wrong with bytes or values, said with field, record index and byte offset.

Guarantees: every error of this package is a `FormatError`; it is also the standard library's twin
(`EOFError`, `ValueError`, `TypeError`); its text names all that is known of the place.
"""

from __future__ import annotations


class FormatError(Exception):
    """Bytes or values that do not fit a declared format.

    Attributes:
        reason: what is wrong, without the place.
        field: the declared field, where one is to blame.
        index: the record's number in its file, from 0, where the format is a sequence.
        offset: the byte offset of the field (not of its record), where bytes were read.
        source: the file's path; this package opens none, so the caller sets it (`at`).
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
        """This same error, told more of its place: the file, the record, bytes before the data."""
        if source is not None:
            self.source = source
        if index is not None:
            self.index = index
        if offset is not None:
            self.offset = offset + (self.offset or 0)
        return self

    def __str__(self) -> str:
        place = [
            f"field {self.field}" if self.field is not None else "",
            f"record {self.index}" if self.index is not None else "",
            f"byte {self.offset}" if self.offset is not None else "",
        ]
        said = ", ".join(part for part in place if part)
        return (
            (f"{self.source}: " if self.source else "")
            + self.reason
            + (f" ({said})" if said else "")
        )

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process boundaries by pickle, which would drop keyword arguments.
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
    """A value that its field cannot hold: out of range, too long, or of another kind."""


class TooManyTextsError(FormatError, ValueError):
    """More distinct texts in one column than the reader is willing to hold."""


class UnsupportedSchema(FormatError, TypeError):
    """A declaration with a part that a derived codec or schema cannot express."""
