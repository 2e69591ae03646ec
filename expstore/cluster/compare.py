"""Comparing and searching experiments whose logs are read by Dask workers.

Guarantees: the result is that of one process; only the logs that decide it are read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from expstore.cluster import sections, workers
from expstore.cluster.sight import Sight, as_reader
from expstore.compare.comparison import Comparison
from expstore.compare.experiments import Experiment
from expstore.compare.logs import Log
from expstore.compare.reading import ReadLogs, logs_of
from expstore.compare.summaries import compare
from expstore.extras import require

if TYPE_CHECKING:
    from distributed import Client

    from expstore.store.reader import StoreReader


def compare_store(
    store: StoreReader | str | os.PathLike[str], client: Client | None = None, **options: Any
) -> Comparison[Any]:
    """What `expstore.compare.compare` gives, with the logs read by many workers.

    Args:
        store: the store, or its root.
        client: of the workers; None: the one that is open, else new local processes.
        options: those of `compare`, but for `jobs` and `read`.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
        ClusterError: the cluster failed, or its workers do not see the store.
        Exception: see `compare`.
    """
    store = as_reader(store)
    progress = options.pop("progress", iter)
    return compare(store, read=log_reader(store, client, progress=progress), **options)


def log_reader(
    store: StoreReader,
    client: Client | None = None,
    *,
    progress: Callable[[list[str]], Iterable[str]] = iter,
) -> ReadLogs:
    """What reads logs by many workers, for `compare` and `select`.

    Args:
        store: the store.
        client: of the workers; None: the one that is open, else new local processes.
        progress: wraps the list of ids while their logs are read.

    Raises:
        MissingExtraError: the extra `cluster` is not installed.
    """
    require("distributed", workers.EXTRA)

    def read(found: list[Experiment]) -> list[Experiment]:
        unread = {one.commit_id: one for one in found if not one.is_read}
        if not unread:
            return found
        batches = sections.batches(store.log_sizes(unread), sections.BATCH)
        calls = [(store, Sight.of(store), ids) for ids in batches]
        done = iter(progress(list(unread)))
        with workers.chosen_client(client) as chosen:
            for number, logs in workers.completed(chosen, _read, calls):
                for commit_id, (log, problems) in zip(batches[number], logs, strict=True):
                    unread[commit_id].take(log, problems)
                    next(done, None)
        next(done, None)  # so that progress ends
        return found

    return read


def _read(store: StoreReader, sight: Sight, ids: list[str]) -> list[tuple[Log, list[str]]]:
    sight.check(store)
    return list(logs_of(store, ids))
