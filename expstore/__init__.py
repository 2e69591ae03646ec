"""An experiment store for machine learning on declared binary formats.

    store = ExperimentStore("experiments")
    with store.start_experiment("3f2a9c1d", job_name="train") as run:
        run.log_many({"loss": 0.25, "accuracy": 0.9}, step=1)
    store.get_metrics("3f2a9c1d")["loss"].values

Importing this package loads no NumPy and nothing of the command line.
"""

# ruff: noqa: E402 - `formats` is checked before anything imports it

import sys
from importlib import import_module
from importlib.util import find_spec
from os import path
from typing import TYPE_CHECKING, Any


def _check_formats() -> None:
    """Refuse another module named `formats` that comes first on the path, without running it.

    Raises:
        ImportError: names the file that is in the way.
    """
    loaded = sys.modules.get("formats")
    spec = getattr(loaded, "__spec__", None) if loaded else find_spec("formats")
    origin = (spec and spec.origin) or getattr(loaded, "__file__", None)
    ours = path.join(path.dirname(path.dirname(path.abspath(__file__))), "formats", "__init__.py")
    if origin is None or path.realpath(origin) != path.realpath(ours):
        raise ImportError(
            f"expstore needs its own package `formats` ({ours}), but Python finds "
            f"{origin or 'another one'} first: rename that module, or remove its directory from "
            "sys.path before importing expstore",
            name="formats",
            path=origin,
        )


_check_formats()

from expstore.errors import (
    ClusterError,
    DeletionError,
    DurabilityError,
    ExperimentExistsError,
    ExperimentGoneError,
    ExperimentNotFoundError,
    ExportError,
    ExpStoreError,
    GitHeadError,
    ImportSourceError,
    InvalidCommitIdError,
    JobError,
    LiveWriterError,
    LogNotFoundError,
    LogTooLargeError,
    MetadataNotFoundError,
    MissingExtraError,
    NameTruncatedWarning,
    NoCommitWarning,
    NoSpaceError,
    OutputExistsError,
    OutputInStoreError,
    PlotError,
    ProgramNotFoundError,
    ReadOnlyStoreError,
    RetentionPolicyError,
    RunFileError,
    SealError,
    SelectionError,
    ServeError,
    ShortWriteError,
    StoreNotFoundError,
    SyncError,
    SyncThreadError,
    TornTailError,
    UnknownMetricError,
    UnreadableFileError,
    WhereError,
    WriterClosedError,
)
from expstore.model.runinfo import RunInfo, RunStart, RunState
from expstore.model.table import MetricTable
from expstore.model.values import Metadata, Metric
from expstore.store.append.writer import MetricWriter
from expstore.store.care.prune import PrunePlan, PruneRow
from expstore.store.read.follow import Follower
from expstore.store.repository import ExperimentStore
from expstore.store.run import Run
from expstore.store.start import start
from formats import (
    FieldValueError,
    FormatError,
    TailStatus,
    TooManyTextsError,
    TruncatedError,
    UnsupportedSchema,
    UnsupportedVersionError,
)

if TYPE_CHECKING:
    from expstore.store.care.findings import CheckReport, Finding
    from expstore.store.care.mend import RepairReport
    from expstore.store.care.salvage import SalvageReport
    from expstore.store.care.seal import SealReport
    from expstore.store.recordlog import RecordLog

__version__ = "0.1.0"

__all__ = [
    "CheckReport",
    "ClusterError",
    "DeletionError",
    "DurabilityError",
    "ExpStoreError",
    "ExperimentExistsError",
    "ExperimentGoneError",
    "ExperimentNotFoundError",
    "ExperimentStore",
    "ExportError",
    "FieldValueError",
    "Finding",
    "Follower",
    "FormatError",
    "GitHeadError",
    "ImportSourceError",
    "InvalidCommitIdError",
    "JobError",
    "LiveWriterError",
    "LogNotFoundError",
    "LogTooLargeError",
    "Metadata",
    "MetadataNotFoundError",
    "Metric",
    "MetricTable",
    "MetricWriter",
    "MissingExtraError",
    "NameTruncatedWarning",
    "NoCommitWarning",
    "NoSpaceError",
    "OutputExistsError",
    "OutputInStoreError",
    "PlotError",
    "ProgramNotFoundError",
    "PrunePlan",
    "PruneRow",
    "ReadOnlyStoreError",
    "RecordLog",
    "RepairReport",
    "RetentionPolicyError",
    "Run",
    "RunFileError",
    "RunInfo",
    "RunStart",
    "RunState",
    "SalvageReport",
    "SealError",
    "SealReport",
    "SelectionError",
    "ServeError",
    "ShortWriteError",
    "StoreNotFoundError",
    "SyncError",
    "SyncThreadError",
    "TailStatus",
    "TooManyTextsError",
    "TornTailError",
    "TruncatedError",
    "UnknownMetricError",
    "UnreadableFileError",
    "UnsupportedSchema",
    "UnsupportedVersionError",
    "WhereError",
    "WriterClosedError",
    "start",
]

# What a program that logs does not need is loaded on first use, to keep the import fast.
_ON_DEMAND = {
    "CheckReport": "expstore.store.care.findings",
    "Finding": "expstore.store.care.findings",
    "RecordLog": "expstore.store.recordlog",
    "RepairReport": "expstore.store.care.mend",
    "SalvageReport": "expstore.store.care.salvage",
    "SealReport": "expstore.store.care.seal",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_DEMAND[name]), name)
