"""Syncing: what was written is on the medium when a call returns, on each system by its own call.

Guarantees: on macOS, where `fsync` leaves data in the drive's cache, the drive is told to write
that too, as far as the file system can.
"""

from __future__ import annotations

import errno
import os
import sys

_NO_FULL_SYNC = (errno.ENOTSUP, errno.ENOTTY, errno.EINVAL)  # of network file systems, and others


def sync(descriptor: int) -> None:
    """Write a file's data and metadata, or a directory's entries, to the medium.

    Raises:
        OSError: as the system call does; what was written since the last call is in doubt.
    """
    if sys.platform == "darwin":
        import fcntl

        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError as error:
            if error.errno not in _NO_FULL_SYNC:
                raise
    os.fsync(descriptor)


def sync_data(descriptor: int) -> None:
    """As `sync`; metadata only as far as reading the data needs it.

    Raises:
        OSError: as the system call does; what was written since the last call is in doubt.
    """
    if sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        sync(descriptor)
