"""Plots of curves, in files and in the terminal."""

from __future__ import annotations

import itertools
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from expstore import ExperimentStore, MissingExtraError, PlotError, UnknownMetricError
from expstore.compare.curves import Curve, curves
from expstore.compare.plot import save, within_reach
from expstore.compare.series import Series
from expstore.compare.styles import MARKERS, ON_DARK, ON_LIGHT, styles
from expstore.compare.textplot import COLOURS, text
from tests.helpers.application import log, run

HOSTILE = "_$\\frac{1}{x}$ <b>&amp; \x1b[31m\u202eevil"
SHOWN = r"_$\frac{1}{x}$ <b>&amp; \x1b[31m\u202eevil"
SVG = "{http://www.w3.org/2000/svg}"


def curve(values: list[float], commit_id: str = "a", name: str = "loss") -> Curve:
    """A curve at the steps 0, 1, ..."""
    return Curve(commit_id, name, Series(np.arange(len(values)), np.array(values, float)))


def texts(path: Path) -> list[str]:
    """The text elements of an SVG."""
    return ["".join(node.itertext()) for node in ET.parse(path).iter(f"{SVG}text")]


def lines(path: Path) -> list[tuple[str, int]]:
    """The colour and the number of line segments of each curve in an SVG."""
    found = []
    for node in ET.parse(path).iter(f"{SVG}path"):
        style, corners = node.get("style", ""), (node.get("d") or "").count("L")
        colour = re.search(r"stroke: (#\w+)", style)
        if node.get("clip-path") and colour and colour[1] in ON_LIGHT:
            found.append((colour[1], corners))
    return found


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf", ".PNG"])
def test_the_suffix_determines_the_image_format(tmp_path: Path, suffix: str) -> None:
    """An existing file is replaced."""
    path = tmp_path / f"plot{suffix}"
    path.write_text("old")
    save([curve([1.0, 2.0, 3.0])], path)
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert path.read_bytes().startswith(starts[suffix.lower()])
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


EXTREME = {
    "large": ([1e308, -1e308, 0.0], " (in units of 1e+308)"),
    "largest": ([-1.7976931348623157e308, 1.7976931348623157e308], " (in units of 1e+308)"),
    "small": ([5e-324, 0.0, 1.5e-323], " (in units of 1e-323)"),
    "equal": ([5e-324, 5e-324], " (in units of 1e-324)"),
    "both": ([5e-324, 1e308, float("inf"), float("nan")], " (in units of 1e+308)"),
}


@pytest.mark.parametrize("smoothing", [0.0, 0.9])
@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("values", EXTREME)
def test_values_of_any_size_are_drawn(
    values: str, log: bool, smoothing: float, tmp_path: Path
) -> None:
    """In a unit that the label names, where a library cannot place them on an axis."""
    drawn, units = EXTREME[values]
    label = "loss" + (" (log10)" if log else units)
    path = tmp_path / "plot.svg"
    save([curve(drawn)], path, log=log, smoothing=smoothing)
    assert label in texts(path)
    assert label in text([curve(drawn)], log=log, smoothing=smoothing)


def test_scaled_values_keep_their_digits() -> None:
    """Also by factors that are no double."""
    for factor in (1e-300, 1e300):
        moved, log, units = within_reach([curve([1.5 * factor, -2.5 * factor])], log=False)
        assert (log, units) == (False, f" (in units of 1e{'+' if factor > 1 else '-'}300)")
        np.testing.assert_allclose(moved[0].series.values, [1.5, -2.5], rtol=1e-14)
    assert within_reach([curve([1e149, 1e-149])], log=True)[1:] == (True, "")


def test_names_are_shown_literally(tmp_path: Path) -> None:
    """No mathtext, markup or control characters; a leading underscore does not hide a name."""
    path = tmp_path / "plot.svg"
    save([curve([1, 2], HOSTILE, "$x^2$"), curve([2, 1], "b" * 255, "$x^2$")], path)
    shown = texts(path)
    assert SHOWN in shown
    assert "$x^2$" in shown
    assert any(re.fullmatch("b+…b+", entry) for entry in shown)


def test_experiments_and_names_are_distinguishable(tmp_path: Path) -> None:
    """Colour by experiment, line style by name; each is in the legend once."""
    path = tmp_path / "plot.svg"
    save([curve([1, 2, 4], i, n) for i in "ab" for n in ("loss", "accuracy")], path)
    assert [colour for colour, _ in lines(path)] == [ON_LIGHT[0]] * 2 + [ON_LIGHT[1]] * 2
    assert [entry for entry in texts(path) if entry in ("a", "b", "loss", "accuracy")] == [
        *("a", "b", "loss", "accuracy")
    ]


def dashes(path: Path) -> list[str]:
    """The dashes of each curve in an SVG that has any."""
    return re.findall(r"stroke-dasharray: ([\d., ]+)", path.read_text())


def test_many_experiments_differ_by_dashes_or_where_curves_are_dense_by_markers(
    tmp_path: Path,
) -> None:
    """Dashes of a line that goes up and down all the time would blur."""
    sparse, dense = [1.0, 2.0, 4.0], [float(i * 7919 % 101) for i in range(2000)]
    path = tmp_path / "plot.svg"
    save([curve(sparse, f"run{i}") for i in range(9)], path)
    assert len(dashes(path)) == 2  # the ninth curve, and its entry in the legend
    assert len(lines(path)) == 9
    save([curve(dense, f"run{i}") for i in range(9)], path)
    assert not dashes(path)
    marks = [
        node for node in ET.parse(path).iter(f"{SVG}use") if "stroke: #ffffff" in str(node.attrib)
    ]
    assert len(marks) >= 12
    save([curve(dense, f"run{i}") for i in range(9)], path, smoothing=0.999)
    assert len(dashes(path)) == 2  # smoothed, it is not dense


def test_styles_are_distinct_as_far_as_they_go() -> None:
    """Eight colours with four dashes or markers."""
    for dense in (False, True):
        style_of = styles([f"run{i}" for i in range(33)], ["loss"], dense)
        found = [style_of(f"run{i}", "loss") for i in range(33)]
        assert len(set(found)) == len(ON_LIGHT) * len(MARKERS) == 32
        assert not any(style.dashes and style.marker for style in found)


def test_a_legend_lists_some_of_many_and_counts_the_others(tmp_path: Path) -> None:
    """A picture of many curves is no larger than one of few."""
    path = tmp_path / "plot.svg"
    save([curve([1, 2, 4], f"run{i:03}") for i in range(60)], path)
    assert [entry for entry in texts(path) if entry.startswith(("run", "and "))] == [
        *(f"run{i:03}" for i in range(40)),
        "and 20 more",
    ]
    assert len(lines(path)) == 60


def test_smoothing_draws_the_logged_curve_faintly_underneath(tmp_path: Path) -> None:
    """Two lines per curve, and a note."""
    path = tmp_path / "plot.svg"
    save([curve([1, 2, 4])], path, smoothing=0.9)
    assert len(lines(path)) == 2
    assert "smoothed by 0.9" in texts(path)
    assert "stroke-opacity: 0.25" in path.read_text()


def test_the_same_curves_give_the_same_svg(tmp_path: Path) -> None:
    """The file contains no date and no random ids."""
    for name in ("1.svg", "2.svg"):
        save([curve([1, 2, 4])], tmp_path / name, log=True)
    assert (tmp_path / "1.svg").read_bytes() == (tmp_path / "2.svg").read_bytes()


def test_a_million_points_are_thinned(tmp_path: Path) -> None:
    """The file stays small, and the single spike is still in the plot."""
    values = np.zeros(1_000_000)
    values[123_456] = 5.0
    path = tmp_path / "plot.svg"
    save([Curve("a", "loss", Series(np.arange(len(values)), values))], path)
    assert path.stat().st_size < 300_000
    assert "4" in texts(path)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([], {}),
        ([float("nan"), float("inf")], {}),
        ([0.0, -1.0], {"log": True}),
        ([1.0], {"smoothing": 1.0}),
    ],
)
def test_curves_that_cannot_be_drawn_are_refused(
    tmp_path: Path, values: list[float], options: dict[str, float]
) -> None:
    """No file is created."""
    found = [curve(values)] if values else []
    with pytest.raises(PlotError):
        save(found, tmp_path / "plot.png", **options)  # type: ignore[arg-type]
    with pytest.raises(PlotError):
        text(found, **options)  # type: ignore[arg-type]
    with pytest.raises(PlotError, match=r"plot\.gif: unsupported suffix; use one of \.png"):
        save([curve([1.0])], tmp_path / "plot.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning", "ignore:.*deprecated")
@pytest.mark.parametrize("log_scale", [False, True])
@pytest.mark.parametrize(
    "values",
    [
        [1.0],
        [2.0, 2.0, 2.0],
        [1.0, float("nan"), 2.0, float("inf"), 3.0, float("-inf"), 0.0],
        [1e300, 2e300],
        [1e-300, 2e-300],
        [1e9, 1e9 + 1],
    ],
)
def test_odd_values_are_drawn_without_a_warning(
    tmp_path: Path, values: list[float], log_scale: bool
) -> None:
    """Single points, constants, gaps, and very large and very small values."""
    save([curve(values, "実験")], tmp_path / "plot.png", log=log_scale, smoothing=0.5)
    assert len(text([curve(values)], log=log_scale, height=6).splitlines()) >= 8


def test_text_plots_fit_their_width_and_show_names_safely() -> None:
    """One plot per name; escape sequences appear only for colours, and only on request."""
    found = [curve([1, 2, 3], i * 100, n) for i in "ab" for n in (HOSTILE, "n" * 255)]
    plain = text(found, width=80)
    assert "\x1b" not in plain
    assert max(map(len, plain.splitlines())) <= 80
    assert plain.count("┌") == 2
    assert SHOWN in plain
    coloured = text(found, width=80, colour=True)
    assert re.sub(r"\x1b\[(0|38;2;[\d;]+)m", "", coloured).count("\x1b") == 0


def test_without_colour_experiments_differ_by_character() -> None:
    """Crossing lines can be distinguished in a log file."""
    shown = text([curve([1, 1, 1], "first"), curve([2, 2, 2], "second")], width=60)
    rows = [line for line in shown.splitlines() if line.startswith("│")]
    assert any("++" in row and "x" not in row for row in rows)
    assert any("xx" in row and "+" not in row for row in rows)
    assert "++ first" in shown
    assert "xx second" in shown


def test_curves_are_selected_by_id_and_name(store: ExperimentStore) -> None:
    """A metric missing from some experiments is left out; one missing from all is an error."""
    log(store, "a", {"loss": [1.0], "accuracy": [0.5]})
    log(store, "b", {"loss": [2.0]})
    assert [found[:2] for found in curves(store, names=["accuracy", "loss"])] == [
        *(("a", "accuracy"), ("a", "loss"), ("b", "loss"))
    ]
    with pytest.raises(UnknownMetricError):
        curves(store, ["b"], ["accuracy"])


def test_the_command_draws_in_the_terminal_and_into_a_file(
    store: ExperimentStore, tmp_path: Path
) -> None:
    """A single metric needs no --name; with several, --name is required."""
    log(store, "a", {"loss": [3.0, 2.0, 1.0]})
    assert "loss" in run(store, "plot", "a").stdout
    path = tmp_path / "loss.svg"
    result = run(store, "plot", "a", "--log", "--smooth", "0.6", "-o", str(path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "loss" in texts(path)
    log(store, "b", {"accuracy": [1.0]})
    result = run(store, "plot")
    assert result.exit_code == 2
    assert "--name; the metrics are: loss, accuracy" in result.stderr


def test_a_missing_extra_is_named_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both kinds of plot name the same extra."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "uniplot", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[plot\]"):
        save([curve([1.0])], tmp_path / "plot.png")
    with pytest.raises(MissingExtraError, match=r"pip install .*\[plot\]"):
        text([curve([1.0])])


# Normal vision, then simulations of protanopia, deuteranopia and tritanopia in linear RGB (Machado,
# Oliveira, Fernandes, 2009).
SIGHTS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
        [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
        [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9308, 0.1476], [0.0047, 0.6914, 0.3039]],
    ]
)
TO_CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
TO_OKLAB = np.array(
    [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
)


def linear(colour: str) -> NDArray[np.float64]:
    """The linear RGB values of a hex colour."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """The contrast ratio, as defined by the Web Content Accessibility Guidelines."""
    light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) + 0.05 for c in (one, other))
    return light[1] / light[0]


@pytest.mark.parametrize(
    ("colours", "backgrounds"),
    [(ON_LIGHT, ["#ffffff"]), (ON_DARK, ["#15181e"]), (COLOURS, ["#ffffff", "#000000"])],
)
def test_colours_differ_for_every_eye(colours: tuple[str, ...], backgrounds: list[str]) -> None:
    """OKLab distance of at least 0.08 with any colour blindness; contrast of at least 3:1."""
    for sight in SIGHTS:
        seen = [TO_OKLAB @ np.cbrt(TO_CONES @ np.clip(sight @ linear(c), 0, 1)) for c in colours]
        apart = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
        assert min(apart) > 0.08
    assert all(contrast(c, background) >= 3 for c in colours for background in backgrounds)
