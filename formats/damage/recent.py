"""The records before those being examined, by which damage is traced back to where it began.

Guarantees: memory is constant; what is found does not depend on how a log is divided into parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from formats.damage.plausible import doubtful_before, look_back

if TYPE_CHECKING:
    from formats.columns.types import Columns
    from formats.fields import Roles
    from formats.schema import Schema


class _Part(NamedTuple):
    last: Columns  # some records at its end; none of a part that was not read completely
    known: int  # labels that occurred before these
    seen: int  # records of the part


class Recent:
    """The last records of the parts of a log that were examined.

    Args:
        schema: of the records.
        roles: the fields that they are judged by.

    Attributes:
        known: labels that occurred, all with codes below this number.
    """

    def __init__(self, schema: Schema, roles: Roles) -> None:
        self._schema, self._roles = schema, roles
        self._parts: list[_Part] = []
        self._most = look_back(roles)
        self.known = 0

    def add(self, columns: Columns) -> None:
        """Remember the last records of a part."""
        label, known = self._roles.label, self.known
        is_whole = columns.seen == columns.count
        last = columns.last(self._most if is_whole else 0)
        if label is not None and is_whole:  # codes are in order of first appearance
            codes = columns[label].codes
            known = max(known, int(codes[: -self._most].max(initial=-1)) + 1)
            self.known = max(known, int(last[label].codes.max(initial=-1)) + 1)
        elif label is not None:
            self.known = len(columns[label].raw)
        self._parts.append(_Part(last, known, columns.seen))
        while sum(part.seen for part in self._parts[1:]) >= self._most:
            del self._parts[0]

    @property
    def missing_from(self) -> int | None:
        """The `Columns.start` of the first part that would be needed, but was not read completely;
        None: there is none.
        """
        return next((p.last.start for p in self._parts if p.seen and not p.last.count), None)

    def complete(self, columns: Columns) -> None:
        """Take all records from `missing_from` to the end of the parts."""
        place = [part.last.start for part in self._parts].index(columns.start)
        self.known = self._parts[place].known
        del self._parts[place:]
        self.add(columns)

    def forget(self) -> None:
        """From here on, other codes stand for the labels."""
        self.known = 0

    def doubtful(self, most: int) -> list[int]:
        """The sizes in bytes of the last records that belong to damage right after them.

        Args:
            most: how many at most.
        """
        import numpy as np

        from formats.columns.ends import record_ends

        sizes: list[int] = []
        for part in reversed(self._parts):
            columns, count = part.last, part.last.count
            found = doubtful_before(self._roles, columns, count, part.known, most - len(sizes))
            ends = record_ends(self._schema, columns)
            sizes += np.diff(ends, prepend=columns.start)[count - found :].tolist()
            if found < count:
                break
        return sizes
