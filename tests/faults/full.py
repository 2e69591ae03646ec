"""A full disk and a file size limit: appends are refused, and no record is misaligned."""

from __future__ import annotations

import contextlib
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from expstore import ExperimentStore, NoSpaceError, TornTailError
from expstore.store.append import space
from tests.faults.base import Figures, Skip, check_steps, fork, join, read_log

_TMPFS, _EXT4 = 64 << 10, 2 << 20  # bytes


@contextlib.contextmanager
def _mounted(directory: Path, *options: str) -> Iterator[Path]:
    directory.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", *options, str(directory)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Skip(f"mount: {done.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@contextlib.contextmanager
def tmpfs(directory: Path) -> Iterator[Path]:
    """A file system of 64 KiB in memory."""
    with _mounted(directory / "tmpfs", "-t", "tmpfs", "-o", f"size={_TMPFS}", "tmpfs") as mounted:
        yield mounted


@contextlib.contextmanager
def ext4(directory: Path) -> Iterator[Path]:
    """An ext4 file system of 2 MiB in a file."""
    if not shutil.which("mkfs.ext4"):
        raise Skip("mkfs.ext4 is not installed")
    image = directory / "image"
    with image.open("wb") as file:
        file.truncate(_EXT4)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", str(image)], check=True)
    with _mounted(directory / "ext4", "-o", "loop", str(image)) as mounted:
        yield mounted


@contextlib.contextmanager
def limit(directory: Path) -> Iterator[Path]:
    """No file larger than 50,001 bytes (RLIMIT_FSIZE), in this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_001, before[1]))
    try:
        yield directory
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


Place = Callable[[Path], contextlib.AbstractContextManager[Path]]
PLACES: dict[str, Place] = {
    "tmpfs of 64 KiB": tmpfs,
    "ext4 on a loop device": ext4,
    "RLIMIT_FSIZE": limit,
}


def run(directory: Path, *, rounds: int = 20) -> Figures:
    """In each place, `rounds` times: fill it, be refused, make room, and go on.

    Raises:
        Skip: some places cannot be made here; the others were tested.
    """
    figures: Figures = {}
    skipped = {}
    for place, make in PLACES.items():
        for reserving in (True, False):
            key = place + ("" if reserving else ", nothing reserved")
            where = directory / key.replace(" ", "-").replace(",", "")
            where.mkdir()
            try:
                with make(where):
                    pass  # Skip must be raised in this process
            except Skip as reason:
                skipped[place] = str(reason)
                continue
            join(fork(partial(_fill_in, make, where, rounds, reserving)))
            figures[key] = f"{rounds} rounds, 0 misaligned"
    if skipped:
        raise Skip(f"{skipped} (but {figures})")
    return figures


def _fill_in(make: Place, where: Path, rounds: int, reserving: bool) -> None:
    with make(where) as mounted:
        _fill(mounted, rounds, reserving)


def _fill(mounted: Path, rounds: int, reserving: bool) -> None:
    if not reserving:  # as on a file system without fallocate, and without checking the limit
        space.ReservedSpace.reserve = lambda *_: None  # type: ignore[method-assign]
    store = ExperimentStore(mounted)
    limited, unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    for number in range(rounds):
        commit_id = f"run{number}"
        store.create_experiment(commit_id)
        ballast = store.files_path(commit_id) / "ballast"
        ballast.write_bytes(bytes(8192))
        size = 30 + number * 7 % 220  # varied, so that space ends at any byte of a record
        names = ["n" * size + str(me) for me in (0, 1)]
        acknowledged, refused = [0, 0], [0, 0]
        with contextlib.ExitStack() as stack:
            # One writer, which has the log to itself, or two, which share it.
            writers = [stack.enter_context(store.writer(commit_id)) for _ in range(1 + number % 2)]
            while min(refused[: len(writers)]) < 2:
                for me, writer in enumerate(writers):
                    try:
                        writer.log(names[me], 0.5, acknowledged[me])
                        acknowledged[me] += 1
                    except (NoSpaceError, TornTailError):
                        refused[me] += 1
            if reserving or len(writers) == 1:
                _check(store.metrics_path(commit_id), names, acknowledged)
        # There is room again; the next writer cuts what could not be cut before.
        ballast.unlink()
        resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
        for me in (0, 1):
            store.log_metric(commit_id, names[me], 0.5, acknowledged[me])
            acknowledged[me] += 1
        _check(store.metrics_path(commit_id), names, acknowledged)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limited, unlimited))
        store.delete_experiments([commit_id])


def _check(log: Path, names: list[str], acknowledged: list[int]) -> None:
    records, rest = read_log(log)
    assert rest == 0, f"{rest} bytes of a torn record are left"
    assert len(records) == sum(acknowledged), "a record is lost, or was never written"
    for name, count in zip(names, acknowledged, strict=True):
        check_steps(records, name, count)
