"""Artifacts: files under a name.

Guarantees: they are copied to `files/artifacts/<name>/v<number>` of the experiment, and never over
an earlier version.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from expstore.integrations.wandb.inert import Partial
from expstore.integrations.wandb.media import file_name


class Artifact(Partial):
    """Files under a name, which `log_artifact` copies into the experiment.

    Attributes:
        name, type, description, metadata: as given; only the name is kept.
        version: of the last copy, such as `v0`; empty before it.
    """

    def __init__(self, name: str, type: str = "", description: str = "", **options: Any) -> None:
        self.name = name
        self.type = type
        self.description = description
        self.metadata = options.get("metadata") or {}
        self.version = ""
        self._sources: dict[str, Path] = {}
        self._written: tempfile.TemporaryDirectory[str] | None = None
        self._copy: Path | None = None

    def add_file(
        self, local_path: str | os.PathLike[str], name: str | None = None, **_: Any
    ) -> None:
        """Add a file.

        Raises:
            ValueError: no such file.
        """
        source = Path(local_path)
        if not source.is_file():
            raise ValueError(f"not a file: {source}")
        self._sources[name or source.name] = source

    def add_dir(
        self, local_path: str | os.PathLike[str], name: str | None = None, **_: Any
    ) -> None:
        """Add the files of a directory and of those in it.

        Raises:
            ValueError: no such directory.
        """
        top = Path(local_path)
        if not top.is_dir():
            raise ValueError(f"not a directory: {top}")
        for source in sorted(path for path in top.rglob("*") if path.is_file()):
            self._sources[str(Path(name or "") / source.relative_to(top))] = source

    @contextmanager
    def new_file(
        self, name: str, mode: str = "x", encoding: str | None = None
    ) -> Iterator[IO[Any]]:
        """Add a file that is written in a `with` block."""
        if self._written is None:
            self._written = tempfile.TemporaryDirectory(prefix="expstore-")
        path = Path(self._written.name) / file_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding=encoding) as file:
            yield file
        self.add_file(path, name)

    def wait(self, timeout: float | None = None) -> Artifact:
        """It was copied when `log_artifact` returned."""
        return self

    def download(self, root: str | os.PathLike[str] | None = None, **_: Any) -> str:
        """The directory of its copy, or one that it is copied to now.

        Raises:
            ValueError: it was not logged.
        """
        if self._copy is None:
            raise ValueError(f"artifact {self.name} has no files yet: log it first")
        if root is None:
            return str(self._copy)
        return str(shutil.copytree(self._copy, root, dirs_exist_ok=True))

    def copy_to(self, directory: Path) -> Path:
        """Copy the files to a new version below a directory; returns that version's directory."""
        above = directory / file_name(self.name)
        above.mkdir(parents=True, exist_ok=True)
        number = 0
        while True:
            version = above / f"v{number}"
            try:
                version.mkdir()
                break
            except FileExistsError:
                number += 1
        for name, source in self._sources.items():
            target = version / file_name(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        self.version, self._copy = version.name, version
        return version
