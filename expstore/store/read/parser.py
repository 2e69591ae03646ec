"""Logs to columns, one log after another.

Guarantees: what a parser gives for a log does not depend on the logs before it. Most logs of a
store hold the same names in the same order, which `formats.columns.brief` remembers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from expstore.model.values import METRICS_FORMAT
from formats import Format, TailStatus
from formats.damage.plausible import EARLIEST, LATEST, has_usual_clocks
from formats.damage.tail import TailWatch, tail_status

if TYPE_CHECKING:
    from expstore.store.files.directory import OpenLog
    from formats.columns import ColumnParser, Columns
    from formats.columns.clock import Choice, Clock

BRIEF = 1 << 20
"""Bytes of a log that are read at once; see `formats.columns.brief`."""


class LogParser:
    """Parses one log after another, each in as many parts as wanted.

    Args:
        max_texts: distinct names beyond which parsing ends with TooManyTextsError; None: no limit.
        format: of the logs.
        wants: whether records with a label are wanted; None: all. All may be given nevertheless.

    Attributes:
        records: whole records of the log that were parsed.
        end: the offset in the log after the last of them.
    """

    def __init__(
        self,
        max_texts: int | None = None,
        format: Format = METRICS_FORMAT,
        wants: Callable[[str], bool] | None = None,
    ) -> None:
        self._max_texts = max_texts
        self._format = format
        self._wants = wants
        self._parser: ColumnParser
        self._parsed = 0  # bytes of whole records that the parser has seen, of all logs
        self._watch: TailWatch
        self._log: OpenLog
        self._first: int | None  # where the log's records begin; None: after a header not yet read

    def begin(self, log: OpenLog, start: int = 0, end: int | None = None) -> None:
        """Turn to a log.

        Args:
            log: open.
            start, end: the part of it to read; None: to its end. A record begins at `start`.
        """
        log.section(start, log.size if end is None else end)
        self._log = log
        self._first = start if start or self._format.schema.header is None else None
        self._watch = TailWatch(self._format.schema, self._format.roles, start)
        self._renew()

    def read(self, size: int | None = None) -> Columns:
        """The records that are whole with the log's next `size` bytes, or with all that is left.

        Raises:
            TooManyTextsError: see `max_texts`.
        """
        log = self._log
        columns = self._parse(size)
        if self._first is None and columns.end:
            self._first = self.end + columns.start - self._parsed
        roles = self._format.roles
        if columns.seen > columns.count and roles and not has_usual_clocks(roles, columns):
            columns = self._read_again(columns.start)
        end = self.end + columns.end - self._parsed
        self._watch.feed(columns, end, more=not log.exhausted)
        self._parsed = columns.end
        if columns.error is not None:  # nothing after a refused record can be read
            log.section(log.size, log.size)
        return columns

    def _read_again(self, start: int) -> Columns:
        """What was parsed from `start` on, with the records that were left out.

        What is wrong with records can only be found in all of them, and in those before.
        """
        log, recent = self._log, self._watch.recent
        assert recent is not None
        missing, shift = recent.missing_from, self.end - self._parsed
        first, read = start if missing is None else missing, log.size - log.left
        self._parser.choose_all(first)
        log.section(shift + first, log.size)
        if missing is not None:
            recent.complete(self._parse(start - first))
        return self._parse(read - shift - start)

    def _parse(self, size: int | None) -> Columns:
        log = self._log
        left = log.left
        if left <= BRIEF and (size is None or size >= left):
            return self._parser.feed(log.rest())
        if size is None:
            return self._parser.read(log.readinto, left)
        return self._parser.read(log.part(size), size)

    @property
    def records(self) -> int:
        """See the class."""
        return self._watch.records

    @property
    def end(self) -> int:
        """See the class."""
        return self._watch.end

    def status(self) -> TailStatus:
        """What the end of the log is like, once all of it was read."""
        status = self._watch.status(self._log.size)
        if status.kind == "implausible" and self._format.schema.may_refuse:
            zeros = all(not any(block) for block in self._log.blocks(self.end))
            return self._watch.status(self._log.size, only_zeros=zeros)
        if status.kind == "torn" and self._format.roles and self._is_misread(status):
            return replace(status, kind="implausible")
        return status

    def _is_misread(self, status: TailStatus) -> bool:
        """Whether the torn tail is one only since the length of a record is wrong."""
        from formats.damage.salvage import is_misread

        log, first, schema = self._log, self._first, self._format.schema
        roles, offset = self._format.roles, status.offset
        if roles is None or offset is None or first is None:  # it is the header that is torn
            return False

        def read(offset: int, count: int) -> bytes:
            return log.read(first + offset, count)

        return is_misread(schema.records, roles, read, log.size - first, offset - first)

    @property
    def texts_held(self) -> int:
        """Distinct names that are held."""
        return self._parser.texts_held

    def forget(self) -> None:
        """Drop the names held; the log goes on after the last whole record."""
        self._log.section(self.end, self._log.size)
        if self._watch.recent is not None:
            self._watch.recent.forget()
        self._renew()

    def _renew(self) -> None:
        schema = self._format.schema.records if self.end else self._format.schema
        parser, clock_type, choice_type = _column_parser()
        clock = choice = None
        # In a short log that is read whole, the clocks themselves are looked at sooner.
        if self._wants is not None or self._log.size > BRIEF:
            roles = self._format.roles
            if roles is not None and roles.label is not None:  # else clocks may be of any unit
                clock = clock_type(roles.clock, EARLIEST, LATEST)
                choice = self._wants and choice_type(roles.label, self._wants)
        self._parser = parser(schema, self._max_texts, clock, choice)
        self._parsed = 0


def parse_whole(data: bytes, format: Format = METRICS_FORMAT) -> tuple[Columns, TailStatus]:
    """The records of a whole log, and the state of its end; for one of up to BRIEF bytes."""
    columns = _column_parser()[0](format.schema).feed(data)
    return columns, tail_status(format.schema, columns, len(data), format.roles)


@cache
def _column_parser() -> tuple[type[ColumnParser], type[Clock], type[Choice]]:
    from formats.columns import ColumnParser  # brings NumPy, which much of a store does without
    from formats.columns.clock import Choice, Clock

    return ColumnParser, Clock, Choice
