"""The artifacts of an experiment for a page: a list of its files, and its images.

Guarantees: only what begins like a PNG, JPEG, GIF or WebP is an image, whatever its name says; so
nothing that a browser might run, as an SVG, is ever shown. No link is followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from expstore.errors import ExpStoreError
from expstore.store.files import layout
from expstore.store.files.place import open_directory

if TYPE_CHECKING:
    from expstore.store.files.directory import Directory
    from expstore.store.reader import StoreReader

START = 16
"""How many bytes of a file tell whether it is an image."""

_DEEPEST = 16  # directories within directories
_IMAGES = re.compile(
    rb"(?P<png>\x89PNG\r\n\x1a\n)|(?P<jpeg>\xff\xd8\xff)|(?P<gif>GIF8[79]a)|(?P<webp>RIFF....WEBP)",
    re.DOTALL,
)
_NAMED_LIKE_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


class Artifact(NamedTuple):
    """A file below `files/`.

    Attributes:
        parts: the names of the directories that it is in, and its own.
        size: in bytes; None if the file system cannot say.
    """

    parts: tuple[str, ...]
    size: int | None

    @property
    def named_like_image(self) -> bool:
        """Whether it is worth reading the start."""
        return self.parts[-1].lower().endswith(_NAMED_LIKE_IMAGES)


def image_type(start: bytes) -> str | None:
    """The media type of an image, by its first bytes; None if it is no raster image."""
    found = _IMAGES.match(start)
    return f"image/{found.lastgroup}" if found else None


def list_artifacts(store: StoreReader, commit_id: str, limit: int) -> tuple[list[Artifact], bool]:
    """The regular files below `files/`, sorted, at most `limit`; and whether there are more.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, UnreadableFileError
    """
    found: list[Artifact] = []
    with open_directory(store.locate(commit_id)) as directory:
        for artifact in _walk(directory, (layout.FILES,)):
            if len(found) == limit:
                return found, True
            found.append(artifact)
    return found, False


def _walk(directory: Directory, parts: tuple[str, ...]) -> Iterator[Artifact]:
    """The files of a directory, then those of its directories; what cannot be read is left out."""
    try:
        with directory.subdirectory(*parts) as here:
            entries = sorted(here.entries())
            files = [entry.name for entry in entries if entry.kind == "file"]
            sizes = list(here.sizes(files))
    except (OSError, ExpStoreError):  # an experiment need not have files, or was just deleted
        return
    for name, size in zip(files, sizes, strict=True):
        yield Artifact((*parts[1:], name), size if isinstance(size, int) else None)
    if len(parts) < _DEEPEST:
        for entry in entries:
            if entry.kind == "directory":
                yield from _walk(directory, (*parts, entry.name))


def read_artifact(store: StoreReader, commit_id: str, artifact: Artifact, limit: int) -> bytes:
    """The first `limit` bytes of an artifact; empty if it cannot be read.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, UnreadableFileError
    """
    *directories, name = artifact.parts
    with open_directory(store.locate(commit_id)) as directory:
        try:
            with directory.subdirectory(layout.FILES, *directories) as here:
                return here.read_start(name, limit)
        except OSError:  # deleted since it was listed
            return b""
