"""Check counts from nothing."""

from __future__ import annotations

from expstore import ExperimentStore, Metadata


def test_experiment_without_a_log_has_no_records(store: ExperimentStore) -> None:
    """Neither has one that holds nothing but its metadata, and nothing is wrong with it."""
    store.create_experiment("abc")
    store.write_metadata(Metadata("abc", 1_700_000_000))
    report = store.check("abc")
    assert (report.records, report.size, report.findings) == (0, 0, ())
    store.log_metric("abc", "loss", 0.5, 1)
    report = store.check("abc")
    assert (report.records, report.size, report.findings) == (1, 25, ())
