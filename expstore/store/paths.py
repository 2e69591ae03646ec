"""StorePaths: where a store and its experiments are, local or remote.

Guarantees: constructing one opens nothing; an id is validated before a path is made of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial, reduce
from operator import truediv
from pathlib import Path
from typing import Any

from expstore.errors import ReadOnlyStoreError
from expstore.store.files import layout
from expstore.store.files.directory import Location
from expstore.store.files.place import address, locate


class StorePaths:
    """The locations of a store's experiments and files.

    Args:
        root, storage_options: see `StoreReader`.

    Raises:
        MissingExtraError, StoreNotFoundError: see `StoreReader`.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        storage_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._location = locate(root, storage_options)
        self._storage_options = storage_options

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._location)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy in another process gets the location, but nothing that is open here.
        place = address(self._location)
        return partial(type(self), storage_options=self._storage_options), (place,)

    @property
    def root(self) -> Path:
        """The store's directory; an absolute path.

        Raises:
            ReadOnlyStoreError: the store is at a URL, and has no path.
        """
        if isinstance(self._location, Path):
            return self._location
        raise ReadOnlyStoreError(f"{self._location}: a store at a URL can only be read")

    @property
    def location(self) -> Location:
        """The store's location: a Path, or for a URL an object whose `str` is the URL.

        That text has `***` in place of credentials.
        """
        return self._location

    @property
    def storage_options(self) -> Mapping[str, Any] | None:
        """The options of the file system, as given to the constructor; None if not given."""
        return self._storage_options

    def locate(self, commit_id: str, *names: str) -> Location:
        """The location of an experiment or of one of its files; see `location`.

        Raises:
            InvalidCommitIdError: not a single plain path component.
        """
        return reduce(truediv, names, self._location / layout.check_commit_id(commit_id))

    def experiment_path(self, commit_id: str) -> Path:
        """The experiment's directory, whether or not it exists.

        Raises:
            InvalidCommitIdError: not a single plain path component.
        """
        return layout.experiment_path(self.root, commit_id)

    def files_path(self, commit_id: str) -> Path:
        """The experiment's artifact directory; see `experiment_path`."""
        return layout.files_path(self.root, commit_id)

    def metadata_path(self, commit_id: str) -> Path:
        """The experiment's meta.bin; see `experiment_path`."""
        return layout.metadata_path(self.root, commit_id)

    def metrics_path(self, commit_id: str) -> Path:
        """The experiment's metrics.bin; see `experiment_path`."""
        return layout.metrics_path(self.root, commit_id)
