"""Power cuts: every command that writes, on real file systems, on loop devices.

A file holds the file system. What it holds at a moment is what the disk would hold after a power
cut at that moment, since the kernel writes to it only what it would write to a disk. So it is
copied, while the command waits after each call that syncs, renames, makes or removes something, and
after the command has returned; each copy is mounted, and its files are checked. After a cut in the
middle, each experiment or output is as before or as after, and the command, run again, completes.
After the return, all is as the command left it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from expstore import ExperimentStore
from expstore.store.files import placing
from tests.faults.base import Figures, Skip, fork, join
from tests.faults.commands import COMMANDS, Command
from tests.helpers.paths import MEMORY

# Sizes in bytes, near the smallest that the tools accept; the options keep the kernel from writing
# by itself while a command waits. ext4 would sync by itself some files that are replaced.
_SYSTEMS: dict[str, tuple[int, str]] = {
    "ext4": (64 << 20, "noauto_da_alloc,commit=600"),
    "xfs": (300 << 20, "defaults"),
    "btrfs": (128 << 20, "commit=600"),
}
_CALLS: tuple[tuple[Any, str], ...] = (
    (os, "fsync"),
    (os, "fdatasync"),
    (os, "rename"),
    (os, "replace"),
    (os, "mkdir"),
    (os, "unlink"),
    (os, "rmdir"),
    (placing, "_rename"),
)
_RETURNED = "9999 after the return"

Files = dict[str, bytes | None]


def run(directory: Path, *, names: tuple[str, ...] = tuple(COMMANDS)) -> Figures:
    """Each command on each file system, with a cut after each of its calls.

    Raises:
        Skip: loop devices cannot be mounted, or a file system's tools are missing; what could be
            done was done.
    """
    figures: Figures = {"commands": len(names), "device cuts": 0, "lost": 0}
    skipped: dict[str, str] = {}
    for kind in _SYSTEMS:
        with tempfile.TemporaryDirectory(dir=MEMORY or directory) as images:
            try:
                empty = _make(Path(images), kind)
            except Skip as reason:
                skipped[kind] = str(reason)
                continue
            figures[f"cuts on {kind}"] = sum(_cut_through(empty, name) for name in names)
            figures["device cuts"] += figures[f"cuts on {kind}"]
    if skipped:
        raise Skip(f"{skipped} (but {figures})")
    return figures


def _make(directory: Path, kind: str) -> Path:
    """An image of an empty file system, which can be mounted here."""
    tool = shutil.which(f"mkfs.{kind}")
    if tool is None:
        raise Skip(f"mkfs.{kind} is not installed")
    image = directory / kind
    with image.open("wb") as file:
        file.truncate(_SYSTEMS[kind][0])
    done = subprocess.run([tool, "-q", str(image)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"mkfs.{kind}: {done.stderr.strip()}")
    with _mounted(image, directory / "mount"):
        pass
    return image


@contextlib.contextmanager
def _mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount an image, which must not be mounted elsewhere: xfs and btrfs refuse a twin."""
    place.mkdir(exist_ok=True)
    options = f"loop,{_SYSTEMS[image.name.partition('.')[0]][1]}"
    command = ["mount", "-o", options, str(image), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"mount: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _copy(image: Path, target: Path) -> None:
    subprocess.run(["cp", "--sparse=always", str(image), str(target)], check=True)


def _cut_through(empty: Path, name: str) -> int:
    """Perform a command on a copy of an image, cutting after each call; counts the cuts."""
    command, image = COMMANDS[name], empty.with_suffix(".image")
    cuts, mount = empty.with_name("cuts"), empty.with_name("mount")
    cuts.mkdir(exist_ok=True)
    _copy(empty, image)
    with _mounted(image, mount) as place:
        (place / "store").mkdir()
        join(fork(lambda: command.prepare(place)))
        before = _units(place, command)
        subprocess.run(["sync", "-f", str(place)], check=True)
        join(fork(lambda: _act(command, place, image, cuts)))
        _copy(image, cuts / _RETURNED)
        after = _units(place, command)
        assert before != after, "the command did nothing"
    names = sorted(os.listdir(cuts))
    for cut in names:
        # The copy takes the place of the image, since an export knows its store by its path.
        os.replace(cuts / cut, image)
        with _mounted(image, mount) as place:
            check = functools.partial(_check, command, place, before, after, cut == _RETURNED)
            try:
                join(fork(check))
            except AssertionError as error:
                raise AssertionError(f"{empty.name}, {name}, {cut}: {error}") from error
    return len(names)


def _act(command: Command, place: Path, image: Path, cuts: Path) -> None:
    """Perform a command in this process, and copy the image after each call of interest."""
    numbers = count()
    one_at_a_time = threading.Lock()

    def cutting(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **options: Any) -> Any:
            result = call(*args, **options)
            with one_at_a_time:
                number = next(numbers)
                _copy(image, cuts / f"{number:04d} after {call.__name__}")
            return result

        return called

    for owner, name in _CALLS:
        setattr(owner, name, cutting(getattr(owner, name)))
    command.act(place)


def _units(place: Path, command: Command) -> list[Files]:
    """What each unit of the command holds; nothing if it is missing."""
    return [_files(place / unit) for unit in command.units]


def _files(top: Path) -> Files:
    """What is at a path, without unfinished work; the mark of an export changes each time."""
    paths = sorted([top, *top.rglob("*")]) if os.path.lexists(top) else []
    return {
        str(path.relative_to(top)): path.read_bytes()
        if path.is_file() and path.name != "_expstore_export.parquet"
        else None
        for path in paths
        if not path.name.startswith(".")
    }


def _check(
    command: Command, place: Path, before: list[Files], after: list[Files], returned: bool
) -> None:
    """Check what a cut has left; after one in the middle, perform the command again."""
    now = _units(place, command)
    if returned:
        assert now == after, _difference(now, after)
    elif not command.gradual:
        for found, old, new in zip(now, before, after, strict=True):
            assert found in (old, new), _difference([found], [new])
    store = ExperimentStore(place / "store")
    if store.root.exists():
        damaged = [report for report in store.check_all() if not report.ok]
        kinds = {finding.kind for report in damaged for finding in report.findings}
        assert kinds <= {"torn-tail", "set-aside"}, kinds  # which the command was given
    if not returned:
        (command.again or command.act)(place)
        now = _units(place, command)
        if command.repeatable:
            assert now == after, f"run again: {_difference(now, after)}"
        assert [sorted(files) for files in now] == [sorted(files) for files in after], "run again"


def _difference(found: list[Files], wanted: list[Files]) -> str:
    def shown(files: Files) -> dict[str, int | None]:
        return {name: None if data is None else len(data) for name, data in files.items()}

    return f"found {[*map(shown, found)]}, not {[*map(shown, wanted)]} (sizes in bytes)"
