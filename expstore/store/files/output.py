"""Output files: exports, reports and pictures.

Guarantees: a file appears under its name only when complete and on disk, so a reader sees the old
content or the new, never a mixture. Only a regular file is replaced, and its mode and owner are
kept. While a file is written, its
name matches UNFINISHED; after an error it is removed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from expstore.errors import OutputExistsError
from expstore.store.files import access, layout, system
from expstore.store.files.atomic import take_name

UNFINISHED = re.compile(r"\.expstore-[0-9a-f]{16}\.tmp")
"""Matches the names of files being written, or left behind by an interruption."""


def unfinished_name() -> str:
    """A new name that UNFINISHED matches."""
    return layout.temporary_name(".expstore-") + ".tmp"


def check_output(output: Path, *, force: bool) -> None:
    """Check that an output may be written.

    Args:
        output: the file to write.
        force: allow an existing file to be replaced.

    Raises:
        OutputExistsError: it exists, and may not be replaced or is not a regular file.
    """
    if not os.path.lexists(output):
        return
    if not force:
        raise OutputExistsError(f"{output}: already exists; use force to replace it")
    if not output.is_file():
        raise OutputExistsError(f"{output}: not a regular file, so it is not replaced")


@contextmanager
def whole_file(output: Path, *, copied: Path | None = None) -> Iterator[IO[bytes]]:
    """A file to write to, which appears as `output` when the block ends without an error.

    Args:
        output: the file.
        copied: the file that it is a copy of, whose mode and owner it gets; it then replaces none.

    Raises:
        OutputExistsError: the path exists and is not a regular file, or `copied` is given.
        NoSpaceError, UnreadableFileError: the file cannot be written; the old one is kept.
    """
    check_output(output, force=copied is None)
    output = output.resolve()
    temporary = output.with_name(unfinished_name())
    with system.typed_errors(output):
        try:
            old = access.status_of(copied or output)
            with (
                access.new_file(temporary, old) as descriptor,
                open(descriptor, "wb", closefd=False) as file,
            ):
                if old is not None:
                    access.keep_access(descriptor, old)
                yield file
                file.flush()
                os.fsync(descriptor)
            if copied is None:
                os.replace(temporary, output)
            else:
                take_name(temporary, output)
        except FileExistsError:
            temporary.unlink(missing_ok=True)
            raise OutputExistsError(f"{output}: already exists") from None
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        system.sync_directory(output.parent)


def write_output(path: Path, data: bytes) -> None:
    """Write a file atomically; see `whole_file`."""
    with whole_file(path) as file:
        file.write(data)
