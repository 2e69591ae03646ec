"""Uses the public interface as a strictly typed program of somebody else would; run and checked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from expstore import (
    ExperimentStore,
    ExpStoreError,
    FormatError,
    Metadata,
    Metric,
    MetricTable,
    MetricWriter,
    PrunePlan,
)
from formats import META, RECORD, RecordCodec, to_ksy


def describe(store: ExperimentStore) -> Iterator[str]:
    """One line an experiment."""
    for commit_id, metadata in store.iter_metadata():
        if isinstance(metadata, Metadata):
            created: datetime = metadata.created
            yield f"{commit_id} {created:%Y} {metadata.job_name}"
        else:
            error: FormatError | ExpStoreError = metadata
            yield f"{commit_id} {error}"


def main() -> None:
    """Log, read, plan and prune."""
    with tempfile.TemporaryDirectory() as directory:
        store = ExperimentStore(Path(directory) / "experiments")
        store.initialize()
        run: MetricWriter
        with store.start_experiment("abc", job_name="typed", user="me") as run:
            run.log("loss", 0.5, step=1)
            run.log_many({"loss": 0.25, "accuracy": 0.75}, step=2)
            run.append({"name": "loss", "value": [0.125], "step": [3]})
        table: MetricTable = store.get_metrics("abc")
        first: Metric = table[0]
        losses: list[float] = table["loss"].values.tolist()
        assert first.name == "loss"
        assert losses == [0.5, 0.25, 0.125]
        assert table.status.kind == "clean"
        assert len(list(describe(store))) == 1
        plan: PrunePlan = store.plan_prune(keep_count=0)
        assert [row.reason for row in plan] == ["beyond the newest 0"]
        pruned: list[str] = store.prune_experiments(keep_count=0)
        assert pruned == ["abc"]
    codec = RecordCodec(RECORD)
    values: dict[str, Any]
    values, end = codec.parse(codec.build(timestamp=1, step=2, value=3.0, name="x"))
    assert values["step"] == 2
    assert end == 22
    assert "id: meta" in to_ksy(META)


if __name__ == "__main__":
    main()
