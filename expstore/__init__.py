"""An experiment store for machine learning on declared binary formats.

    store = ExperimentStore("experiments")
    with store.start_experiment("3f2a9c1d", job_name="train") as run:
        run.log_many({"loss": 0.25, "accuracy": 0.9}, step=1)
    store.get_metrics("3f2a9c1d")["loss"].values

Importing this package loads no NumPy and nothing of the command line.
"""

from expstore.errors import (
    DeletionError,
    ExperimentExistsError,
    ExperimentGoneError,
    ExperimentNotFoundError,
    ExportError,
    ExpStoreError,
    GitHeadError,
    ImportSourceError,
    InvalidCommitIdError,
    MetadataNotFoundError,
    MissingExtraError,
    NameTruncatedWarning,
    OutputExistsError,
    PlotError,
    RetentionPolicyError,
    ShortWriteError,
    StoreNotFoundError,
    TornTailError,
    UnknownMetricError,
    UnreadableFileError,
)
from expstore.model import Metadata, Metric, MetricTable
from expstore.retention import PrunePlan, PruneRow
from expstore.run import Run, start
from expstore.store import ExperimentStore
from expstore.writer import MetricWriter
from formats import (
    FieldValueError,
    FormatError,
    TailStatus,
    TruncatedError,
    UnsupportedSchema,
    UnsupportedVersionError,
)

__version__ = "0.1.0"

__all__ = [
    "DeletionError",
    "ExpStoreError",
    "ExperimentExistsError",
    "ExperimentGoneError",
    "ExperimentNotFoundError",
    "ExperimentStore",
    "ExportError",
    "FieldValueError",
    "FormatError",
    "GitHeadError",
    "ImportSourceError",
    "InvalidCommitIdError",
    "Metadata",
    "MetadataNotFoundError",
    "Metric",
    "MetricTable",
    "MetricWriter",
    "MissingExtraError",
    "NameTruncatedWarning",
    "OutputExistsError",
    "PlotError",
    "PrunePlan",
    "PruneRow",
    "RetentionPolicyError",
    "Run",
    "ShortWriteError",
    "StoreNotFoundError",
    "TailStatus",
    "TornTailError",
    "TruncatedError",
    "UnknownMetricError",
    "UnreadableFileError",
    "UnsupportedSchema",
    "UnsupportedVersionError",
    "start",
]
