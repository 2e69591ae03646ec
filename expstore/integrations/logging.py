"""The standard library's `logging`, kept with a run: `files/console.log`.

    with expstore.start() as run, RunHandler(run):
        logging.getLogger(__name__).info("epoch %d", 3)

Guarantees: nothing is kept unless a handler is made. A record is in the file when the logging call
returns, as one line or more in the logging library's own format; a failure to write is handled as
that library says, and never ends the program. In a program that `expstore run` started, which keeps
the console itself, the file is `files/logging.log`, so that no line is there twice.
"""

from __future__ import annotations

import logging
from typing import Self

from expstore.integrations.console import NAME, ConsoleLog
from expstore.store.run import Run

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""How records are written, unless `setFormatter` says otherwise."""

_OF_JOINED = "logging.log"


class RunHandler(logging.Handler):
    """Keeps what a logger logs with a run; a context manager.

    Args:
        run: the run.
        level: records below it are left out.
        logger: the one that it is added to, until `close`; None: the root logger. (The root
            logger's own level is WARNING, unless `logging.basicConfig(level=...)` changes it.)

    Attributes:
        name_of_file: where the records are, below `files/`.

    Raises:
        ExperimentNotFoundError, UnreadableFileError: the file cannot be opened.
    """

    def __init__(
        self, run: Run, level: int | str = logging.NOTSET, logger: logging.Logger | None = None
    ) -> None:
        super().__init__(level)
        self.name_of_file = _OF_JOINED if run.joined else NAME
        self._log = ConsoleLog(run.files, self.name_of_file)
        self._logger = logging.getLogger() if logger is None else logger
        self.setFormatter(logging.Formatter(FORMAT))
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            self._log.write((self.format(record) + "\n").encode("utf-8", "backslashreplace"))
            if self._log.error is not None:
                raise self._log.error
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Remove it from its logger, and close the file; a second call does nothing."""
        self._logger.removeHandler(self)
        self.acquire()
        try:
            self._log.close()
        finally:
            self.release()
        super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
