"""A store that one process cannot look through in time, by Dask's workers.

Every answer is that of one process, to the bit: each record is in one partition, in the order of
its log; text is made valid Unicode by `texts.escape`. A frame is of the logs as they were when it
was made: what is appended later is not in it, so that it computes to the same again. A worker that
dies costs time, and changes no answer.

Every worker reads the store itself, so all must reach it under the same name: on a file system that
they share, or at a URL.
"""

from expstore.cluster.check import check_store
from expstore.cluster.export import PartsReport, export_parquet
from expstore.cluster.frames import read_metadata, read_metrics
from expstore.cluster.workers import open_client

__all__ = [
    "PartsReport",
    "check_store",
    "export_parquet",
    "open_client",
    "read_metadata",
    "read_metrics",
]
