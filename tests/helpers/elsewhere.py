"""A Python without what only POSIX has, and with what Windows forbids, as far as Linux can play it.

    python -m pytest -p tests.helpers.elsewhere tests/compare/test_where.py

As a plugin of pytest, this module takes away the modules `fcntl`, `pwd` and the like, and the
functions, flags and signals that Windows lacks, before `expstore` is imported; in a program,
`take_away` does. From then on, no call takes a descriptor of a directory, `os.rename` replaces
nothing, and what is open is neither renamed, replaced nor deleted.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.process
import ctypes
import errno
import getpass
import logging.handlers
import multiprocessing.popen_spawn_posix
import multiprocessing.resource_tracker
import os
import pathlib
import random
import shutil
import signal
import socketserver
import ssl
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from importlib import import_module
from typing import Any

import numpy

# Libraries that have code for Windows, and here choose what they do by `sys.platform`.
_LIBRARIES = """
    duckdb pandas polars psutil pyarrow.parquet starlette.testclient textual.app
    matplotlib.pyplot IPython.core.page rich.console typer.testing yaml
"""
# Imported above, since they need what is taken away, or choose by it, when they are imported.
_NEEDED = (
    asyncio, concurrent.futures.process, getpass, logging.handlers, multiprocessing,
    numpy, pathlib, random, socketserver, ssl, subprocess, tempfile, uuid,
)  # fmt: skip

MODULES = """
    fcntl grp posix pty pwd resource syslog termios tty
"""
FUNCTIONS = """
    chown chroot confstr copy_file_range eventfd fchdir fchmod fchown fdatasync fork forkpty
    fpathconf fstatvfs getegid geteuid getgid getgroups getloadavg getpgid getpgrp getpriority
    getsid getuid getxattr initgroups lchown listxattr lockf major memfd_create minor mkfifo
    mknod nice openpty pathconf pidfd_open pipe2 posix_fadvise posix_fallocate posix_spawn
    posix_spawnp pread preadv pwrite pwritev readv register_at_fork removexattr
    sched_getaffinity sched_setaffinity set_blocking setsid setxattr splice statvfs sync
    sysconf tcgetpgrp tcsetpgrp ttyname uname wait3 wait4 writev
"""
FLAGS = """
    O_ACCMODE O_ASYNC O_CLOEXEC O_DIRECT O_DIRECTORY O_DSYNC O_LARGEFILE O_NDELAY O_NOATIME
    O_NOCTTY O_NOFOLLOW O_NONBLOCK O_PATH O_RSYNC O_SYNC O_TMPFILE
"""
SIGNALS = """
    SIGHUP SIGIO SIGPIPE SIGPOLL SIGQUIT SIGTSTP SIGURG SIGUSR1 SIGUSR2 SIGWINCH SIGXCPU
    SIGXFSZ pthread_sigmask sigtimedwait sigwait sigwaitinfo
"""
_DIRECTORY_CALLS = """
    access link mkdir open readlink replace rename rmdir stat symlink unlink
"""
_real = {name: getattr(os, name) for name in (*_DIRECTORY_CALLS.split(), "scandir", "listdir")}


def _is_open(path: Any, *, below: bool) -> bool:
    """Whether this process has a file open, or one in a directory."""
    place = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    place = os.path.join(place, os.path.basename(os.fsdecode(path)))
    for number in _real["listdir"]("/proc/self/fd"):
        try:
            found = _real["readlink"](f"/proc/self/fd/{number}")
        except OSError:
            continue
        if found == place or (below and found.startswith(place + "/")):
            return True
    return False


def _refuse_open(path: Any, *, below: bool = False) -> None:
    if _is_open(path, below=below):
        raise PermissionError(errno.EACCES, "another process is using the file", os.fsdecode(path))


def _without_directories(name: str) -> Callable[..., Any]:
    """A call that takes no descriptor of a directory."""
    real = _real[name]

    @wraps(real)
    def call(*arguments: Any, **options: Any) -> Any:
        for option in ("dir_fd", "src_dir_fd", "dst_dir_fd"):
            if options.pop(option, None) is not None:
                raise NotImplementedError(f"{option} unavailable on this platform")
        if name in ("rename", "replace"):
            _refuse_open(arguments[0], below=True)
            _refuse_open(arguments[1])
            if name == "rename" and os.path.lexists(arguments[1]):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(arguments[1]))
            if os.path.isdir(arguments[0]) and os.path.lexists(arguments[1]):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(arguments[1]))
        elif name in ("unlink", "rmdir"):
            _refuse_open(arguments[0])
        elif name == "open" and os.path.isdir(arguments[0]):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(arguments[0]))
        return real(*arguments, **options)

    return call


def _by_path(name: str) -> Callable[..., Any]:
    """A call that lists a directory by its path only."""
    real = _real[name]

    @wraps(real)
    def call(path: Any = ".") -> Any:
        if isinstance(path, int):
            raise TypeError(f"{name}: path should be string, bytes, os.PathLike or None, not int")
        return real(path)

    return call


class _Library(ctypes.CDLL):
    """A library, but not the program's own."""

    def __init__(self, name: str | None, *arguments: Any, **options: Any) -> None:
        if name is None:
            raise TypeError("a library needs a name")
        super().__init__(name, *arguments, **options)


def take_away() -> None:
    """Take it all away, for as long as the process lives."""
    assert "expstore.store" not in sys.modules, "expstore was imported before"
    for name in MODULES.split():
        sys.modules[name] = None  # type: ignore[assignment]
    for owner, names in ((os, FUNCTIONS), (os, FLAGS), (signal, SIGNALS)):
        for name in names.split():
            if hasattr(owner, name):
                delattr(owner, name)
    for name in _DIRECTORY_CALLS.split():
        setattr(os, name, _without_directories(name))
    os.remove = os.unlink
    for name in ("scandir", "listdir"):
        setattr(os, name, _by_path(name))
    os.supports_dir_fd = set()
    os.supports_fd = {os.stat, os.truncate}
    os.supports_follow_symlinks = {os.stat}
    ctypes.CDLL = _Library  # type: ignore[misc]
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    if "_pytest.tmpdir" in sys.modules:
        sys.modules["_pytest.tmpdir"].get_user_id = lambda: None  # type: ignore[attr-defined]


def pytest_load_initial_conftests() -> None:
    """Before the first file of tests is read, and after other plugins, some of which need more."""
    for name in _LIBRARIES.split():
        with suppress(ImportError):
            import_module(name)
    take_away()
