"""Showing experiments in a notebook, by what is installed for that.

Guarantees: the core knows no page. What makes one is found by its entry point, `page` in the group
`expstore_views`, so it can be left out or replaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from expstore.errors import MissingExtraError
from expstore.extras import installation

GROUP, NAME = "expstore_views", "page"


def view(store: object, ids: Iterable[str] | None, options: dict[str, Any]) -> object:
    """What a notebook shows at the end of a cell; see `StoreReader.view`.

    Raises:
        MissingExtraError: nothing is installed that makes it.
    """
    from importlib.metadata import entry_points  # takes a fifth of the time of importing the core

    found = list(entry_points(group=GROUP, name=NAME))
    if not found:
        raise MissingExtraError(
            "this installation of expstore has no page for notebooks; install it again: "
            f"{installation('serve')}"
        )
    return found[0].load()(store, ids, **options)
