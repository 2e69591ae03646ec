"""For other projects' tests: do these files keep to the format, and values that any store can hold.

    from expstore.testing import assert_valid_experiment, metrics

    def test_my_writer(tmp_path):
        my_writer(tmp_path / "3f2a9c1d")
        assert_valid_experiment(tmp_path / "3f2a9c1d")

    @given(metrics())
    def test_my_reader(metric): ...

Guarantees: the limits of the generated values are the declarations'; the check reads and changes
nothing. The strategies need Hypothesis (extra `testing`), which is imported when one is called.
With pytest, the fixture `experiment_store` is there without an import (`expstore.testing.plugin`).
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
