"""What a page gets of a store: rows of experiments, and curves as bytes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from expstore import ExperimentStore
from expstore.compare.axes import TimedSeries, split_timed
from expstore.report.artifacts import image_type, list_artifacts, read_artifact
from expstore.report.curvedata import curve_payload
from expstore.report.page import collect
from expstore.report.payload import page_payload, runs_payload, to_json
from tests.helpers.application import log
from tests.report.pages import log_run, png, points


def test_problems_are_reported(hostile: ExperimentStore) -> None:
    """Torn, unreadable and empty experiments are included, without the path of the store."""
    runs = {entry["id"]: entry for entry in collect(hostile, hostile.list_experiments())["runs"]}
    assert "torn tail of 2 bytes" in runs["torn"]["tail"]
    assert runs["fifo"]["problems"] == ["fifo/metrics.bin: not a regular file"]
    assert "no metadata" in runs["no-metadata"]["problems"][0]
    assert str(hostile.root) not in json.dumps(list(runs.values()))


def curves_of(store: ExperimentStore, commit_id: str) -> dict[str, TimedSeries]:
    """The curves of one experiment."""
    return split_timed(store.get_metrics(commit_id))


def test_short_curves_are_complete_and_accurate(store: ExperimentStore) -> None:
    """Curves keep enough digits to be drawn, even with large offsets; steps and times are exact."""
    for name, values in {
        "plain": [0.1, 0.2, 1e9],
        "offset": [1e9 + 0.25, 1e9 + 0.5],
        "tiny": [1e-300, 2e-300],
        "huge": [1e300, -1e300],
        "gaps": [1.0, float("nan"), float("inf")],
    }.items():
        log(store, name, {name: values})
        whole = store.get_metrics(name)
        found = points(*curve_payload(curves_of(store, name)[name], 100))
        assert found["steps"] == whole.steps.tolist()
        assert found["times"] == whole.timestamps.tolist()
        np.testing.assert_allclose(found["values"], whole.values, rtol=1e-6)
        finite = np.isfinite(whole.values)
        error = np.abs(np.array(found["values"])[finite] - whole.values[finite])
        assert (error <= np.ptp(whole.values[finite]) * 1e-5).all()


def test_long_curves_are_thinned_and_keep_their_spike(store: ExperimentStore) -> None:
    """50,000 points become at most 4,000; last, min and max are taken over all points."""
    values = np.linspace(1, 2, 50_000)
    values[31_415] = 9.0
    log(store, "a", {"loss": values.tolist()})
    data = collect(store, ["a"])
    ((curve,),) = data["curves"]
    assert curve["n"] <= 4000
    assert curve["points"] == 50_000
    found = points(curve)
    assert found["values"][found["steps"].index(31_415)] == 9.0
    assert sum(found["counts"]) == 50_000
    assert data["runs"][0]["metrics"] == [[0, 50_000, 2.0, 49_999, 1.0, 0, 9.0, 31_415]]


def test_a_part_of_a_curve_has_the_points_next_to_it() -> None:
    """By step or by time, so that its line enters and leaves the picture where it should."""
    steps = np.arange(1000)
    curve = TimedSeries(steps, steps * 1.0, 5000 - steps)
    found = points(*curve_payload(curve, 100, start=500, end=509.5))
    assert found["steps"] == list(range(499, 511))
    header, data = curve_payload(curve, 8, x="time", start=4100, end=4900)
    assert header["points"] == 803
    assert header["n"] <= 8
    found = points(header, data)
    assert found["times"] == sorted(found["times"])
    assert (found["times"][0], found["times"][-1]) == (4099, 4901)
    assert points(*curve_payload(curve, 100, start=5000, end=6000))["steps"] == [999]


@pytest.mark.parametrize("times", [[0, 2**40], [-(2**62), 2**62], [7, 7]])
def test_times_of_any_range_are_kept(times: list[int]) -> None:
    """Those of a damaged record too, to the precision of float64."""
    curve = TimedSeries(np.array([0, 1]), np.zeros(2), np.array(times))
    assert points(*curve_payload(curve, 8))["times"] == times


def test_an_empty_curve_has_no_columns() -> None:
    """Nothing is sent, and nothing fails."""
    nothing = np.empty(0, np.int64)
    header, data = curve_payload(TimedSeries(nothing, nothing * 1.0, nothing), 8)
    assert (header, data) == ({"n": 0, "points": 0, "columns": []}, b"")


def test_many_curves_share_the_space(store: ExperimentStore) -> None:
    """The more curves there are, the fewer points each has."""
    steps = np.tile(np.arange(2000), 300)
    names = np.repeat([f"m{i}" for i in range(300)], 2000).tolist()
    with store.start_experiment("a") as writer:
        writer.append({"name": names, "step": steps, "value": steps * 1.0})
    (curves,) = collect(store, ["a"])["curves"]
    assert len(curves) == 300
    assert 400_000 / 300 * 0.9 < curves[0]["n"] <= 400_000 / 300


def test_rows_say_what_run_json_says(store: ExperimentStore) -> None:
    """Parameters flat, numbers as numbers; what is empty is left out."""
    log(store, "a", {"loss": [2.0, math.nan, 1.0]})
    params = {
        "lr": 0.1,
        "model": {"depth": 3, "wide": True},
        "on": [1, 2],
        "big": 2**60,
        "no": None,
    }
    starts = [{"started": 1.5, "ended": 3, "outcome": "finished", "from_step": 7}]
    log_run(store.experiment_path("a"), params=params, tags=["x"], notes="one\ntwo", starts=starts)
    log(store, "b", {})
    (row, _), (empty, table) = runs_payload(store, ["a", "b"])
    assert row["params"] == {
        **{"lr": 0.1, "model.depth": 3, "model.wide": True},
        **{"on": "[1, 2]", "big": str(2**60), "no": None},
    }
    assert (row["tags"], row["notes"], row["status"]) == (["x"], "one\ntwo", "finished")
    assert row["starts"][0]["from"] == 7
    assert row["metrics"] == {"loss": [3, 1.0, 2, 1.0, 2, 2.0, 0, 1, 1]}
    assert set(empty) == {"id", "job", "user", "created"}
    assert table is not None


def test_only_a_status_is_left_out_as_unknown(store: ExperimentStore) -> None:
    """An experiment, a job and a user may be called so."""
    with store.start_experiment("unknown", "unknown", "unknown"):
        pass
    ((row, _),) = runs_payload(store, ["unknown"])
    created = store.read_metadata("unknown").timestamp
    assert row == {"id": "unknown", "job": "unknown", "user": "unknown", "created": created}


def test_text_of_any_kind_can_be_shown(store: ExperimentStore) -> None:
    """Control characters and bidi overrides are escaped, long texts cut, and the key is exact."""
    name = b"\xff\x1b".decode("utf-8", "surrogateescape")
    log(store, "a", {name: [1.0]})
    log_run(store.experiment_path("a"), params={"\u202e<b>": "x" * 20_000}, notes="n\u202e" * 9000)
    ((row, _),) = runs_payload(store, ["a"])
    assert row["params"] == {r"\u202e<b>": "x" * 9999 + "…"}
    assert "\u202e" not in row["notes"]
    assert page_payload([row])["names"] == [[r"\udcff\x1b", "\\xff\x1b"]]
    assert not {"<", ">", "&", "\u202e", "…"} & set(to_json(row))


def test_a_broken_run_json_is_a_problem_of_its_row(store: ExperimentStore) -> None:
    """The metrics are shown all the same."""
    log(store, "a", {"loss": [1.0]})
    (store.experiment_path("a") / "run.json").write_text("[1]")
    ((row, _),) = runs_payload(store, ["a"])
    assert "run.json" in row["problems"][0]
    assert str(store.root) not in row["problems"][0]
    assert row["metrics"]


def test_artifacts_are_listed_without_following_links(store: ExperimentStore) -> None:
    """In order, with sizes, up to a limit; a link or a FIFO is no artifact."""
    log(store, "a", {})
    files = store.files_path("a")
    (files / "deep" / "er").mkdir(parents=True)
    (files / "deep" / "er" / "z.txt").write_bytes(b"123")
    (files / "b.png").write_bytes(png())
    (files / "link").symlink_to("/etc/passwd")
    (files / "up").symlink_to("/etc")
    found, more = list_artifacts(store, "a", 10)
    assert [("/".join(one.parts), one.size) for one in found] == [
        ("b.png", len(png())),
        ("deep/er/z.txt", 3),
    ]
    assert not more
    assert read_artifact(store, "a", found[1], 2) == b"12"
    assert list_artifacts(store, "a", 1) == (found[:1], True)
    (files / "b.png").unlink()
    assert read_artifact(store, "a", found[0], 2) == b""


def test_images_are_told_by_their_first_bytes() -> None:
    """Whatever else a file is, also an SVG, is no image that may be shown."""
    known = {
        b"\x89PNG\r\n\x1a\n": "image/png",
        b"\xff\xd8\xff\xe0": "image/jpeg",
        b"GIF89a": "image/gif",
        b"RIFF\x00\n\x00\x00WEBPVP8": "image/webp",
    }
    for start, expected in known.items():
        assert image_type(start + b"rest") == expected
    for start in (b"", b"<svg xmlns=", b"<?xml", b"%PDF-1.7", b"RIFF\0\0\0\0WAVE", b" GIF89a"):
        assert image_type(start) is None


def test_pages_are_json(store: ExperimentStore) -> None:
    """Also with values that JSON has no number for."""
    log(store, "a", {"loss": [math.inf, -math.inf]})
    log_run(store.experiment_path("a"), params={"x": "NaN"})
    rows = [row for row, _ in runs_payload(store, ["a"])]
    page = json.loads(to_json(page_payload(rows)), parse_constant=pytest.fail)
    assert page["runs"][0]["params"] == {"x": "NaN"}
    assert page["runs"][0]["metrics"][0][2] == "-Infinity"
