"""Comparisons by parameters, fields and groups, and as tables for pandas and notebooks."""

from __future__ import annotations

import math
import os
import pickle
import statistics
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from expstore import (
    ExperimentStore,
    RunFileError,
    SelectionError,
    UnknownMetricError,
    WhereError,
    start,
)
from expstore.compare import Comparison, RunStatus, Summary, compare, curves, select
from expstore.compare.interest import best_aspect, by_interest
from tests.helpers.runs import add

HOSTILE = "<script>alert(1)</script>\x1b\u202e"


@pytest.fixture
def sweep(store: ExperimentStore) -> ExperimentStore:
    """Two learning rates with three seeds each; one run's last loss is NaN."""
    for number, (lr, seed) in enumerate([(lr, seed) for lr in (0.1, 0.01) for seed in range(3)]):
        values = [number + 1.0, math.nan if number == 4 else number + 2.0]
        params = {"lr": lr, "seed": seed, "net": {"depth": number % 2}}
        add(store, f"run{number}", params, {"val/loss": values, "val/acc": [0.5]}, tags=["s"])
    add(store, "plain", None, {"val/loss": [0.5]})
    return store


def ids(found: list[Summary]) -> list[str]:
    """The order of a comparison."""
    return [one.commit_id for one in found]


def test_a_summary_has_what_run_json_says(sweep: ExperimentStore) -> None:
    """Parameters by flat name; nothing of an experiment without the file."""
    plain, first = compare(sweep, ["plain", "run0"])
    assert first.params == {"lr": 0.1, "seed": 0, "net.depth": 0}
    assert (first.tags, first.status, plain.params, plain.status) == (
        ("s",),
        "unknown",
        {},
        "unknown",
    )
    assert plain.duration == 0.0


def test_a_running_and_a_failed_run_are_told_apart(tmp_path: Path) -> None:
    """By the writer's lock, and by what the run wrote when it ended."""
    with start(tmp_path, "a", params={"lr": 1}) as run:
        run.log({"loss": 1.0})
        (one,) = compare(ExperimentStore(tmp_path))
        assert (one.status, one.params) == ("running", {"lr": 1})
    with pytest.raises(ZeroDivisionError), start(tmp_path, "b"):
        raise ZeroDivisionError
    found = compare(ExperimentStore(tmp_path), where="status == failed")
    assert ids(found) == ["b"]
    assert found[0].duration is not None


def test_superseded_points_are_left_out(tmp_path: Path) -> None:
    """The minimum of a run that was resumed from an earlier step is that of what counts."""
    with start(tmp_path, "a") as run:
        for step, value in enumerate([3.0, 2.0, 0.1]):
            run.log({"loss": value}, step)
    with start(tmp_path, "a", resume=True, from_step=2) as run:
        run.log({"loss": 1.0}, 2)
    (one,) = compare(ExperimentStore(tmp_path), where="loss:min > 0.5")
    assert (one.metrics["loss"].min, one.metrics["loss"].points) == (1.0, 3)


def test_a_status_is_false_if_the_log_is_damaged(sweep: ExperimentStore) -> None:
    """As the state of the log's end is, which it carries, also to another process."""
    with sweep.metrics_path("run0").open("ab") as file:
        file.write(b"torn")
    good, torn = compare(sweep, ["run1", "run0"])
    assert good.status
    assert not torn.status
    assert torn.tail.kind == "torn"
    copy = pickle.loads(pickle.dumps(torn))
    assert (copy.status, copy.tail, bool(copy.status)) == ("unknown", torn.tail, False)
    assert RunStatus("running") == "running"


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ({"sort": "lr"}, ["run3", "run4", "run5", "run0", "run1", "run2", "plain"]),
        (
            {"sort": "lr", "reverse": True},
            ["run0", "run1", "run2", "run3", "run4", "run5", "plain"],
        ),
        ({"sort": "val/loss", "limit": 2}, ["plain", "run0"]),
        ({"sort": "val/loss", "reverse": True, "limit": 2}, ["run5", "run3"]),
        ({"sort": "id", "reverse": True, "limit": 1}, ["run5"]),
        ({"limit": 2}, ["plain", "run0"]),
        ({"where": "lr < 0.05", "sort": "seed", "reverse": True}, ["run5", "run4", "run3"]),
        ({"where": "net.depth == 1 and val/loss:min < 3"}, ["run1"]),
        ({"where": "lr > 5", "names": ["val/loss"], "sort": "val/loss"}, []),
    ],
)
def test_experiments_are_sorted_selected_and_cut(
    options: dict[str, object], order: list[str], sweep: ExperimentStore
) -> None:
    """By parameters, fields and metrics alike; what has no value comes last."""
    assert ids(compare(sweep, **options)) == order  # type: ignore[call-overload]


def test_several_processes_read_as_one_does(sweep: ExperimentStore) -> None:
    """Also where an expression, an order or groups need the logs."""
    with sweep.metrics_path("run0").open("ab") as file:
        file.write(b"torn")
    options = {"where": "val/loss:min < 9 and lr != none", "sort": "val/loss:max"}
    one, several = (compare(sweep, jobs=jobs, **options) for jobs in (1, 2))
    assert repr(several) == repr(one)  # equal but for NaN, which differs from itself
    assert [summary.tail for summary in several] == [summary.tail for summary in one]


def test_values_of_all_kinds_can_be_sorted(store: ExperimentStore) -> None:
    """Numbers, then texts, then the rest, then what is missing."""
    for name, value in zip("abcdef", ["x", 2, [1], None, 0.5, "a"], strict=True):
        add(store, name, {"p": value})
    assert "".join(ids(compare(store, sort="p"))) == "ebfacd"
    assert "".join(ids(compare(store, sort="p", reverse=True))) == "cafbed"


def test_names_may_be_patterns(sweep: ExperimentStore) -> None:
    """In a comparison and for curves; one that matches nothing is an error."""
    assert list(compare(sweep, ["run0"], ["*acc", "val/*"])[0].metrics) == ["val/acc", "val/loss"]
    assert [curve.name for curve in curves(sweep, ["run0"], ["val/?oss"])] == ["val/loss"]
    with pytest.raises(UnknownMetricError):
        compare(sweep, names=["train/*"])
    add(sweep, "damaged", None, {f"\0{number}": [1.0] for number in range(30)} | {"": [1.0]})
    with pytest.raises(UnknownMetricError, match="metrics are: val/acc, val/loss, "):
        compare(sweep, names=["nothing"])
    add(sweep, "odd", None, {"*": [1.0], "b": [2.0]})
    assert list(compare(sweep, ["odd"], ["*"])[0].metrics) == ["*"]


def test_groups_have_mean_and_deviation(sweep: ExperimentStore) -> None:
    """Of each statistic over the runs; a NaN does not enter, and missing settings are a group."""
    low, high, without = compare(sweep, group_by="lr")
    assert (low.by, high.by, without.by) == ({"lr": 0.01}, {"lr": 0.1}, {"lr": None})
    assert high.ids == ("run0", "run1", "run2")
    assert (high.count, without.count) == (3, 1)
    loss = high.metrics["val/loss"]
    assert loss.last.mean == statistics.mean([2, 3, 4])
    assert loss.last.std == pytest.approx(statistics.stdev([2, 3, 4]))
    last = low.metrics["val/loss"].last
    assert (last.mean, last.count) == (6.0, 2)
    assert math.isnan(without.metrics["val/loss"].min.std)
    assert "val/acc" not in without.metrics


def test_groups_are_sorted_and_cut(sweep: ExperimentStore) -> None:
    """By a setting, a metric's mean, or the count."""
    found = compare(sweep, group_by=["lr", "net.depth"], sort="val/loss:min", limit=2)
    assert [tuple(group.by.values()) for group in found] == [(None, None), (0.1, 0)]
    found = compare(sweep, group_by="seed", sort="count", reverse=True, where="lr != none")
    assert [group.by["seed"] for group in found] == [0, 1, 2]
    assert compare(sweep, where="lr > 9", group_by="lr") == []


def test_groups_are_sorted_by_a_metric_that_is_not_shown(sweep: ExperimentStore) -> None:
    """The names that are shown have no influence on the order."""
    wanted = [group.by for group in compare(sweep, group_by="seed", sort="val/loss:min")]
    found = compare(sweep, group_by="seed", sort="val/loss:min", names=["val/acc"])
    assert [group.by for group in found] == wanted
    reverse = {"sort": "val/loss:min", "reverse": True, "names": ["val/acc"]}
    found = compare(sweep, group_by="lr", **reverse)
    assert [group.by["lr"] for group in found] == [0.01, 0.1, None]


def test_what_a_condition_takes_for_equal_is_one_group(store: ExperimentStore) -> None:
    """Numbers by their value, also as text; a truth value is none, nor is what is only like one."""
    values = [1, "1", 1.0, "1e0", True, 2**53, float(2**53), 0, -0.0, "nan", "NaN", "null", None]
    for number, value in enumerate(values):
        add(store, f"run{number}", {"p": value}, {"loss": [1.0]})
    groups = compare(store, group_by="p")
    assert [len(group.ids) for group in groups] == [2, 4, 1, 2, 1, 1, 1, 1]
    for group in groups:
        value = group.by["p"]
        where = f"p == '{value}'" if isinstance(value, str) else f"p == {str(value).lower()}"
        assert [one.commit_id for one in compare(store, where=where)] == list(group.ids)


BIG = sys.float_info.max


@pytest.mark.parametrize(
    ("values", "mean", "std"),
    [
        ([math.inf, -math.inf], math.nan, math.nan),
        ([math.inf, 1.0, math.nan], math.inf, math.nan),
        ([BIG, BIG, BIG], BIG, 0.0),
        ([BIG, -BIG, -BIG], -BIG / 3, math.inf),
        ([BIG / 2, -BIG / 2], 0.0, BIG / math.sqrt(2)),
        ([5e-324, 5e-324], 5e-324, 0.0),
        ([0.0, -0.0], 0.0, 0.0),
    ],
)
def test_groups_of_extreme_values(
    store: ExperimentStore, values: list[float], mean: float, std: float
) -> None:
    """Infinities make a mean infinite, or NaN if there are both; nothing overflows on the way."""
    for number, value in enumerate(values):
        add(store, f"run{number}", {"p": 1}, {"loss": [value]})
    (group,) = compare(store, group_by="p")
    spread = group.metrics["loss"].last
    assert spread.mean == pytest.approx(mean, nan_ok=True)
    assert spread.std == pytest.approx(std, nan_ok=True)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_log_that_cannot_be_read_is_never_passed_over_in_silence(
    sweep: ExperimentStore, jobs: int
) -> None:
    """A condition on its metrics is neither true nor false; nor is it lost beyond a limit."""
    add(sweep, "odd", {"lr": 0.1}, {"val/loss": [1.0]})
    sweep.metrics_path("odd").unlink()
    sweep.metrics_path("odd").mkdir()
    for where in ("val/loss < 3", "not val/loss < 3", "val/loss == none"):
        found = compare(sweep, where=where, jobs=jobs)
        assert "odd" not in ids(found)
        assert "not a regular file" in found.unread["odd"]
        assert "odd" not in select(sweep, where)
    assert "odd" in ids(compare(sweep, where="lr == 0.1 or val/loss < 3"))
    assert compare(sweep, where="lr == 0.01 and val/loss < 3").unread == {}
    whole = compare(sweep, sort="val/loss", jobs=jobs)
    assert (ids(whole)[-1], whole.unread) == ("odd", {})
    assert compare(sweep, sort="val/loss", limit=2).unread.keys() == {"odd"}
    assert compare(sweep, group_by="lr").unread.keys() == {"odd"}
    assert pickle.loads(pickle.dumps(compare(sweep, limit=1, sort="val/loss"))).unread


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"group_by": []}, SelectionError),
        ({"group_by": "val/loss"}, SelectionError),
        ({"group_by": "nothing"}, UnknownMetricError),
        ({"group_by": "lr", "sort": "nothing"}, UnknownMetricError),
        ({"limit": 0}, SelectionError),
        ({"limit": 1.5}, SelectionError),
        ({"where": "lr <"}, WhereError),
        ({"sort": "nothing"}, UnknownMetricError),
    ],
)
def test_invalid_arguments_are_refused(
    options: dict[str, object], error: type[Exception], sweep: ExperimentStore
) -> None:
    """Each with its own error."""
    with pytest.raises(error):
        compare(sweep, **options)  # type: ignore[call-overload]


def test_a_broken_run_file_is_a_problem(sweep: ExperimentStore) -> None:
    """The experiment is there with its metrics."""
    (sweep.experiment_path("run0") / "run.json").write_text("{")
    (one,) = compare(sweep, ["run0"])
    with pytest.raises(RunFileError) as caught:
        sweep.read_run("run0")
    assert one.problems == (str(caught.value),)
    assert one.metrics["val/loss"].min == 1.0


def test_a_comparison_is_a_list_and_a_frame(sweep: ExperimentStore) -> None:
    """One row for each experiment, a column for each parameter and statistic."""
    found = compare(sweep)
    assert isinstance(found, list)
    assert found == list(found)
    assert found[1:3] == [found[1], found[2]]
    frame = found.to_pandas()
    assert list(frame["commit_id"]) == ids(found)
    assert frame["param.lr"].isna().tolist() == [True] + [False] * 6
    assert frame["metric.val/loss:min"].tolist() == [0.5, 1, 2, 3, 4, 5, 6]
    assert frame["metric.val/loss:min_step"].tolist() == [0.0] * 7
    groups = compare(sweep, group_by="lr").to_pandas()
    assert groups["count"].tolist() == [3, 3, 1]
    assert groups["metric.val/acc:max.mean"].tolist()[:2] == [0.5, 0.5]
    assert Comparison([]).to_pandas().empty


class Reader(HTMLParser):
    """Collects the elements and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: D102
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:  # noqa: D102
        self.text += data + " "


def test_tables_for_notebooks_show_text_as_text(tmp_path: Path) -> None:
    """Of a store, a table, a run, a plan and a comparison; names and values cannot be markup."""
    with start(tmp_path, "a<b", HOSTILE, HOSTILE, params={HOSTILE: HOSTILE}, notes=HOSTILE) as run:
        run.log({HOSTILE: 0.25})
        shown = run._repr_html_()
    store = ExperimentStore(tmp_path)
    pages = [
        shown,
        store._repr_html_(),
        store.get_metrics("a<b")._repr_html_(),
        store.plan_prune(0)._repr_html_(),
        compare(store)._repr_html_(),
        compare(store, group_by=f"param.{HOSTILE}")._repr_html_(),
    ]
    for page in pages:
        read = Reader(page)
        assert read.tags <= {"div", "table", "thead", "tbody", "tr", "th", "td"}
        assert "script" in read.text or "a<b" in read.text
        assert "\x1b" not in page
        assert len(page) < 20_000
    missing = ExperimentStore(tmp_path / "missing")._repr_html_()
    assert "missing" in missing


def test_a_notebook_shows_tables(tmp_path: Path) -> None:
    """In a kernel as users run it."""
    nbclient = pytest.importorskip("nbclient", reason="comes with the extra test")
    nbformat = pytest.importorskip("nbformat", reason="comes with the extra test")
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    code = [
        "import expstore; from expstore.compare import compare",
        "run = expstore.start('root', 'a', params={'lr': 0.5}); run.log({'loss': 0.25}); run",
        "run.close(); store = run.store; store",
        "store.get_metrics('a')",
        "store.plan_prune(0)",
        "compare(store, where='lr < 1')",
    ]
    cells = [nbformat.v4.new_code_cell(source) for source in code]
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = nbclient.NotebookClient(
        notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    for cell in notebook.cells[1:]:
        (output,) = cell.outputs
        assert "<table" in output["data"]["text/html"]
        assert {"a", "loss"} & set(Reader(output["data"]["text/html"]).text.split())
        assert output["data"]["text/plain"]


def test_the_best_of_a_metric_is_guessed_from_its_name() -> None:
    """The last word that says so decides; what no word tells is shown by its last value."""
    low = ("loss", "val/loss", "valLoss", "test_error", "eval/wer", "acc_loss", "train-ppl", "mse")
    high = ("accuracy", "val_acc", "f1", "mAP", "top5", "reward", "dev/BLEU", "error_recall")
    low += ("valid_0/l2", "training/l1", "validation_0/mlogloss", "train/merror", "test/rmsle")
    assert {best_aspect(name) for name in low} == {"min"}
    assert {best_aspect(name) for name in high} == {"max"}
    assert {best_aspect(name) for name in ("lr", "epoch", "glossary", "", "損失")} == {"last"}
    names = ["grad/loss", "lr", "loss", "system/cpu", "val/acc", "test_loss"]
    assert by_interest(names) == ["val/acc", "test_loss", "loss", "grad/loss", "lr", "system/cpu"]
