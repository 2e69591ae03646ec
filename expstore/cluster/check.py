"""`check` with Dask workers.

Guarantees: the reports are those of one process, in the same order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from expstore.cluster import sections, workers
from expstore.cluster.sections import BATCH
from expstore.cluster.sight import as_reader, must_be_gone
from expstore.extras import require
from expstore.store.care import check
from expstore.store.care.findings import CheckReport

if TYPE_CHECKING:
    from distributed import Client

    from expstore.store.reader import StoreReader


def check_store(
    store: StoreReader | str | os.PathLike[str],
    client: Client | None = None,
    *,
    batch: int = BATCH,
) -> Iterator[CheckReport]:
    """The reports of `store.check_all`, in the same order, made by many workers.

    Args:
        store: the store, or its root.
        client: of the workers; None: the one that is open, else new local processes.
        batch: bytes of log in a task.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        SelectionError: `batch` is not a whole number above 0.
        StoreNotFoundError: the root does not exist.
        ClusterError: the cluster failed, or its workers do not see the store.
    """
    require("distributed", workers.EXTRA)
    sections.check_size(batch)
    store = as_reader(store)
    yield check.check_root(store.location)
    sizes = store.log_sizes(store.list_experiments())
    calls = [(store, ids) for ids in sections.batches(sizes, batch)]
    with workers.chosen_client(client) as chosen:
        ready: dict[int, list[CheckReport]] = {}
        turn = 0
        for number, reports in workers.completed(chosen, _check, calls):
            must_be_gone(store, {*calls[number][1]} - {report.commit_id for report in reports})
            ready[number] = reports
            while turn in ready:
                yield from ready.pop(turn)
                turn += 1


def _check(store: StoreReader, ids: list[str]) -> list[CheckReport]:
    return list(check.check_experiments(store.location, ids))
