"""What people write over the frames gives what pandas gives."""

from __future__ import annotations

import dask
import numpy as np
import pytest

from expstore import ExperimentStore
from tests.cluster.operations import (
    OPERATIONS,
    Frames,
    evaluated,
    in_dask,
    in_pandas,
    make_store,
    of_id,
    same,
)

EXPERIMENTS = 36
PARTITION = 1 << 17  # two experiments, by the cost of opening each


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ExperimentStore:
    """Tiny experiments, one of them without metadata and one without metrics."""
    store = make_store(tmp_path_factory.mktemp("operations") / "store", EXPERIMENTS)
    first, second, *_ = store.list_experiments()
    store.metadata_path(first).unlink()
    store.metrics_path(second).unlink()
    return store


@pytest.fixture(scope="module")
def both(store: ExperimentStore, tmp_path_factory: pytest.TempPathFactory) -> list[Frames]:
    """The frames of pandas, and those of Dask in many partitions."""
    work = tmp_path_factory.mktemp("work")
    lazy = in_dask(store, work, partition_size=PARTITION)
    assert lazy.metrics.npartitions > 15  # so that the results of groupby have several
    return [in_pandas(store, work), lazy]


@pytest.mark.parametrize("name", OPERATIONS)
def test_dask_gives_what_pandas_gives(
    name: str, both: list[Frames], store: ExperimentStore
) -> None:
    """With ids as strings, no operation fails, or adds or loses rows."""
    operation = of_id(name, store.list_experiments()[3])
    with dask.config.set({"scheduler": "sync", "dataframe.shuffle.method": "tasks"}):
        expected, found = (evaluated(operation, frames) for frames in both)
    assert np.size(expected)
    assert same(expected, found)
