"""Listings of metadata take any iterable of ids."""

from __future__ import annotations

import pytest

from expstore import ExperimentStore, Metadata
from expstore.store import metafile


@pytest.mark.parametrize("count", [0, 1, 16, 17, 40])
def test_ids_may_come_from_an_iterator(count: int, store: ExperimentStore) -> None:
    """Each is read once, in the order given, in however many parts."""
    ids = [f"{number:03d}" for number in reversed(range(count))]
    for commit_id in ids:
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, 1))
    found = list(metafile.read_all(store.location, iter(ids)))
    assert found == [(commit_id, Metadata(commit_id, 1)) for commit_id in ids]
