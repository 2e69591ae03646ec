"""Helpers for other projects' tests: a check against the format, and Hypothesis strategies.

    from expstore.testing import assert_valid_experiment, metrics

    def test_my_writer(tmp_path):
        my_writer(tmp_path / "3f2a9c1d")
        assert_valid_experiment(tmp_path / "3f2a9c1d")

    @given(metrics())
    def test_my_reader(metric): ...

Guarantees: generated values keep to the limits in the declarations; the check is read-only.
The strategies need Hypothesis (extra `testing`), which is imported when one is called. In pytest,
the fixture `experiment_store` is available without an import (`expstore.testing.plugin`).
"""

from expstore.testing.strategies import commit_ids, metadata, metrics, texts
from expstore.testing.valid import assert_valid_experiment

__all__ = [
    "assert_valid_experiment",
    "commit_ids",
    "metadata",
    "metrics",
    "texts",
]
