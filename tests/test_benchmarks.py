"""The benchmarks: their data and comparisons are tested, not their figures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.benchmarks import cluster, live
from tests.benchmarks.corpora import FIVE, Corpora, Corpus
from tests.benchmarks.harness import (
    Bench,
    Result,
    Row,
    Target,
    Unavailable,
    above,
    at_most,
    faster,
    measure,
    within,
)
from tests.report.browser import CHROMIUM, DRIVER

CORPORA = [
    Corpus("in turn", FIVE, 2_000),
    Corpus("further names", FIVE, 2_012, 100, ("val/acc", "val/f1", "epoch")),
    Corpus("at random", FIVE, 2_000, random=True),
]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Small sizes, and no reference program."""
    return Bench(tmp_path, None, quick=True)


@pytest.mark.parametrize("corpus", CORPORA, ids=lambda corpus: corpus.title)
def test_corpus_is_what_it_says(bench: Bench, corpus: Corpus) -> None:
    """The number, names, steps and bytes of a generated log."""
    corpora = Corpora(bench)
    commit_id = corpora.log(corpus)
    table = corpora.store.get_metrics(commit_id)
    size = corpora.store.metrics_path(commit_id).stat().st_size
    assert len(table) == corpus.count
    assert set(table.names) == {*FIVE, *corpus.extra}
    assert size == pytest.approx(corpus.record_bytes * corpus.count, rel=0.01)
    if not corpus.random:
        counts = Counter((metric.step, metric.name) for metric in table)
        assert set(counts.values()) == {1}
        further = {step for step, name in counts if name in corpus.extra}
        assert further == ({99, 199, 299, 399} if corpus.extra else set())
    assert corpora.store.list_experiments() == [commit_id]


def test_equality_with_construct_is_seen_and_so_is_a_difference(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A single record that is read wrongly, anywhere, makes the corpus differ."""
    monkeypatch.setattr("tests.benchmarks.corpora._PIECE", 1000)
    corpora, corpus = Corpora(bench), CORPORA[0]
    assert corpora.verify(corpus, 10**6) == (2_000, True)
    compared, equal = corpora.verify(corpus, 50)
    assert (50 <= compared < 100, equal) == (True, True)
    right = corpora.store.get_metrics(corpus.key)
    with corpora.store.metrics_path(corpus.key).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    monkeypatch.setattr(corpora.store, "get_metrics", lambda _: right)
    assert corpora.verify(corpus, 10**6) == (2_000, False)


def test_store_of_experiments_has_readable_metadata(bench: Bench) -> None:
    """It has the number asked for, of different ages, and a listing reads all without an error."""
    corpora = Corpora(bench)
    root = corpora.experiments(50)
    assert corpora.experiments(50) == root
    result = bench.ours("plan", root, 50, 0)
    assert result["seconds"] > 0
    listed = dict(type(corpora.store)(root).iter_metadata())
    assert len({metadata.timestamp for metadata in listed.values()}) == 50  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("target", "good", "bad"),
    [
        (faster(5), (1.0, 5.0), (1.0, 4.9)),
        (at_most(1.2), (1.2, 1.0), (1.3, 1.0)),
        (within(300, "MB"), (300.0, 0.0), (301.0, 0.0)),
        (above(60, "ms", "bare"), (80.0, 20.0), (80.1, 20.0)),
    ],
)
def test_target_judges_medians(
    target: Target, good: tuple[float, float], bad: tuple[float, float]
) -> None:
    """It is met at its limit and missed beyond it; one outlier changes nothing."""
    for (ours, other), met in ((good, True), (bad, False)):
        samples, others = iter([ours, 1e9, ours]), iter([other, 1e-9, other])
        row = Row("work", "ns", target, samples.__next__, others.__next__)
        assert measure(row, 3).met is met


def test_contenders_take_turns() -> None:
    """A B A B, with the other first."""
    taken: list[str] = []

    def sample(name: str) -> float:
        taken.append(name)
        return 1.0

    result = measure(Row("", "", faster(1), lambda: sample("B"), lambda: sample("A")), 3)
    assert "".join(taken) == "ABABAB"
    assert isinstance(result, Result)


def test_without_the_reference_its_rows_are_left_out_with_a_note(bench: Bench) -> None:
    """The command still succeeds, and says why a row is missing."""
    with pytest.raises(Unavailable, match="--reference"):
        bench.theirs("time-list", bench.work)
    only = ("--only", "import expstore", "--only", "one call")
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--quick", "--json", *only],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
        env={"PATH": "/usr/bin:/bin"},
    )
    result = json.loads(done.stdout)
    assert [row["name"] for row in result["rows"]] == ["import expstore, beyond bare Python"]
    assert len(result["rows"][0]["ours"]) == 5
    assert [note.split(":")[0] for note in result["notes"]] == ["log_metric, one call"]


def test_the_clusters_store_and_answers_are_what_they_should_be(tmp_path: Path) -> None:
    """All records exist, and the answers of one process are those of plain arithmetic."""
    size = cluster.Size(experiments=6, records=250, long_logs=1, long_records=100)
    store = cluster.make_store(tmp_path / "store", size)
    metrics = [metric for i in store.list_experiments() for metric in store.get_metrics(i)]
    assert len(metrics) == 250
    assert max(len(store.get_metrics(i)) for i in store.list_experiments()) == 100
    means = cluster.means_alone(store, tmp_path)
    assert means.keys() == set(cluster.FIVE)
    for name, (count, mean) in means.items():
        values = [metric.value for metric in metrics if metric.name == name]
        assert count == len(values)
        assert mean == pytest.approx(sum(values) / count)
    best = cluster.best_alone(store, tmp_path)
    assert min(best.values()) == min(m.value for m in metrics if m.name == "val/loss")
    assert len(best) == 6


def test_a_sum_over_rows_sees_any_change_and_no_order(tmp_path: Path) -> None:
    """So that a directory of parts can be compared with one file."""
    store = cluster.make_store(tmp_path / "store", cluster.Size(4, 100, 1, 40))
    whole = cluster.export_alone(store, tmp_path)
    expected = cluster.rows_sum(whole)
    table = pq.read_table(whole)
    parts = tmp_path / "parts"
    parts.mkdir()
    for number, part in enumerate([table[50:], table[:50]]):
        pq.write_table(part, parts / f"part-{number}.parquet")
    assert cluster.settled(parts) == expected
    for column in range(table.num_columns):
        cells = table.column(column).to_pylist()
        more = timedelta(1) if isinstance(cells[3], date) else 1
        cells[3] = "other" if isinstance(cells[3], str) else cells[3] + more
        changed = table.set_column(
            column, table.field(column), pa.array(cells).cast(table.field(column).type)
        )
        pq.write_table(changed, tmp_path / "changed.parquet")
        assert cluster.settled(tmp_path / "changed.parquet") != expected
        assert not (tmp_path / "changed.parquet").exists()


def test_a_store_of_any_number_of_records_has_the_shape_of_a_measured_one(tmp_path: Path) -> None:
    """The share in long logs stays; a raw read is of all bytes."""
    assert cluster.size_of(100_000_000) == cluster.FULL
    long = cluster.size_of(1_000_000_000)
    assert long.experiments == 5 * cluster.FULL.experiments
    small = cluster.size_of(1_000_000)
    assert (small.long_records, small.short_records) == (100_000, 30)
    store = cluster.make_store(tmp_path / "store", cluster.Size(3, 90, 1, 50))
    sizes = store.log_sizes(store.list_experiments()).values()
    assert cluster.raw_read(store)[0] == sum(filter(None, sizes))


def test_the_clusters_figures_are_drawn_and_written(tmp_path: Path) -> None:
    """Of several stores; a row has the seconds, the bytes a second, and the peaks."""
    done = []
    for records in (1_000, 10_000):
        samples = {
            who: [cluster.Sample(records / 1e3 / (1 + n), 5_000_000, n * 1_000_000, None)]
            for n, who in enumerate(("one process", "1 worker", "2 workers"))
        }
        cells = dict.fromkeys(cluster._FORMS, samples)
        done.append(cluster.Measured(records, (10**9, 0.5), [1, 2], cells, ["a note"]))
    cluster.write(done, tmp_path)
    text = (tmp_path / "cluster.md").read_text()
    row = "| 10.00 s, 100 MB/s, 5 MB | 5.00 s, 200 MB/s, 5 MB + 1 | 3.33 s, 300 MB/s, 5 MB + 2 |"
    assert f"| check {row}" in text
    assert "- a raw read of the logs: 1.00 GB in 0.5 s, 2,000 MB/s\n- a note" in text
    first = (tmp_path / "cluster.svg").read_bytes()
    assert b"10,000 records" in first
    cluster.write(done, tmp_path)
    assert (tmp_path / "cluster.svg").read_bytes() == first


def test_clients_of_the_live_server_miss_nothing(tmp_path: Path) -> None:
    """24 hours in small, in very small."""
    figures = live.long_form(tmp_path, 40_000)
    assert figures["points missed"] == 0
    assert figures["curves asked for again"] >= 3 * 4 * 2  # each client asked for each curve


@pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="no chromium or chromium-driver")
def test_browsers_that_watch_miss_nothing(tmp_path: Path) -> None:
    """The same with a real one, whose charts say of how many points they are."""
    figures = live.long_form(tmp_path, 10_000, browsers=1)
    assert figures["points missed"] == 0


def test_the_first_curve_is_timed(tmp_path: Path) -> None:
    """Over the same points as every other row."""
    store = live.make(tmp_path / "store", live.twenty(100))
    assert [len(store.get_metrics(name)) for name in store.list_experiments()] == [100] * 20
    figures = live.first_curve(store)
    assert 0 < figures["first curve, s"] <= figures["all 20, s"]
