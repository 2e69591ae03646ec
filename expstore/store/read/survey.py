"""How a log ends, found by parsing all of it.

Guarantees: nothing is written; memory does not grow with the log, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from expstore.model.values import METRICS_FORMAT
from expstore.store.files.directory import OpenLog
from expstore.store.files.local import FileLog
from expstore.store.read.parser import LogParser
from formats import Format, TailStatus, TruncatedError
from formats.walk import read_value

if TYPE_CHECKING:
    from formats.columns import Columns

_BLOCK = 1 << 20  # bytes parsed at a time
_TEXTS = 1 << 16  # distinct texts remembered meanwhile


def scan_log(
    log: OpenLog,
    start: int = 0,
    parser: LogParser | None = None,
    look: Callable[[Columns, int], None] | None = None,
    forget: Callable[[], None] | None = None,
    format: Format = METRICS_FORMAT,
) -> tuple[TailStatus, int]:
    """A log's status and its number of whole records, in bounded memory.

    Args:
        log: the open log.
        start: an offset that ends a record; what precedes it is neither read nor counted.
        parser: the one to use, whose `end` tells where the records end; None: a new one.
        look: called with each part's columns, and the index of its first record.
        forget: called where the codes of texts begin anew, in a log of very many texts.
        format: of the log, where there is no parser.
    """
    parser = parser or LogParser(format=format)
    parser.begin(log, start)
    while not log.exhausted:
        first = parser.records
        columns = parser.read(_BLOCK)
        if look is not None:
            look(columns, first)
        if parser.texts_held > _TEXTS:
            parser.forget()
            if forget is not None:
                forget()
    return parser.status(), parser.records


def tail_of(descriptor: int, format: Format = METRICS_FORMAT) -> TailStatus:
    """How a log ends, through a descriptor of the log."""
    return scan_log(FileLog(descriptor), format=format)[0]


def header_of(log: OpenLog, format: Format) -> tuple[dict[str, Any] | None, int]:
    """The values of a log's header, and its size in bytes; None and 0 if it is not there.

    Raises:
        FormatError: it is not the declared one.
    """
    header, size = format.schema.header, _BLOCK
    while header is not None:
        try:
            return read_value(header, log.read(0, size))
        except TruncatedError:
            if size >= log.size:
                break
            size *= 2
    return None, 0
