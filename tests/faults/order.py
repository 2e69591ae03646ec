"""Every command that writes: what gets a name is synced before it, and the directory after it.

The system calls of each command, as strace sees them, are replayed by a small model of a file
system that loses everything that was not synced. It needs no device; `power` does the same with
real file systems.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.faults import strace
from tests.faults.base import Figures, fork, join
from tests.faults.commands import COMMANDS, Command

_CALLS = (
    "openat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,write,"
    "pwrite64,writev,pwritev,copy_file_range,sendfile,ftruncate,fsync,fdatasync,syncfs"
)
_DATA = {"write", "pwrite64", "writev", "pwritev", "ftruncate", "copy_file_range", "sendfile"}
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')


def run(directory: Path, *, names: tuple[str, ...] = tuple(COMMANDS)) -> Figures:
    """Trace each command, and replay its calls.

    Raises:
        Skip: strace is missing, or may not attach to a process here.
    """
    strace.require()
    figures = {"commands": 0, "syncs": 0, "names given": 0, "lost": 0}
    for name in names:
        place = directory / re.sub(r"\W+", "-", name)
        disk = _replayed(place, COMMANDS[name])
        lost = [*disk.faults, *disk.lost()]
        assert not lost, f"{name}: after a power cut: {'; '.join(lost)}"
        assert disk.syncs, f"{name}: no sync at all, so nothing was tested"
        figures["commands"] += 1
        figures["syncs"] += disk.syncs
        figures["names given"] += disk.named
    return figures


def _replayed(place: Path, command: Command) -> Disk:
    (place / "store").mkdir(parents=True)
    join(fork(lambda: command.prepare(place)))
    before = {str(path) for path in place.rglob("*")}
    log = place.with_suffix(".strace")

    def act() -> None:
        try:
            command.act(place)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    code = strace.trace(act, log, "-s", "0", "-e", f"trace={_CALLS}")
    assert code == 0, f"exit code {code}"
    disk = Disk(str(place), before)
    for call, arguments, result in _calls(log.read_text(errors="surrogateescape")):
        disk.replay(call, arguments, result)
    return disk


def _calls(log: str) -> Iterator[tuple[str, str, str]]:
    """Each call that succeeded, with its arguments and result; calls of several threads mix."""
    begun: dict[str, str] = {}
    for line in log.splitlines():
        process, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            begun[process] = rest.removesuffix("<unfinished ...>")
            continue
        rest = re.sub(r"^<\.\.\. \w+ resumed>", lambda _: begun.pop(process, ""), rest)  # noqa: B023
        found = re.fullmatch(r"(\w+)\((.*)\)\s+= (\d.*)", rest)
        if found:
            yield found[1], found[2], found[3]


class Disk:
    """What of a directory tree would survive a power cut.

    Args:
        top: the tree.
        known: the paths in it, all on disk.

    Attributes:
        faults: names that were given to content that was not on disk.
        syncs, named: the number of syncs, and of names given by renaming.
    """

    def __init__(self, top: str, known: set[str]) -> None:
        self._top = top + "/"
        self._known = {top, *known}
        self._dirty: set[str] = set()  # files with content that is not on disk
        self._unnamed: set[str] = set()  # entries that their directory has not on disk
        self.faults: list[str] = []
        self.syncs = self.named = 0

    def replay(self, call: str, arguments: str, result: str) -> None:
        """Take note of a call that succeeded."""
        paths = [
            os.path.normpath(os.path.join(base, name)) for base, name in _PATH.findall(arguments)
        ]
        if call == "openat":
            if "O_CREAT" in arguments and paths[0] not in self._known:
                self._create(paths[0])
        elif call in ("mkdir", "mkdirat"):
            self._create(paths[0])
        elif call in _DATA:
            self._dirty |= self._inside(_open_path(arguments))
        elif call in ("fsync", "fdatasync"):
            self._sync(_open_path(arguments))
        elif call == "syncfs":
            self._dirty, self._unnamed = set(), set()
        elif call.startswith("rename"):
            self._rename(*paths, exchange="RENAME_EXCHANGE" in arguments)
        elif call.startswith("link"):
            self._create(paths[1])
        else:
            self._known.discard(paths[0])
            self._dirty.discard(paths[0])
            self._unnamed |= self._inside(paths[0])

    def lost(self) -> Iterator[str]:
        """What the command left that a power cut takes away."""
        for path in sorted(self._dirty & self._known):
            if not _hidden(path, self._top):
                yield f"{path} has lost content"
        for path in sorted(self._unnamed):
            if not _hidden(path, self._top):
                yield f"{path} {'is lost' if path in self._known else 'is back'}"

    def _inside(self, path: str) -> set[str]:
        return {path} if path.startswith(self._top) else set()

    def _create(self, path: str) -> None:
        if self._inside(path):
            self._known.add(path)
            self._unnamed.add(path)

    def _sync(self, path: str) -> None:
        if path + "/" == self._top or self._inside(path):
            self.syncs += 1
            self._dirty.discard(path)
            self._unnamed = {one for one in self._unnamed if os.path.dirname(one) != path}

    def _rename(self, source: str, target: str, *, exchange: bool) -> None:
        if not self._inside(target):
            return
        if not _hidden(target, self._top):
            self.named += 1
            self.faults += [
                f"{target} gets its name before {os.path.relpath(path, source)} is on disk"
                for path in sorted(self._dirty | (self._unnamed - {source}))
                if _within(path, source)
            ]
        for paths in (self._known, self._dirty, self._unnamed):
            moved = {path for path in paths if _within(path, source)}
            replaced = {path for path in paths if _within(path, target)}
            paths.difference_update(moved, replaced)
            paths.update(target + path.removeprefix(source) for path in moved)
            if exchange:
                paths.update(source + path.removeprefix(target) for path in replaced)
        self._known.add(target)
        self._unnamed |= {source, target}


def _within(path: str, top: str) -> bool:
    return path == top or path.startswith(top + "/")


def _hidden(path: str, top: str) -> bool:
    """Whether it has the name of unfinished work, or is below such a name."""
    return any(part.startswith(".") for part in path.removeprefix(top).split("/"))


def _open_path(arguments: str) -> str:
    found = re.match(r"\d+<(.*?)>", arguments)
    return found[1] if found else ""
