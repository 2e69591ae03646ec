"""The command `compare`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expstore.cli.base import (
    Jobs,
    Json,
    ReadableRoot,
    app,
    fail,
    open_readable,
    print_json,
    printable,
    progress,
    tell,
)
from expstore.cli.cluster_option import Cluster, ClusterCommand, log_reading
from expstore.cli.experiments import describe_tail
from expstore.cli.ids import Ids, resolve_all
from expstore.cli.selecting import (
    Where,
    complete_name,
    direction,
    metrics_option,
    pointing_at_mistakes,
    tell_none,
)
from formats.errors import counted

if TYPE_CHECKING:
    from expstore.compare.summaries import Summary

_COLUMNS = ("last", "min", "max", "last_step", "min_step", "max_step", "points")


@app.command("compare", cls=ClusterCommand)
def compare_command(
    context: typer.Context,
    commit_ids: Ids = None,
    names: Annotated[list[str] | None, metrics_option("NAME[:last|min|max]")] = None,
    where: Where = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:last|min|max]",
            help="Sort by this parameter, metric or field, smallest first; -NAME: largest first.",
            autocompletion=complete_name,
        ),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Reverse the order.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N.")] = None,
    group_by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Mean and deviation over experiments with the same value; may be repeated.",
            autocompletion=complete_name,
        ),
    ] = None,
    by_metric: Annotated[
        bool, typer.Option("--by-metric", help="One table for each metric.")
    ] = False,
    as_json: Json = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, one row per experiment and metric.")
    ] = False,
    jobs: Jobs = 1,
    cluster: Cluster = None,
    root: ReadableRoot = None,
) -> None:
    """Compare experiments: the parameters that differ, and the best value of each metric.

    Best is the minimum of a loss or an error, and the maximum of an accuracy or a score, each with
    its step; of other metrics the last value is shown, the one at the largest step. NAME:min,
    NAME:max and NAME:last choose. NaN counts only as a last value.

    What cannot be read is reported on standard error, with exit code 1.

    Example: expstore compare --where 'lr < 0.01' --sort val/loss:min
    """
    if as_json + as_csv + by_metric > 1 or (group_by and (as_csv or by_metric)):
        raise typer.BadParameter(
            "use one of --json, --csv and --by-metric, and --group-by with none or --json",
            param_hint="--json, --csv, --by-metric",
        )
    from expstore.cli.comparing import (
        asked_metrics,
        known_metrics,
        only,
        print_grouped,
        print_rows,
    )
    from expstore.cli.metric_tables import print_tables
    from expstore.compare.summaries import compare

    store = open_readable(context, root)
    chosen = resolve_all(store, commit_ids)
    if sort is not None:
        sort, reverse = direction(sort, reverse)
    options: dict[str, Any] = {"where": where, "sort": sort, "reverse": reverse, "limit": limit}
    options |= {"progress": progress("reading"), "jobs": jobs}
    if sort is None and chosen is None and not (group_by or as_json or as_csv or by_metric):
        options |= {"sort": "created", "reverse": not reverse}  # the newest first, as in `ls`
    with pointing_at_mistakes(), log_reading(store, cluster) as options["read"]:
        if group_by:
            groups = compare(store, chosen, group_by=group_by, **options)
            if groups or as_json:
                print_grouped(groups, names, sort, limit, as_json)
            else:
                tell_none(store, {"--where": where})
            _tell_problems((), groups.unread)
            return
        summaries = compare(store, chosen, **options)
    asked = asked_metrics(names, known_metrics(summaries))
    chosen_only = only(summaries, asked) if names else summaries
    if as_json:
        print_json([_plain_data(summary) for summary in chosen_only])
    elif as_csv:
        _print_csv(chosen_only)
    elif by_metric:
        print_tables(chosen_only)
    elif not summaries:
        tell_none(store, {"--where": where})
    else:
        print_rows(store, summaries, asked, sort, limit)
    _tell_problems(summaries, summaries.unread)


def _plain_data(summary: Summary) -> dict[str, Any]:
    metadata = summary.metadata
    return {
        "commit_id": summary.commit_id,
        "timestamp": metadata.timestamp if metadata else None,
        "job_name": metadata.job_name if metadata else None,
        "user": metadata.user if metadata else None,
        "status": str(summary.status),
        "tail": describe_tail(summary.tail),
        "duration": summary.duration,
        "tags": list(summary.tags),
        "notes": summary.notes,
        "params": dict(summary.params),
        "problems": list(summary.problems),
        "metrics": {
            name: {column: getattr(metric, column) for column in _COLUMNS}
            for name, metric in summary.metrics.items()
        },
    }


def _print_csv(summaries: Iterable[Summary]) -> None:
    from expstore.model.texts import escape

    # A terminal must not get control characters; in a file every name must be recoverable.
    shown = printable if sys.stdout.isatty() else escape
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("commit_id", "name", *_COLUMNS))
    for summary in summaries:
        for name, metric in summary.metrics.items():
            values = (getattr(metric, column) for column in _COLUMNS)
            writer.writerow((shown(summary.commit_id), shown(name), *values))


def _tell_problems(summaries: Iterable[Summary], unread: Mapping[str, str]) -> None:
    """Report problems and torn tails on stderr; exit with 1 if anything is unreadable."""
    for commit_id, problem in unread.items():
        tell(f"{commit_id}: {problem}")
    unreadable = len(unread)
    for summary in summaries:
        for problem in summary.problems:
            tell(f"{summary.commit_id}: {problem}")
        if not summary.tail:
            tell(f"{summary.commit_id}: {summary.tail}; the readable part is shown")
        unreadable += bool(summary.problems)
    if unreadable:
        fail(f"{counted(unreadable, 'experiment')} could not be fully read")
