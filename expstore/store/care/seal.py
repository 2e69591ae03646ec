"""Seals: SHA-256 sums by which later changes to an experiment's files are noticed.

Guarantees: a seal covers meta.bin, metrics.bin, run.json and every regular file below files/, as
they are when they are read; no link is followed. It is replaced atomically and is on disk when
`seal` returns; one that no longer holds is never replaced unless forced, so rot is not sealed as
if it were data. (Nor is damage that shows without a seal: the caller checks that first.) Nothing
else is written. Memory does not grow with the files, only with their number.

`sha256sum -c` verifies a seal too. A log may grow after it was sealed, so its size at the time is
in a comment, which `sha256sum` skips; formats/README.md specifies the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from expstore.errors import (
    ExperimentNotFoundError,
    ExpStoreError,
    SealError,
    UnreadableFileError,
    listed,
)
from expstore.store.care import sums
from expstore.store.care.sums import Sums
from expstore.store.files import atomic, layout, system
from expstore.store.files.directory import Directory, OpenLog
from expstore.store.files.local import LocalDirectory
from formats.errors import counted

Progress = Callable[[int, int], object]
"""Called with the bytes read so far, and those to read in total."""

_GONE = "was sealed, and is gone"
# How a missing directory shows, as does one that a link has replaced; see `subdirectory`.
_MISSING = FileNotFoundError, NotADirectoryError, ExperimentNotFoundError
_LIMIT = 1 << 28  # bytes of a seal, of about two million files


@dataclass(frozen=True)
class SealReport:
    """What was sealed.

    Attributes:
        path: the file that holds the sums.
        files: how many files it covers.
        size: their size in bytes.
        skipped: names below the experiment's directory that it does not cover: links, and what is
            not a regular file.
    """

    path: Path
    files: int
    size: int
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        skipped = f"; not sealed: {listed(self.skipped)}" if self.skipped else ""
        files, size = counted(self.files, "file"), counted(self.size, "byte")
        return f"{self.path}: {files} ({size}) sealed{skipped}"


class Difference(NamedTuple):
    """How a file differs from its seal.

    Attributes:
        kind: `altered` and `missing` are damage, as is `unreadable`; `grown` is a log that begins
            with what was sealed; `changed` is a run.json, which is meant to be changed; `unsealed`
            is a file that is not in the seal.
        name: the file's path within the experiment's directory.
        detail: what was found, as text.
        size: bytes by which the log has grown.
    """

    kind: Literal["altered", "missing", "unreadable", "grown", "changed", "unsealed"]
    name: str
    detail: str
    size: int | None = None


class _Sum(NamedTuple):
    """A file's size and sum, and the sum of as much of it as was sealed, if it is longer."""

    size: int
    whole: str
    start: str | None


def seal(path: Path, *, force: bool = False, progress: Progress | None = None) -> SealReport:
    """Write the sums of an experiment's files; an older seal is verified and then replaced.

    Args:
        path: the experiment's directory.
        force: replace an older seal even if files differ from it, which makes the files as they
            are now the sealed ones.
        progress: called after each block.

    Raises:
        ExperimentNotFoundError: no such experiment.
        SealError: files differ from the older seal, or it is damaged, and it is kept; or there is
            no file to seal.
        NoSpaceError, UnreadableFileError: a file cannot be read, or the seal cannot be written; the
            older one is kept.
    """
    target = path / layout.SEAL
    with system.open_experiment(path) as descriptor:
        directory = LocalDirectory(path, descriptor)
        covered = _Covered(directory)
        if not covered.names:
            raise SealError(f"{path}: no file to seal")
        old = Sums() if force else _old_seal(directory)
        new, size = Sums(), 0
        gone = sorted(old.digests.keys() - set(covered.names))
        differences = [Difference("missing", name, _GONE) for name in gone]
        tick = _ticking(progress, covered.size)
        for name, found in _sums(directory, covered.names, old.log_size, tick):
            if isinstance(found, ExpStoreError):
                raise found
            if found is None:
                continue  # deleted meanwhile
            differences += _compared(old, name, found)
            size += found.size
            new.digests[name] = found.whole
            if name == layout.METRICS:
                new.log_size = found.size
        broken = [d.name for d in differences if d.kind in ("altered", "missing")]
        if broken:
            raise SealError(
                f"{target}: these files differ from it: {listed(broken)}; restore them from a "
                "copy, or force a new seal (--force) if the changes are meant"
            )
        data = sums.build(new)
        if len(data) > _LIMIT:
            raise SealError(f"{target}: {len(new.digests)} files are too many for a seal")
        atomic.write_atomically(target, data, descriptor)
    return SealReport(target, len(new.digests), size, tuple(sorted(covered.skipped)))


def sealed_size(path: Path) -> int:
    """The bytes of an experiment's log that its seal covers; 0 if there is no seal.

    Raises:
        SealError: the seal is damaged.
        ExperimentNotFoundError, UnreadableFileError: it cannot be read.
    """
    with system.open_experiment(path) as descriptor:
        return _old_seal(LocalDirectory(path, descriptor)).log_size or 0


def verify(directory: Directory) -> list[Difference]:
    """Compare an experiment's files with its seal; empty if all are as they were sealed.

    Raises:
        UnreadableFileError: the seal itself cannot be read; the message says which line.
    """
    sealed = _read(directory)
    while True:
        differences = list(_differences(directory, sealed))
        now = _read(directory)
        if not differences or now == sealed:
            return differences
        sealed = now  # replaced meanwhile


def _differences(directory: Directory, sealed: Sums) -> Iterator[Difference]:
    # A file is looked up by its name: a web server may list fewer files than it has.
    for name, found in _sums(directory, sealed.digests, sealed.log_size):
        if found is None:
            yield Difference("missing", name, _GONE)
        elif isinstance(found, ExpStoreError):
            yield Difference("unreadable", name, str(found))
        else:
            yield from _compared(sealed, name, found)
    try:
        covered = _Covered(directory)
    except UnreadableFileError as error:
        yield Difference("unreadable", layout.FILES, str(error))
        return
    for name in covered.names:
        if name not in sealed.digests:
            yield Difference("unsealed", name, "made after the seal")


def _compared(sealed: Sums, name: str, found: _Sum) -> list[Difference]:
    expected = sealed.digests.get(name)
    if expected in (None, found.whole):
        return []
    size = sealed.log_size if name == layout.METRICS else None
    if size is not None and found.size > size and found.start == expected:
        more = found.size - size
        return [Difference("grown", name, f"{counted(more, 'byte')} appended after the seal", more)]
    detail = "differs from what was sealed"
    if name == layout.RUN:
        return [Difference("changed", name, detail)]
    if size is not None and found.size < size:
        detail = f"{counted(size - found.size, 'byte')} shorter than what was sealed"
    return [Difference("altered", name, detail)]


class _Covered:
    """What a seal covers of an open experiment.

    Attributes:
        names: the files' paths within the experiment, in the order of a seal.
        skipped: links, and what is neither a regular file nor a directory.
        size: the files' size in bytes.

    Raises:
        UnreadableFileError: a directory cannot be read.
    """

    def __init__(self, root: Directory) -> None:
        self.names: list[str] = []
        self.skipped: list[str] = []
        self.size = 0
        waiting = [""]
        while waiting:
            above = waiting.pop()
            try:
                with root.subdirectory(*above.split("/")[:-1]) as directory:
                    waiting += self._add(directory, above)
            except _MISSING:
                if not above:
                    raise
            except OSError as error:
                if isinstance(error, ExpStoreError):
                    raise
                raise system.unreadable(root.path / above, error) from error
        self.names.sort(key=sums.order)

    def _add(self, directory: Directory, above: str) -> Iterator[str]:
        """Add a directory's entries; yield the directories below it, each ending in a slash."""
        files = []
        for name, kind in directory.entries():
            is_top = not above
            if is_top and name not in (*sums.SEALED, layout.FILES):
                continue
            if kind == "directory" and not (is_top and name != layout.FILES):
                yield f"{above}{name}/"
            elif kind == "file" and not (is_top and name == layout.FILES):
                files.append(name)
            else:
                self.skipped.append(above + name)
        self.names += [above + name for name in files]
        self.size += sum(size for size in directory.sizes(files) if isinstance(size, int))


def _sums(
    root: Directory,
    names: Iterable[str],
    log_size: int | None,
    tick: Callable[[int], object] = lambda count: None,
) -> Iterator[tuple[str, _Sum | ExpStoreError | None]]:
    """The sum of each file, or the error that reading it gave; None if it is missing."""
    for name in names:
        *parents, last = name.split("/")
        found: _Sum | ExpStoreError | None = None
        try:
            with root.subdirectory(*parents) as directory, directory.open_log(last) as log:
                sealed = log_size if name == layout.METRICS else None
                found = _sum(log, sealed, tick) if log.exists else None
        except _MISSING:
            pass
        except ExpStoreError as error:
            found = error
        except OSError as error:
            found = system.unreadable(root.path / name, error)
        yield name, found


def _sum(log: OpenLog, sealed: int | None, tick: Callable[[int], object]) -> _Sum:
    import hashlib  # loads OpenSSL, which nothing else here needs

    whole, done, start = hashlib.sha256(), 0, None
    for block in log.blocks():
        if sealed is not None and done <= sealed < done + len(block):
            whole.update(block[: sealed - done])
            start = whole.hexdigest()
            whole.update(block[sealed - done :])
        else:
            whole.update(block)
        done += len(block)
        tick(len(block))
    return _Sum(done, whole.hexdigest(), start)


def _ticking(progress: Progress | None, total: int) -> Callable[[int], object]:
    if progress is None:
        return lambda count: None
    done = 0

    def tick(count: int) -> None:
        nonlocal done
        done += count
        progress(done, max(done, total))

    return tick


def _old_seal(directory: Directory) -> Sums:
    try:
        return _read(directory)
    except UnreadableFileError as error:
        raise SealError(
            f"{error}; restore it from a copy, or force a new seal (--force)"
        ) from error


def _read(directory: Directory) -> Sums:
    """The experiment's seal; empty if it has none."""
    path = directory.path / layout.SEAL
    with directory.open_log(layout.SEAL) as log:
        if not log.exists:
            return Sums()
        if log.size > _LIMIT:
            raise UnreadableFileError(f"{path}: {log.size} bytes are too many for a seal")
        data = log.read(0, log.size)
    try:
        return sums.parse(data)
    except ValueError as error:
        raise UnreadableFileError(f"{path}: {error}") from error
