"""RecordLog: one file of records in any declared format, outside any experiment.

Guarantees: those of an experiment's log. Each append is one write of whole records, also while
other processes append; a torn tail is set aside and cut before anything follows it; nothing that
the format refuses is written; repair and salvage destroy no byte. A header, if one is declared, is
written once, before the first record. The file is open only during a call, so an object holds
nothing that would have to be closed, and survives a fork.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.errors import ExperimentNotFoundError, LogNotFoundError, UnreadableFileError
from expstore.store.append import forks
from expstore.store.append.reopened import ReopenedLog
from expstore.store.files import system
from expstore.store.files.output import check_output, whole_file
from expstore.store.files.place import open_directory, open_log
from expstore.store.files.systems.native import own
from expstore.store.read.follow import LogFollower
from expstore.store.read.parser import LogParser
from expstore.store.read.survey import header_of, scan_log
from formats import FieldValueError, Format, FormatError, UnsupportedSchema

if TYPE_CHECKING:
    from expstore.store.care.findings import CheckReport
    from expstore.store.care.mend import RepairReport
    from expstore.store.care.salvage import SalvageReport
    from formats import Roles
    from formats.columns import Columns


class RecordLog:
    """A file of records, such as a sensor's samples, that many processes may append to.

    Threads and forked processes may share it. The file and its header are created by the first
    append.

    Args:
        path: the file; its directory must exist. Links are followed now, and not again later.
        declaration: a `construct` declaration of the records, or of a header and the records; or
            its Format.
        header: the values of the header's fields, for a log that is created or empty; not needed
            if each has a value of its own, such as a constant. An existing header stays as it is.
        roles: the fields by which damage is recognised, unless the Format has them; see
            `formats.Roles`.

    Attributes:
        path: the file, as an absolute path.
        format: its Format.

    Raises:
        UnsupportedSchema: the declaration cannot be expressed, is not one of records, or has a
            field that may be absent; or a role is not that of a fitting field.
        FieldValueError: a value that the header cannot hold.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        declaration: Any,
        *,
        header: Mapping[str, Any] | None = None,
        roles: Roles | None = None,
    ) -> None:
        self.path = Path(path).resolve()
        self.format = Format.of(declaration, roles)
        self.format.check_roles()
        self.format.schema.require_columns()
        self._header = self._build_header(dict(header or {}), given=header is not None)
        self.lock = threading.Lock()  # see `forks.Guarded`
        self._log: ReopenedLog | None = None  # closed, but it knows where it ended
        forks.watch_guarded(self)

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have been appending."""
        self.lock, self._log = threading.Lock(), None

    def _build_header(self, values: dict[str, Any], *, given: bool) -> bytes | None:
        """The header's bytes; None if values are missing, so that only an existing log will do."""
        codec = self.format.codec.header
        if codec is None:
            if given:
                raise FieldValueError("header values are given, but the format declares no header")
            return b""
        known = {field.name for field in codec.schema.named}
        if unknown := values.keys() - known:
            raise FieldValueError("the header has no such field", field=min(unknown))
        missing = [f.name for f in codec.schema.named if f.is_required and f.name not in values]
        if missing and given:
            raise FieldValueError("the header needs a value", field=missing[0])
        return None if missing else codec.build(**values)

    def append(self, **values: Any) -> None:
        """Append one record; it is readable, by anyone, when the call returns.

        Args:
            values: by field name. Fields that have a value of their own may be omitted.

        Raises:
            FieldValueError: a value that its field cannot hold, or a missing one; nothing is
                written.
            LogNotFoundError: the directory is missing; or the log, whose header needs values.
            FormatError: the file has another header, or a record that the format refuses.
            NoSpaceError, ShortWriteError, TornTailError: see `AppendLog.append`.
        """
        self._check_names(values)
        self._append(self.format.codec.build(**values))

    def append_many(self, columns: Mapping[str, Any]) -> None:
        """Append many records in one write: all of them, or none.

        Args:
            columns: arrays or lists of equal length by field name; see `formats.build_columns`.

        Raises:
            As `append`.
        """
        from formats.columns import build_columns

        self._append(build_columns(self.format.schema, columns))

    def _check_names(self, values: Mapping[str, Any]) -> None:
        fields = self.format.schema.named
        if unknown := values.keys() - {field.name for field in fields}:
            raise FieldValueError("is not declared", field=min(unknown))
        for field in fields:
            if field.is_required and field.name not in values:
                raise FieldValueError("is missing", field=field.name)

    def _append(self, data: bytes) -> None:
        if self._header is None and not self.path.exists():
            raise LogNotFoundError(f"{self.path}: no such log; to create it, give `header` values")
        with self.lock, self._missing_directory():
            if self._log is None:
                self._log = ReopenedLog(self.path, self.format, header=self._header or b"")
            self._log.append_once(data)

    @contextmanager
    def _missing_directory(self) -> Iterator[None]:
        try:
            yield
        except ExperimentNotFoundError:
            raise LogNotFoundError(f"{self.path.parent}: no such directory") from None

    def read(self) -> Columns:
        """All whole records as columns; what is torn at the end is left out.

        A record that the format refuses ends them, and is reported in the columns' `error`.

        Raises:
            FormatError: the file has another header.
            LogNotFoundError: the directory is missing; a missing file is an empty log.
            UnreadableFileError: not a regular file, or no permission.
        """
        with self._missing_directory(), open_log(self.path) as log:
            parser = LogParser(format=self.format)
            parser.begin(log)
            columns = parser.read()
        if columns.error is not None:
            columns.error.at(source=str(self.path))
            if parser.end == 0 and self.format.schema.header is not None:
                raise columns.error
        return columns

    def read_header(self) -> dict[str, Any] | None:
        """The values of the header; None if the format or the file has none.

        Raises:
            FormatError: the file has another header.
            LogNotFoundError, UnreadableFileError: as `read`.
        """
        with self._missing_directory(), open_log(self.path) as log:
            try:
                return header_of(log, self.format)[0]
            except FormatError as error:
                raise error.at(source=str(self.path)) from None

    def follow(
        self,
        offset: int = 0,
        *,
        interval: float = 0.5,
        sleep: Callable[[float], object] = time.sleep,
    ) -> LogFollower[Columns]:
        """The records from an offset on, and then as they are appended; see `LogFollower`.

        Args:
            offset: 0, or the `offset` that an earlier follower had.
            interval: seconds between two looks at the file, while iterating.
            sleep: waits that long.

        Raises:
            LogNotFoundError: the directory is missing.
        """
        with self._missing_directory():
            return LogFollower(
                self.path, offset, self.format, _columns, interval=interval, sleep=sleep
            )

    def check(self) -> CheckReport:
        """What is wrong with the file, without changing it.

        Raises:
            LogNotFoundError: the directory is missing.
        """
        from expstore.store.care.check import check_log
        from expstore.store.care.findings import CheckReport

        with self._missing_directory(), open_directory(self.path.parent) as directory:
            name = self.path.name
            findings, records, size = check_log(directory, name, format=self.format)
            if findings and (cause := self._other_header()):
                findings = [replace(one, detail=f"{one.detail}: {cause}") for one in findings]
        return CheckReport(None, tuple(findings), records, size)

    def _other_header(self) -> str:
        """Why the file's header is not the declared one; empty if it is, or is not whole."""
        try:
            self.read_header()
        except FormatError as error:
            return str(error.at(source=""))
        except UnreadableFileError:
            return ""  # which is a finding of its own
        return ""

    def repair(self, *, force: bool = False) -> RepairReport:
        """Cut a torn tail, or one of zeros, and keep its bytes in `<name>.torn-<offset>`.

        Args:
            force: also while others have the file open; what they append meanwhile may be lost.

        Raises:
            TornTailError: others have the file open; nothing was cut.
            LogNotFoundError, UnreadableFileError: the file cannot be opened.
        """
        from expstore.store.care.mend import repair

        with self._missing_directory():
            return repair(self.path, force=force, format=self.format)

    def salvage(self, target: str | os.PathLike[str]) -> SalvageReport:
        """Copy the whole records of a damaged file into a new one, which appears when complete.

        The new file has this one's header, or the one that `header` gives if that is damaged.

        Raises:
            OutputExistsError: the target exists.
            UnsupportedSchema: the file is misaligned, and the format has no Roles to find records
                by; or its header is damaged, and there are no values for another.
            LogNotFoundError, UnreadableFileError: the file cannot be read.
            NoSpaceError, UnreadableFileError: the target cannot be written; nothing of it is left.
        """
        from expstore.store.care.salvage import copy_whole, header_size

        made = Path(target).absolute()
        check_output(made, force=None)
        with self._missing_directory(), open_log(self.path) as log:
            if not log.exists:
                raise LogNotFoundError(f"{self.path}: no such log")
            header = log.read(0, header_size(log, self.format)) or self._header
            if header is None:
                raise UnsupportedSchema("the header is damaged; open the log with `header` values")
            status, records = scan_log(log, format=self.format)
            with whole_file(made, copied=self.path) as file:
                file.write(header)
                return copy_whole(log, status, records, file, self.path, made, self.format)

    def sync(self) -> None:
        """Have all that was appended on the disk before returning, as after a power failure.

        Raises:
            LogNotFoundError: the directory is missing.
            UnreadableFileError: there is no such file, or the disk fails.
        """
        with (
            self._missing_directory(),
            system.open_experiment(self.path.parent) as directory,
            system.typed_errors(self.path),
            system.open_regular(self.path, system.READ, directory) as descriptor,
        ):
            own.sync(descriptor)
            system.sync_entries(directory)

    def __repr__(self) -> str:
        return f"RecordLog({str(self.path)!r}, {self.format.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a RecordLog cannot be pickled; open the log anew in each process")


def _columns(columns: Columns, status: object) -> Columns:
    return columns
