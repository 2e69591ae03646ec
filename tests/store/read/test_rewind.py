"""Superseded records, and steps that go back without a word."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import expstore
import expstore.cli.experiments
from expstore import ExperimentStore, MetricTable, RunInfo, RunStart
from expstore.cli.base import app
from expstore.compare import compare, curves
from expstore.compare.curves import load
from expstore.exchange.export import export_file
from expstore.store.read.rewind import BackwardSteps, Rewind


def table_of(steps: list[int], names: list[str] | None = None) -> MetricTable:
    """A table of these steps, of one metric or of these."""
    names = names or ["x"] * len(steps)
    known = list(dict.fromkeys(names))
    return MetricTable(
        known,
        np.array([known.index(name) for name in names], np.int32),
        np.arange(len(steps), dtype=float),
        np.array(steps, np.uint32),
        np.full(len(steps), 1_700_000_000),
    )


def rewound(root: Path) -> ExperimentStore:
    """A run `a` that went wrong at step 3, and was resumed from there; values are 1, then 2."""
    with expstore.start(root, "a") as run:
        for step in range(6):
            run.log({"loss": 1.0 if step < 3 else 100.0, "acc": 1.0}, step=step)
    with expstore.start(root, "a", resume=True, from_step=3) as run:
        for step in range(3, 5):
            run.log({"loss": 2.0}, step=step)
    return run.store


STEPS = st.integers(0, 9)
STARTS = st.lists(
    st.builds(
        RunStart,
        st.just(0.0),
        from_step=st.none() | STEPS,
        records=st.integers(0, 30),
    ),
    max_size=4,
)


@given(st.lists(STEPS, max_size=30), STARTS, st.integers(1, 10))
def test_the_rule_is_that_of_the_specification(
    steps: list[int], starts: list[RunStart], chunk: int
) -> None:
    """Record by record, for a whole log and for its parts."""
    wanted = [
        not any(
            s.from_step is not None and index < s.records and step >= s.from_step for s in starts
        )
        for index, step in enumerate(steps)
    ]
    rewind, table = Rewind(starts), table_of(steps)
    kept = rewind.current(table)
    assert kept.values.tolist() == [i for i, keep in enumerate(wanted) if keep]
    found: list[bool] = []
    for first in range(0, len(steps), chunk):
        part = table[first : first + chunk]
        rows = rewind.rows(part, first)
        found += [True] * len(part) if rows is None else rows.tolist()
    assert found == wanted


def test_a_library_chooses_and_tools_leave_it_out(tmp_path: Path) -> None:
    """get_metrics and iter_metrics as wanted; compare, curves and the wide table without."""
    store = rewound(tmp_path)
    assert len(store.get_metrics("a")) == 14
    table = store.get_metrics("a", superseded=False)
    assert table["loss"].values.tolist() == [1, 1, 1, 2, 2]
    assert table["acc"].steps.tolist() == [0, 1, 2]
    parts = list(store.iter_metrics("a", ["loss"], chunk=3, superseded=False))
    assert [v for part in parts for v in part.values.tolist()] == [1, 1, 1, 2, 2]
    (summary,) = compare(store)
    assert summary.metrics["loss"].max == 2.0
    assert [c.series.values.max() for c in curves(store, names=["loss"])] == [2.0]
    (loaded,) = load(store)
    assert len(loaded.run.starts) == 2
    wide, long = tmp_path / "wide.csv", tmp_path / "long.csv"
    export_file(store, None, wide, "csv", wide_form=True)
    export_file(store, None, long, "csv")
    assert len(wide.read_text().splitlines()) == 1 + 5
    assert len(long.read_text().splitlines()) == 1 + 14


def test_a_broken_run_json_is_a_problem_of_one_experiment(tmp_path: Path) -> None:
    """Its metrics are shown whole, and the others' as ever."""
    store = rewound(tmp_path)
    expstore.start(tmp_path, "b").close()
    (tmp_path / "a" / "run.json").write_text("{")
    first, second = compare(store)
    assert "run.json" in first.problems[0]
    assert first.metrics["loss"].max == 100.0
    assert second.problems == ()
    report = export_file(store, None, tmp_path / "wide.csv", "csv", wide_form=True)
    assert list(report.failures) == ["a"]
    assert report.rows == 6
    with pytest.raises(expstore.RunFileError):
        store.get_metrics("a", superseded=False)


def test_what_others_append_is_not_superseded(tmp_path: Path) -> None:
    """Neither before the resumed run logs nor after; whatever its step."""
    store = rewound(tmp_path)
    store.log_metric("a", "other", 5.0, 9)
    assert store.get_metrics("a", superseded=False)["other"].values.tolist() == [5.0]


@pytest.mark.parametrize("tail", [b"torn", bytes(21 * 4), bytes(50)])
def test_a_repaired_log_keeps_its_places(tmp_path: Path, tail: bytes) -> None:
    """A bad tail when the run was resumed is no record, also once it is cut."""
    store = ExperimentStore(tmp_path)
    with expstore.start(tmp_path, "a") as run:
        for step in range(6):
            run.log({"x": step}, step=step)
    with (tmp_path / "a" / "metrics.bin").open("ab") as file:
        file.write(tail)
    run = expstore.start(tmp_path, "a", resume=True, from_step=3)
    assert run.info.starts[-1].records == 6
    run.close()
    store.repair("a")
    with store.writer("a") as writer:
        writer.log("x", 30.0, 3)
    values = store.get_metrics("a", superseded=False)["x"].values.tolist()
    assert values == [0, 1, 2, 30]


@pytest.mark.parametrize("cut", [5, 45])
def test_a_salvaged_log_has_new_places(tmp_path: Path, cut: int) -> None:
    """Where records before a start are lost, the others are told by their times."""
    store = ExperimentStore(tmp_path)
    expstore.start(tmp_path, "a", params={"lr": 0.1}).close()
    then = 1_700_000_000
    with store.writer("a") as writer:
        for value, first, time in ((1.0, 0, then), (2.0, 20, then + 100)):
            steps = range(first, first + 40)
            columns = {"name": "loss", "value": [value] * 40, "step": steps}
            writer.append({**columns, "timestamp": [time] * 40})
    starts = (RunStart(then - 0.5), RunStart(then + 50.5, from_step=20, records=40))
    store.change_run("a", lambda info: replace(info, starts=starts))
    wanted = store.get_metrics("a", superseded=False)
    path = tmp_path / "a" / "metrics.bin"
    data = path.read_bytes()
    size = len(data) // 80
    path.write_bytes(data[: cut * size + 7] + data[(cut + 1) * size :])  # cut inside a record
    store.salvage("a", "b")
    info = store.read_run("b")
    assert info.params == {"lr": 0.1}
    assert [start.records for start in info.starts] == [0, 39 if cut < 40 else 40]
    lost = cut if cut < 40 else cut - 20
    salvaged = store.get_metrics("b", superseded=False)
    assert salvaged.steps.tolist() == [s for s in wanted.steps.tolist() if s != lost]
    assert (salvaged.values == [1.0 if s < 20 else 2.0 for s in salvaged.steps]).all()


def test_a_broken_run_json_is_salvaged_as_it_is(tmp_path: Path) -> None:
    """So that it can be corrected there."""
    store = rewound(tmp_path)
    (tmp_path / "a" / "run.json").write_text("{")
    store.salvage("a", "b")
    assert (tmp_path / "b" / "run.json").read_text() == "{"


def slow(steps: list[int], names: list[str], keep: list[bool]) -> list[tuple[int, str, int, int]]:
    """The records whose step goes back, one by one."""
    last: dict[str, int] = {}
    found = []
    for index, (step, name) in enumerate(zip(steps, names, strict=True)):
        if keep[index]:
            if step < last.get(name, -1):
                found.append((index, name, last[name], step))
            last[name] = step
    return found


@given(
    st.lists(st.tuples(STEPS, st.sampled_from(["x", "y", "z"])), max_size=30),
    STARTS,
    st.integers(1, 12),
)
def test_backward_steps_are_those_of_each_metric(
    rows: list[tuple[int, str]], starts: list[RunStart], chunk: int
) -> None:
    """In one table, and in the parts of a log; superseded records do not count."""
    steps, names = [step for step, _ in rows], [name for _, name in rows]
    table = table_of(steps, names)
    counted = Rewind(starts).rows(table)
    wanted = slow(steps, names, [True] * len(rows) if counted is None else counted.tolist())
    whole = BackwardSteps(starts)
    whole.look_at(table)
    parts = BackwardSteps(starts)
    for first in range(0, len(rows), chunk):
        part = slice(first, first + chunk)
        parts._look(
            table.name_codes[part],
            table.steps[part],
            first,
            lambda row, first=first: names[first + row],
        )
    for found in (whole, parts):
        assert found.count == len(wanted)
        assert found.first == (wanted[0] if wanted else None)


def notes(store: ExperimentStore) -> list[tuple[Any, ...]]:
    """What a check notes about steps."""
    return [(f.record, f.detail) for f in store.check("a").findings if f.kind == "steps-back"]


def test_a_check_notes_steps_that_go_back(tmp_path: Path) -> None:
    """At which record; it is no damage. With `from_step` there is nothing to note."""
    store = rewound(tmp_path)
    assert notes(store) == []
    store.change_run("a", lambda info: replace(info, starts=()))
    assert notes(store) == [(12, "1 times; first that of 'loss', from 5 to 3")]
    assert store.check("a").ok


def test_a_check_of_very_many_names_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the codes of names begin anew, nothing wrong is noted."""
    monkeypatch.setattr("expstore.store.read.survey._TEXTS", 10)
    monkeypatch.setattr("expstore.store.read.survey._BLOCK", 500)
    store = ExperimentStore(tmp_path)
    store.create_experiment("a")
    with store.writer("a") as writer:
        for number in range(100):
            writer.log(f"name {number}", 0.5, 100 - number)
        writer.log("name 99", 0.5, 0)
    assert notes(store) == [(100, "1 times; first that of 'name 99', from 1 to 0")]


def test_an_empty_record_of_a_run_changes_nothing() -> None:
    """The table itself is returned."""
    table = table_of([3, 1])
    assert Rewind(RunInfo().starts).current(table) is table
    assert not Rewind([RunStart(1.0, from_step=0, records=0)])


def test_show_leaves_superseded_points_out_and_names_steps_that_go_back(tmp_path: Path) -> None:
    """On the terminal and as JSON; a broken run.json does not keep it from showing the rest."""
    store = rewound(tmp_path)
    shown = CliRunner().invoke(app, ["show", "a", "--root", str(tmp_path)])
    assert "metrics   8 points" in shown.stdout
    assert "left out  6 points superseded by a resume" in shown.stdout
    assert "100" not in shown.stdout
    values = show(tmp_path)
    assert (values["superseded"], values["steps_back"]) == (6, None)
    assert {row["name"]: row["max"] for row in values["metrics"]} == {"loss": 2.0, "acc": 1.0}
    store.change_run("a", lambda info: replace(info, starts=()))
    shown = CliRunner().invoke(app, ["show", "a", "--root", str(tmp_path)])
    assert "note      steps go back 1 times; first loss from 5 to 3, record 12" in shown.stdout
    back = {"record": 12, "name": "loss", "before": 5, "step": 3}
    assert show(tmp_path)["steps_back"] == back
    (tmp_path / "a" / "run.json").write_text("{")
    shown = CliRunner().invoke(app, ["show", "a", "--root", str(tmp_path)])
    assert shown.exit_code == 0
    assert "14 points" in shown.stdout
    assert "run.json: not JSON" in shown.stderr


def show(root: Path) -> dict[str, Any]:
    """What `expstore show --json` gives."""
    shown = CliRunner().invoke(app, ["show", "a", "--json", "--root", str(root)])
    values: dict[str, Any] = json.loads(shown.stdout)
    return values
