"""Helpers for other projects' tests: a check, a fixture, and strategies."""

from __future__ import annotations

import struct
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from expstore import ExperimentStore, Metadata, Metric
from expstore.model.values import RECORD_CODEC
from expstore.store.files import layout
from expstore.testing import (
    assert_valid_experiment,
    commit_ids,
    metadata,
    metrics,
    strategies,
    texts,
)
from formats import META, RECORD, RecordCodec
from tests.helpers.paths import ROOT, VECTORS

pytest_plugins = ["pytester"]

# In a source tree that is not installed, the plugin must be given to pytest explicitly.
INSTALLED = bool(entry_points(group="pytest11", name="expstore"))
PLUGIN = [] if INSTALLED else ["-p", "expstore.testing.plugin"]

SOUND = ["3f2a9c1d", "before-1970", "commit-and-job", "commit-only", "edge-values", "unicode"]


@pytest.fixture
def experiment(store: ExperimentStore) -> Path:
    """A valid experiment of five records."""
    with store.start_experiment("abc", job_name="train", user="alice") as run:
        for step in range(5):
            run.log("loss", step / 4, step)
    return store.experiment_path("abc")


def size_of_record() -> int:
    """The size in bytes of each record of `experiment`."""
    return len(RECORD_CODEC.build(timestamp=0, step=0, value=0.0, name="loss"))


@pytest.mark.parametrize("commit_id", SOUND)
def test_sound_vectors_are_valid(commit_id: str) -> None:
    """The format allows absent fields, any bytes in texts, and extreme values."""
    assert_valid_experiment(VECTORS / "store" / commit_id)
    assert_valid_experiment(str(VECTORS / "store" / commit_id))


def test_metrics_may_be_missing(experiment: Path) -> None:
    """An experiment without data points is valid."""
    assert_valid_experiment(experiment)
    (experiment / layout.METRICS).unlink()
    assert_valid_experiment(experiment)


@pytest.mark.parametrize(
    ("commit_id", "parts"),
    [
        ("bad-version", ["unsupported version: found 2", "field version, byte 0"]),
        ("cut-in-job", ["needs 9 bytes, 2 are left", "field job_name, byte 21"]),
        ("too-short", ["needs 1 byte, 0 are left", "field commit_id, byte 9"]),
        ("empty-file", ["field version, byte 0"]),
        ("trailing-bytes", ["5 bytes after the last field", "byte 30"]),
        ("empty-commit", ["the directory is named 'empty-commit'", "field commit_id, byte 10"]),
    ],
)
def test_damaged_metadata_is_shown(commit_id: str, parts: list[str]) -> None:
    """The failure names the field and the offset, and shows the bytes."""
    with pytest.raises(AssertionError) as caught:
        assert_valid_experiment(VECTORS / "store" / commit_id)
    message = str(caught.value)
    assert message.startswith(str(VECTORS / "store" / commit_id / "meta.bin"))
    assert all(part in message for part in parts)
    assert "00000000  " in message


def test_a_torn_tail_is_shown_with_the_records_before_it(experiment: Path) -> None:
    """Record, field and offset of the tear, and two records of context."""
    path = experiment / layout.METRICS
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(AssertionError) as caught:
        assert_valid_experiment(experiment)
    first, *shown = str(caught.value).splitlines()
    offset = 5 * size_of_record() - 4
    assert first == (f"{path}: needs 4 bytes, 2 are left (field name, record 4, byte {offset})")
    assert [line for line in shown if line.startswith("record")] == [
        "record 2",
        "record 3",
        "record 4",
    ]
    assert shown[-1].startswith(f"! {offset:08x}  6c 6f ")


def test_a_tail_of_zeros_is_shown(experiment: Path) -> None:
    """Zeros parse as records, but no writer wrote them."""
    path = experiment / layout.METRICS
    path.write_bytes(path.read_bytes() + bytes(RecordCodec(RECORD).schema.min_size * 3))
    with pytest.raises(AssertionError, match="zero tail") as caught:
        assert_valid_experiment(experiment)
    assert "record 5: all zeros" in str(caught.value)
    assert f"byte {5 * size_of_record()}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "no such experiment"),
        ("a-plain-file", "no such experiment"),
        ("no-metadata", r"meta\.bin: no such file"),
        (".hidden", "starts with a dot"),
    ],
)
def test_what_is_no_experiment_fails_the_test(name: str, message: str) -> None:
    """If there is nothing to check, the test fails with an AssertionError."""
    with pytest.raises(AssertionError, match=message):
        assert_valid_experiment(VECTORS / "store" / name)


@given(value=metadata())
def test_metadata_fits_its_format(value: Metadata) -> None:
    """Every generated value round-trips."""
    codec = RecordCodec(META)
    fields = {name: getattr(value, name) for name in value.__dataclass_fields__}
    parsed, _ = codec.parse(codec.build(**fields))
    assert parsed == {"version": 1} | fields
    assert layout.check_commit_id(value.commit_id)


@given(value=metrics())
def test_metrics_fit_their_format(value: Metric) -> None:
    """Every generated value round-trips, bit for bit."""
    codec = RecordCodec(RECORD)
    parsed, _ = codec.parse(codec.build(**value._asdict()))
    again = Metric(**parsed)
    assert struct.pack(">d", again.value) == struct.pack(">d", value.value)
    assert again._replace(value=0.0) == value._replace(value=0.0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(commit_id=commit_ids())
def test_any_commit_id_can_be_stored(tmp_path: Path, commit_id: str) -> None:
    """The store and the file system accept every generated id."""
    store = ExperimentStore(tmp_path)
    store.start_experiment(commit_id, user="u").close()
    assert_valid_experiment(store.experiment_path(commit_id))


@pytest.mark.parametrize("limit", [1, 3, 255])
def test_texts_reach_their_limit_and_no_further(limit: int) -> None:
    """The limit counts bytes of UTF-8, and any bytes occur."""

    def size(text: str) -> int:
        return len(text.encode("utf-8", "surrogateescape"))

    assert size(find(texts(limit), lambda text: size(text) == limit)) == limit
    assert find(texts(limit), lambda text: "\udc80" <= text <= "\udcff")

    @given(texts(limit))
    def fits(text: str) -> None:
        assert size(text) <= limit

    fits()


def test_strategies_can_be_narrowed() -> None:
    """A field's own strategy replaces the default."""
    narrow = metrics(name=st.just("loss"), step=st.integers(0, 9))
    assert find(narrow, lambda m: m.step == 7).name == "loss"
    assert find(narrow, lambda m: m.value != m.value).step == 0
    fixed = metadata(commit_id=st.just("abc"), timestamp=st.just(5))
    assert find(fixed, lambda m: m.user == "") == Metadata("abc", 5)


def test_hypothesis_is_needed_only_for_strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the check works, and a strategy's error says what to install."""
    monkeypatch.setattr(strategies, "find_spec", lambda name: None)
    assert_valid_experiment(VECTORS / "store" / "3f2a9c1d")
    for strategy in (commit_ids, metadata, metrics, lambda: texts(3)):
        with pytest.raises(ModuleNotFoundError, match=r"pip install .*\[testing\]"):
            strategy()


def test_importing_loads_no_extra() -> None:
    """Neither the module nor the plugin loads NumPy, Hypothesis or the command line."""
    code = (
        "import sys, expstore.testing, expstore_pytest;"
        "print({'numpy', 'hypothesis', 'typer', 'rich'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


def test_plugin_in_another_project(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fixture needs no import; a failure shows the dump, but not the package's frames."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(
        """
        from hypothesis import given
        from expstore import Metric
        from expstore.testing import assert_valid_experiment, metrics

        def test_sound(experiment_store):
            with experiment_store.start_experiment("abc", user="alice") as run:
                run.log("loss", 0.5, step=1)
            assert_valid_experiment(experiment_store.experiment_path("abc"))

        def test_each_test_has_a_store_of_its_own(experiment_store):
            assert experiment_store.list_experiments() == []

        @given(metrics())
        def test_strategy(metric):
            assert isinstance(metric, Metric)

        def test_torn(experiment_store):
            with experiment_store.start_experiment("abc", user="alice") as run:
                run.log("loss", 0.5, step=1)
            path = experiment_store.metrics_path("abc")
            path.write_bytes(path.read_bytes()[:-1])
            assert_valid_experiment(path.parent)
        """
    )
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*AssertionError: *metrics.bin: needs 4 bytes, 3 are left (field name, record 0, *",
            "*! 00000015  6c 6f 73 * los * name: torn: needs 4 bytes, 3 are left",
        ]
    )
    result.stdout.no_fnmatch_line("*_check_metrics*")


def test_a_broken_run_json_is_not_valid(store: ExperimentStore) -> None:
    """The message names the key; a good one, and none, are valid."""
    with store.start_experiment("a", user="me") as writer:
        writer.log("loss", 0.5, 1)
    assert_valid_experiment(store.root / "a")
    store.update_run("a", tags=["x"])
    assert_valid_experiment(store.root / "a")
    (store.root / "a" / "run.json").write_text('{"tags": 5}')
    with pytest.raises(AssertionError, match="tags"):
        assert_valid_experiment(store.root / "a")
