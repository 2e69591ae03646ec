"""The artifacts of an experiment for a page: a list of its files, and its images.

Guarantees: only what begins like a PNG, JPEG, GIF or WebP is an image, whatever its name says; so
nothing that a browser might run, as an SVG, is ever shown. No link is followed.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from expstore.store.artifacts import Artifact
from expstore.store.files import layout
from expstore.store.files.place import open_directory

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

START = 16
"""How many bytes of a file tell whether it is an image."""

_IMAGES = re.compile(
    rb"(?P<png>\x89PNG\r\n\x1a\n)|(?P<jpeg>\xff\xd8\xff)|(?P<gif>GIF8[79]a)|(?P<webp>RIFF....WEBP)",
    re.DOTALL,
)


def image_type(start: bytes) -> str | None:
    """The media type of an image, by its first bytes; None if it is no raster image."""
    found = _IMAGES.match(start)
    return f"image/{found.lastgroup}" if found else None


def list_artifacts(store: StoreReader, commit_id: str, limit: int) -> tuple[list[Artifact], bool]:
    """The regular files below `files/`, sorted, at most `limit`; and whether there are more.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, UnreadableFileError
    """
    found = list(islice(store.iter_files(commit_id), limit + 1))
    return found[:limit], len(found) > limit


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
