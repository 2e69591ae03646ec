"""Column types: arrays of numbers, and texts as codes into their distinct values.

Guarantees: `Columns` is a mapping of names to columns, and `TextColumn` a sequence of texts; both
behave as such in every way. Texts are decoded once, on first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from formats.columns.clock import UNKNOWN, Range
from formats.errors import FieldValueError, FormatError
from formats.fields import ENCODING, ERRORS

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Text = str | bytes


class TextColumn(Sequence[Any]):
    """The column of a text field, or of bytes with a length: item i is `values[codes[i]]`.

    Args:
        codes: for each record, the index of its text in `values`.
        values: the distinct texts, as str or as bytes.
        is_text: whether items are str; default: as the values are.

    Attributes:
        codes: as given.
    """

    def __init__(
        self,
        codes: Any,
        values: Iterable[Text] | Callable[[], tuple[bytes, ...]],
        is_text: bool | None = None,
    ) -> None:
        self.codes: NDArray[Any] = np.asarray(codes)
        self._source = values if callable(values) else tuple(values)
        self._is_text = is_text
        self._values: tuple[Any, ...] | None = None

    @property
    def values(self) -> tuple[Any, ...]:
        """The distinct texts in order of first appearance; bytes if the field is of bytes."""
        # Lazy: a stream of many distinct texts would otherwise decode all of them at every feed.
        if self._values is None:
            given = self._source() if callable(self._source) else self._source
            if self._is_text:
                given = tuple(
                    [t.decode(ENCODING, ERRORS) if isinstance(t, bytes) else t for t in given]
                )
            self._values = given
        return self._values

    @cached_property
    def raw(self) -> tuple[bytes, ...]:
        """The distinct texts' bytes, whether or not they are valid UTF-8."""
        given = self._source() if callable(self._source) else self._source
        return tuple(t if isinstance(t, bytes) else t.encode(ENCODING, ERRORS) for t in given)

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice | NDArray[Any]) -> TextColumn: ...
    def __getitem__(self, index: Any) -> Any:
        """A text; or for a slice, a mask or an array of indices, a column of these records."""
        codes = self.codes[index]
        if np.ndim(codes):
            return TextColumn(codes, self._source, self._is_text)
        return self.values[int(codes)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __contains__(self, text: object) -> bool:
        return any(code in self.codes for code, value in enumerate(self.values) if value == text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TextColumn):
            return NotImplemented
        return len(self) == len(other) and self.tolist() == other.tolist()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:5])) + (", ..." if len(self) > 5 else "")
        return f"TextColumn([{shown}], {len(self)} items, {len(self.values)} distinct)"

    def __reduce__(self) -> tuple[Any, ...]:
        return TextColumn, (self.codes, self.values, self._is_text)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the texts of a TextColumn become an array only by copying")
        return self.to_numpy() if dtype is None else self.to_numpy().astype(dtype)

    @property
    def _holds_text(self) -> bool:
        """Whether items are str; of values that a user gave, as the first is."""
        if self._is_text is None:
            return not any(isinstance(value, bytes) for value in self.values[:1])
        return self._is_text

    def _are_bytes(self, wanted: bool | None) -> bool:
        """Whether another library is to get bytes, from what its user wants of it.

        Raises:
            FieldValueError: a text is no UTF-8, so it needs to be bytes.
        """
        if wanted is None:
            wanted = not self._holds_text
        wrong = None if wanted else next((t for t in self.raw if not _is_utf8(t)), None)
        if wrong is not None:
            raise FieldValueError(f"{wrong!r} is no UTF-8; use as_bytes=True")
        return wanted

    def tolist(self) -> list[Any]:
        """Every record's text."""
        values = self.values
        return [values[code] for code in self.codes.tolist()]

    def to_numpy(self) -> NDArray[np.object_]:
        """Every record's text, as an array of objects."""
        values = np.empty(len(self.values), object)
        values[:] = self.values
        return values[self.codes] if len(values) else np.empty(len(self), object)

    def to_pandas(self, as_bytes: bool | None = None) -> pd.Series[Any]:
        """The column as a Series of pandas: strings as it has them, or objects of bytes.

        Args and errors are those of `to_arrow`.
        """
        import pandas as pd

        as_bytes = self._are_bytes(as_bytes)
        values = np.array([*(self.raw if as_bytes else self.values), None], object)
        return pd.Series(values[self.codes], dtype=object if as_bytes else _string_type())

    def to_arrow(self, as_bytes: bool | None = None) -> pa.DictionaryArray:
        """The column as a dictionary-encoded array of pyarrow.

        Args:
            as_bytes: whether its values are binary. Default: if the field is of bytes; the type
                never depends on the texts.

        Raises:
            FieldValueError: a text is no UTF-8, and the values are not to be binary.
        """
        import pyarrow as pa

        as_bytes = self._are_bytes(as_bytes)
        values = pa.array(self.raw, pa.binary())
        if not as_bytes:
            values = values.cast(pa.string())
        return pa.DictionaryArray.from_arrays(self.codes.astype(np.int32, copy=False), values)


def _string_type() -> Any:
    """The type that pandas gives to strings, which depends on its version."""
    import pandas as pd

    return pd.Index(["text"]).dtype


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode(ENCODING)
    except UnicodeDecodeError:
        return False
    return True


class Columns(dict[str, Any]):
    """Columns by field name: a dict, so that pandas and others take it as it is.

    Attributes:
        count: the number of records, which is the length of every column.
        start: offset of the first of them, counted like `end`.
        end: offset after the last whole record, counted from the first byte parsed.
        error: why the records end there, if the next one is whole but refused; or None.
        seen: the number of records parsed; more than `count` if only some of them were wanted.
        clocks: a range that has the clocks of all of them; infinite if it is not known.
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        count: int,
        end: int,
        error: FormatError | None = None,
        start: int = 0,
        seen: int | None = None,
        clocks: Range = UNKNOWN,
    ) -> None:
        super().__init__(columns)
        self.count, self.end, self.error, self.start = count, end, error, start
        self.seen = count if seen is None else seen
        self.clocks = clocks

    def __repr__(self) -> str:
        return f"Columns of {self.count} records: {super().__repr__()}"

    def __reduce__(self) -> tuple[Any, ...]:
        place = self.end, self.error, self.start, self.seen, self.clocks
        return Columns, (dict(self), self.count, *place)

    def first(self, count: int) -> Columns:
        """The first records; `end` stays as it is."""
        if count == self.count:
            return self
        columns = {name: column[:count] for name, column in self.items()}
        return Columns(columns, count, self.end, self.error, self.start, None, self.clocks)

    def last(self, count: int) -> Columns:
        """The last records, copied; `start` and `end` are those of all."""
        which = np.arange(max(self.count - count, 0), self.count)
        columns = {name: column[which] for name, column in self.items()}
        return Columns(columns, len(which), self.end, self.error, self.start, None, self.clocks)

    def to_numpy(self) -> NDArray[Any]:
        """One structured array, with an item for each record; texts are objects."""
        columns = {name: np.asarray(column) for name, column in self.items()}
        dtype = [(name, column.dtype, column.shape[1:]) for name, column in columns.items()]
        whole = np.empty(self.count, np.dtype(dtype))
        for name, column in columns.items():
            whole[name] = column
        return whole

    def to_pandas(self, as_bytes: bool | None = None) -> pd.DataFrame:
        """A DataFrame of pandas; arrays become lists, Structs tuples, and bytes stay bytes.

        Args:
            as_bytes: of the text columns; see `TextColumn.to_arrow`.

        Raises:
            FieldValueError: a text is no UTF-8, and the texts are not to be bytes.
        """
        import pandas as pd

        def series(column: Any) -> Any:
            if isinstance(column, TextColumn):
                return column.to_pandas(as_bytes)
            if column.ndim > 1 or column.dtype.kind == "V":
                return pd.Series(column.tolist(), dtype=object)
            return pd.Series(column, dtype=_string_type() if column.dtype == object else None)

        return pd.DataFrame({name: series(column) for name, column in self.items()})

    def to_arrow(self, as_bytes: bool | None = None) -> pa.Table:
        """A table of pyarrow: arrays become fixed-size lists, Structs become structs.

        Args:
            as_bytes: of the text columns; see `TextColumn.to_arrow`.
        """
        import pyarrow as pa

        def arrow(column: Any) -> Any:
            if isinstance(column, TextColumn):
                return column.to_arrow(as_bytes)
            if column.ndim > 1:
                items = arrow(column.reshape(-1, *column.shape[2:]))
                return pa.FixedSizeListArray.from_arrays(items, column.shape[1])
            if column.dtype.names:
                names = list(column.dtype.names)
                parts = [arrow(np.ascontiguousarray(column[name])) for name in names]
                return pa.StructArray.from_arrays(parts, names)
            if column.dtype.kind == "V":
                return pa.array(column.tolist(), pa.binary(column.dtype.itemsize))
            return pa.array(column, pa.string() if column.dtype == object else None)

        return pa.table({name: arrow(column) for name, column in self.items()})
