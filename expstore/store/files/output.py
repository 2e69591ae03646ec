"""Files that a user names: exports, reports and pictures.

Guarantees: a file takes its name only when it is whole and on the disk, so a reader sees the old
content or the new, never a mixture; what is no regular file is not replaced; what is being written
has a name that UNFINISHED matches, and an error leaves nothing of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from expstore.errors import ExpStoreError, OutputExistsError
from expstore.store.files import layout, system

UNFINISHED = re.compile(r"\.expstore-[0-9a-f]{16}\.tmp")
"""The names of files that are being written, or that an interruption left."""


def unfinished_name() -> str:
    """A new name that UNFINISHED matches."""
    return layout.temporary_name(".expstore-") + ".tmp"


def check_output(output: Path, *, force: bool) -> None:
    """Refuse an output that may not be written.

    Args:
        output: the file to write.
        force: replace it where it exists.

    Raises:
        OutputExistsError: it exists, and is not to be replaced, or is no regular file.
    """
    if not os.path.lexists(output):
        return
    if not force:
        raise OutputExistsError(f"{output}: is there already; force replaces it")
    if not output.is_file():
        raise OutputExistsError(f"{output}: is no regular file, and is not replaced")


@contextmanager
def whole_file(output: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the name `output` when the block ends without an error.

    Raises:
        OutputExistsError: something is there that is no regular file.
        NoSpaceError, UnreadableFileError: the file system refuses; what was there before stays.
    """
    check_output(output, force=True)
    output = output.resolve()
    temporary = output.with_name(unfinished_name())
    try:
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, output)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        system.sync_directory(output.parent)
    except OSError as error:
        if isinstance(error, ExpStoreError):
            raise
        raise system.unwritable(output, error) from error


def write_output(path: Path, data: bytes) -> None:
    """Write a whole file; see `whole_file`."""
    with whole_file(path) as file:
        file.write(data)
