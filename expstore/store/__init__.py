"""The repository: experiments as directories of files, appended to, read, mended and pruned.

What is below `store` and `store` itself are the core; every other wing may be removed.
"""

from expstore.store.repository import ExperimentStore

__all__ = ["ExperimentStore"]
