"""Dask workers for a store that is too large for one process.

Every result is that of one process, to the bit: each record is in one partition, in the order of
its log; text is made valid Unicode by `texts.escape`. A frame has the logs as they were when it was
made: it does not include what is appended later, so computing it again gives the same result. A
worker that dies costs time, and does not change the result.

Every worker reads the store itself, so all must reach it under the same name: on a shared file
system, or at a URL.
"""

from expstore.cluster.check import check_store
from expstore.cluster.compare import compare_store, log_reader
from expstore.cluster.export import PartsReport, export_parquet
from expstore.cluster.frames import read_metadata, read_metrics
from expstore.cluster.workers import open_client

__all__ = [
    "PartsReport",
    "check_store",
    "compare_store",
    "export_parquet",
    "log_reader",
    "open_client",
    "read_metadata",
    "read_metrics",
]
