"""The repository: experiments as directories of files, and appending, reading, repairing, pruning.

This package and those it builds on (`expstore.model`, `formats`) are the core; every other
subpackage may be removed.
"""

from expstore.store.repository import ExperimentStore

__all__ = ["ExperimentStore"]
