"""An experiment store for machine learning on declared binary formats.

    store = ExperimentStore("experiments")
    with store.start_experiment("3f2a9c1d", job_name="train") as run:
        run.log_many({"loss": 0.25, "accuracy": 0.9}, step=1)
    store.get_metrics("3f2a9c1d")["loss"].values

Importing this package loads no NumPy and nothing of the command line.
"""

from expstore.check import CheckReport, Finding
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
    LiveWriterError,
    MetadataNotFoundError,
    MissingExtraError,
    NameTruncatedWarning,
    NoSpaceError,
    OutputExistsError,
    PlotError,
    ReadOnlyStoreError,
    RetentionPolicyError,
    SelectionError,
    ShortWriteError,
    StoreNotFoundError,
    SyncError,
    TornTailError,
    UnknownMetricError,
    UnreadableFileError,
    WriterClosedError,
)
from expstore.follow import Follower
from expstore.mend import RepairReport, SalvageReport
from expstore.model import Metadata, Metric, MetricTable
from expstore.retention import PrunePlan, PruneRow
from expstore.run import Run, start
from expstore.store import ExperimentStore
from expstore.writer import MetricWriter
from formats import (
    FieldValueError,
    FormatError,
    TailStatus,
    TooManyTextsError,
    TruncatedError,
    UnsupportedSchema,
    UnsupportedVersionError,
)

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
    "LiveWriterError",
    "Metadata",
    "MetadataNotFoundError",
    "Metric",
    "MetricTable",
    "MetricWriter",
    "MissingExtraError",
    "NameTruncatedWarning",
    "NoSpaceError",
    "OutputExistsError",
    "PlotError",
    "PrunePlan",
    "PruneRow",
    "ReadOnlyStoreError",
    "RepairReport",
    "RetentionPolicyError",
    "Run",
    "SalvageReport",
    "SelectionError",
    "ShortWriteError",
    "StoreNotFoundError",
    "SyncError",
    "TailStatus",
    "TooManyTextsError",
    "TornTailError",
    "TruncatedError",
    "UnknownMetricError",
    "UnreadableFileError",
    "UnsupportedSchema",
    "UnsupportedVersionError",
    "WriterClosedError",
    "start",
]
