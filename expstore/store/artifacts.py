"""ArtifactReader: what is in an experiment's `files/`, listed and copied out.

Guarantees: no link is followed, on either side, so nothing is read from outside `files/`, and
nothing is written outside the target. A file appears in the target only when complete. Nothing is
overwritten unless that is asked for, and what is in the way is found before anything is copied.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import reduce
from operator import truediv
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from expstore.errors import (
    ExperimentNotFoundError,
    ExpStoreError,
    OutputExistsError,
    SelectionError,
    UnreadableFileError,
    listed,
)
from expstore.store.files import layout, system
from expstore.store.files.output import check_output, check_place, whole_file
from expstore.store.files.place import open_directory
from expstore.store.paths import StorePaths

if TYPE_CHECKING:
    from expstore.store.files.directory import Directory

_DEEPEST = 16  # directories within directories
_NAMED_LIKE_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")

OnError = Callable[[ExpStoreError], object]
"""Called with the reason why something is left out."""

Progress = Callable[[int, int], object]
"""Called with the bytes copied so far, and those to copy in total."""


class Artifact(NamedTuple):
    """A file below `files/`.

    Attributes:
        parts: the names of the directories that it is in, and its own.
        size: in bytes; None if the file system cannot say.
    """

    parts: tuple[str, ...]
    size: int | None

    @property
    def name(self) -> str:
        """Its path below `files/`, with slashes."""
        return "/".join(self.parts)

    @property
    def named_like_image(self) -> bool:
        """Whether it is worth reading the start."""
        return self.parts[-1].lower().endswith(_NAMED_LIKE_IMAGES)


class ArtifactReader(StorePaths):
    """A store whose artifacts are listed and copied."""

    def iter_files(
        self, commit_id: str, on_error: OnError = lambda error: None
    ) -> Iterator[Artifact]:
        """The regular files below `files/`: those of a directory, then those of its directories.

        Links are left out.

        Args:
            commit_id: the experiment.
            on_error: called with the reason for each directory that cannot be listed, and so is
                left out; by default, nothing is said of them.

        Raises:
            InvalidCommitIdError, ExperimentNotFoundError, UnreadableFileError
        """
        with open_directory(self.locate(commit_id)) as directory:
            yield from _walk(directory, (layout.FILES,), on_error)

    def copy_files(
        self,
        commit_id: str,
        target: str | os.PathLike[str],
        names: Iterable[str] | None = None,
        *,
        force: bool = False,
        progress: Progress | None = None,
    ) -> list[Path]:
        """Copy artifacts into a directory, under their paths below `files/`.

        Args:
            commit_id: the experiment.
            target: the directory; it and what is missing in it are created.
            names: paths below `files/`, directories, or patterns such as `ckpt/*.pt`; None: all.
            force: replace what is there.
            progress: see `Progress`.

        Returns:
            The files that were written.

        Raises:
            SelectionError: nothing is there, or nothing matches one of the names.
            OutputExistsError: a file is there already, or something else has its name; nothing was
                copied.
            OutputInStoreError: the target is an experiment; its `files/` may be.
            UnreadableFileError: also if a directory cannot be listed; then, nothing was copied.
            InvalidCommitIdError, ExperimentNotFoundError, NoSpaceError
        """
        chosen = selected_files(self.iter_files(commit_id, _refuse), names)
        if not chosen:
            raise SelectionError(f"{self.locate(commit_id)}: there are no files to copy")
        folder = Path(target).absolute()
        check_place(folder / chosen[0].parts[0])
        written = [folder.joinpath(*one.parts) for one in chosen]
        for path in written:
            _check_way(folder, path)
            if path.is_symlink():
                raise OutputExistsError(f"{path}: is a link, which is not followed; remove it")
            check_output(path, force=force, makes_above=True)
        total, done = sum(one.size or 0 for one in chosen), 0
        with open_directory(self.locate(commit_id)) as directory:
            for one, path in zip(chosen, written, strict=True):
                system.make_directory(path.parent)
                _check_way(folder, path)
                for count in _copy(directory, one, path):
                    done += count
                    if progress is not None:
                        progress(done, total)
        return written


def selected_files(files: Iterable[Artifact], names: Iterable[str] | None = None) -> list[Artifact]:
    """The files that any of some names stands for; see `ArtifactReader.copy_files`.

    Raises:
        SelectionError: nothing matches one of the names.
    """
    found = list(files)
    if names is None:
        return found
    chosen: dict[Artifact, None] = {}
    for name in names:
        wanted = name.strip("/")
        matches = [
            one
            for one in found
            if one.name == wanted
            or one.name.startswith(f"{wanted}/")
            or fnmatchcase(one.name, wanted)
        ]
        if not matches:
            known = listed([one.name for one in found])
            raise SelectionError(f"no file is named {name!r}; there are: {known}")
        chosen |= dict.fromkeys(matches)
    return list(chosen)


def _refuse(error: ExpStoreError) -> None:
    raise error


def _walk(directory: Directory, parts: tuple[str, ...], on_error: OnError) -> Iterator[Artifact]:
    """The files of a directory, then those of its directories; see `iter_files`."""
    try:
        with directory.subdirectory(*parts) as here:
            entries = sorted(here.entries())
            files = [entry.name for entry in entries if entry.kind == "file"]
            sizes = list(here.sizes(files))
    except (FileNotFoundError, NotADirectoryError, ExperimentNotFoundError):
        return  # an experiment need not have files, or was just deleted
    except OSError as error:
        on_error(system.unreadable(reduce(truediv, parts, directory.path), error))
        return
    except ExpStoreError as error:
        on_error(error)
        return
    for name, size in zip(files, sizes, strict=True):
        yield Artifact((*parts[1:], name), size if isinstance(size, int) else None)
    for entry in entries:
        if entry.kind == "directory":
            if len(parts) == _DEEPEST:
                path = reduce(truediv, (*parts, entry.name), directory.path)
                on_error(UnreadableFileError(f"{path}: more than {_DEEPEST} directories deep"))
            else:
                yield from _walk(directory, (*parts, entry.name), on_error)


def _check_way(folder: Path, path: Path) -> None:
    """Check that every directory from the target down to a file is one, and no link.

    Raises:
        OutputExistsError: something else is there.
    """
    place = folder
    for name in ("", *path.relative_to(folder).parts[:-1]):
        place = place / name
        if (place != folder and place.is_symlink()) or (
            os.path.lexists(place) and not place.is_dir()
        ):
            raise OutputExistsError(f"{place}: is in the way: not a directory, or a link to one")


def _copy(directory: Directory, artifact: Artifact, path: Path) -> Iterator[int]:
    """Copy a file; yields the sizes of its parts."""
    *folders, name = artifact.parts
    try:
        opened = directory.subdirectory(layout.FILES, *folders)
        with opened as here, here.open_log(name) as source, whole_file(path) as file:
            if not source.exists:
                raise UnreadableFileError(f"{here.path / name}: deleted meanwhile")
            for block in source.blocks():
                file.write(block)
                yield len(block)
    except (FileNotFoundError, NotADirectoryError) as error:
        if isinstance(error, ExpStoreError):
            raise
        raise UnreadableFileError(
            f"{directory.path}: {artifact.name}: deleted meanwhile"
        ) from error
