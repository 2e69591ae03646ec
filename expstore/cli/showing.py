"""What `show` prints of one experiment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from expstore import ExperimentNotFoundError, Metadata, MetricTable
from expstore.cli.base import printable
from expstore.cli.fitting import Candidate, fitted
from expstore.cli.listing import describe_metadata, describe_run
from expstore.cli.overview import fitting_names, print_fitted, screen_width, shortened
from expstore.cli.render import console
from expstore.cli.times import absolute
from expstore.compare.conditions import as_text
from expstore.compare.interest import best_aspect
from expstore.compare.series import Extremes, extremes, split
from expstore.compare.textplot import sparkline
from expstore.model.texts import amount
from expstore.store.read.rewind import BackwardSteps, Rewind

if TYPE_CHECKING:
    from expstore.compare.experiments import Experiment
    from expstore.store.reader import StoreReader

_CURVE = 24  # columns of the terminal


def newest(store: StoreReader) -> str:
    """The id of the experiment that was created last.

    Raises:
        ExperimentNotFoundError: no experiment has metadata that can be read.
    """
    times = [
        (metadata.timestamp, commit_id)
        for commit_id, metadata in store.iter_metadata()
        if isinstance(metadata, Metadata)
    ]
    if not times:
        raise ExperimentNotFoundError(
            f"no experiments in {store.location}; `expstore demo` creates some"
        )
    return max(times)[1]


def describe_experiment(one: Experiment, whole: MetricTable) -> dict[str, Any]:
    """An experiment as JSON, without the state of its log's end.

    Args:
        one: the experiment.
        whole: all its metrics, also superseded ones.
    """
    error = {"error": "; ".join(one.problems)} if one.problems else {}
    run = describe_run(one)
    if run:
        starts = [asdict(start) for start in one.run.starts]
        run |= {"duration": one.duration, "starts": starts, "origin": dict(one.run.origin)}
    table, back = Rewind(one.run.starts).current(whole), _steps_back(one, whole)
    return {
        **describe_metadata(one),
        **error,
        **run,
        "metrics": [
            {"name": name} | extremes(line)._asdict() for name, line in split(table).items()
        ],
        "superseded": len(whole) - len(table),
        "steps_back": None if back.first is None else back.first._asdict(),
    }


def print_experiment(one: Experiment, whole: MetricTable) -> None:
    """Print an experiment: what it is, how it ran, and its metrics; see `describe_experiment`."""
    screen = console()
    screen.print(Text(printable(one.commit_id), style="bold"))
    table = Rewind(one.run.starts).current(whole)
    lines = [*_metadata(one), *_run(one)]
    lines.append(("metrics", f"{len(table):,} points, file {table.status}"))
    if len(whole) > len(table):
        lines.append(("left out", f"{len(whole) - len(table):,} points superseded by a resume"))
    back = _steps_back(one, whole)
    if back.first is not None:
        record, name, before, step = back.first
        first = f"{name} from {before:,} to {step:,}, record {record:,}"
        lines.append(("note", f"steps go back {back.count:,} times; first {first}"))
    for label, text in lines:
        screen.print(Text.assemble((f"  {label:<10}", "dim"), printable(text)))
    if one.params:
        names = fitting_names(list(map(printable, one.params)))
        wide = max(map(len, names))
        for place, (name, value) in enumerate(zip(names, one.params.values(), strict=True)):
            label = "" if place else "params"
            shown = f"{name:<{wide}}  {shortened(printable(as_text(value)))}"
            screen.print(Text.assemble((f"  {label:<10}", "dim"), shown))
    if len(table):
        screen.print()
        _print_metrics(table)


def _steps_back(one: Experiment, whole: MetricTable) -> BackwardSteps:
    back = BackwardSteps(one.run.starts)
    back.look_at(whole)
    return back


def _metadata(one: Experiment) -> Iterator[tuple[str, str]]:
    if one.metadata is None:
        yield "metadata", one.problems[0]
        return
    yield "created", absolute(one.metadata.timestamp)
    yield "job", one.metadata.job_name
    yield "user", one.metadata.user
    if one.metadata.commit_id != one.commit_id:
        yield "commit_id", f"{one.metadata.commit_id} (according to the file)"


def _run(one: Experiment) -> Iterator[tuple[str, str]]:
    """How the run is, and where it came from; nothing if nothing tells of a run."""
    starts, origin = one.run.starts, one.run.origin
    state = one.state
    if starts or state.status != "unknown":
        yield "status", f"{state.status} ({state.note})" if state.note else state.status
        if (seconds := one.duration) is not None:
            yield "duration", amount(seconds)
    for start in starts[1:]:
        step = "" if start.from_step is None else f", from step {start.from_step:,}"
        code = f", git {start.commit}" if start.commit else ""
        code += ", with uncommitted changes" if start.dirty else ""
        yield "resumed", absolute(int(start.started)) + step + code
    if one.run.tags:
        yield "tags", ", ".join(one.run.tags)
    for line in one.run.notes.splitlines():
        yield "notes", line
    if origin.get("host"):
        yield "host", str(origin["host"])
    if origin.get("commit"):
        branch = f" on {origin['branch']}" if origin.get("branch") else ""
        dirty = ", with uncommitted changes" if origin.get("dirty") else ""
        yield "git", f"{origin['commit']}{branch}{dirty}"
    if origin.get("argv"):
        yield "command", " ".join(map(str, origin["argv"]))


def _print_metrics(table: MetricTable) -> None:
    curves = split(table)
    found = {name: extremes(series) for name, series in curves.items()}
    rows = list(found.values())
    both = [
        Candidate("min", _with_steps(rows, ["min"] * len(rows)), 2, right=True),
        Candidate("max", _with_steps(rows, ["max"] * len(rows)), 2, right=True),
    ]
    aspects = [best_aspect(name) for name in found]
    best = [
        f"{aspect} {text}" for aspect, text in zip(aspects, _with_steps(rows, aspects), strict=True)
    ]
    columns = [
        Candidate("metric", fitting_names([printable(name) for name in found]), 0),
        Candidate("points", [f"{row.points:,}" for row in rows], 5, right=True),
        Candidate("last", [f"{row.last:.6g}" for row in rows], 1, right=True),
        Candidate("at step", [f"{row.last_step:,}" for row in rows], 4, right=True),
    ]
    curve = Candidate("curve", [sparkline(line.values, _CURVE) for line in curves.values()], 3)
    _, dropped = fitted([*columns, *both], screen_width())
    if {"min", "max"} & set(dropped):
        both = [Candidate("best", best, 2, right=True)]
    print_fitted([*columns, *both, curve], {}, len(rows))


def _with_steps(rows: Sequence[Extremes], aspects: Sequence[str]) -> list[str]:
    """The value of each row's aspect with its step, the values aligned."""
    steps = [
        f" @ {getattr(row, f'{aspect}_step'):,}" for row, aspect in zip(rows, aspects, strict=True)
    ]
    wide = max(map(len, steps))
    return [
        f"{getattr(row, aspect):.6g}{step:<{wide}}"
        for row, aspect, step in zip(rows, aspects, steps, strict=True)
    ]
