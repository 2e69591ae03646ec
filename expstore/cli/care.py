"""Commands for damaged and growing logs: check, repair, salvage and tail.

Exit codes: `check` and `repair` exit with 3 if damage is found or remains. As for every command, 0
is success, 1 an error, and 2 wrong usage.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from expstore import ExpStoreError, FormatError, MetadataNotFoundError
from expstore.cli.base import (
    Jobs,
    Json,
    Root,
    app,
    open_store,
    print_json,
    print_json_line,
    printable,
    progress,
    tell,
)
from expstore.cli.cluster_option import Cluster, ClusterCommand, open_cluster
from expstore.cli.ids import Id, complete, resolve
from expstore.cli.usage import RefusedValue
from formats.errors import counted

if TYPE_CHECKING:
    from expstore import CheckReport, ExperimentStore, Follower, MetricTable

DAMAGED = 3
_MINIMUM, _MAXIMUM = 0.01, 1e9  # seconds; far above the maximum, `time.sleep` fails


def _check_interval(seconds: float) -> float:
    if not _MINIMUM <= seconds <= _MAXIMUM:  # written so that NaN is refused, too
        raise RefusedValue(f"{seconds} is not between {_MINIMUM} and {_MAXIMUM:g}")
    return seconds


@app.command(cls=ClusterCommand)
def check(
    context: typer.Context,
    commit_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            help="A commit id, or the beginning of one. Default: the whole store.",
            autocompletion=complete,
        ),
    ] = None,
    jobs: Jobs = 1,
    cluster: Cluster = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Check one experiment or the whole store for damage; writes nothing.

    Exit code 0: no damage, although there may be notes; 3: damage.

    Example: expstore check 3f2a9c1d
    """
    if commit_id is not None and cluster is not None:
        raise typer.BadParameter(
            "checks the whole store; omit the id, or this option", param_hint="--cluster"
        )
    if jobs != 1 and (commit_id is not None or cluster is not None):
        raise typer.BadParameter(
            "is for the whole store, and one machine; omit the id and --cluster, or this option",
            param_hint="--jobs",
        )
    store = open_store(context, root)
    reports: list[CheckReport] = []  # only those with findings
    checked = damaged = 0
    one = None if commit_id is None else store.check(resolve(store, commit_id))
    for report in _check_all(store, jobs, cluster) if one is None else [one]:
        checked += report.commit_id is not None
        damaged += not report.ok
        if report.findings:
            reports.append(report)
    if as_json:
        findings = [row for report in reports for row in _rows(report)]
        print_json({"experiments": checked, "damaged": damaged, "findings": findings})
    else:
        _show_findings(store, reports, checked, damaged)
    if damaged:
        raise typer.Exit(DAMAGED)


@app.command()
def repair(
    context: typer.Context,
    commit_id: Id,
    force: Annotated[
        bool,
        typer.Option("--force", help="Even while others write; what they write may be lost."),
    ] = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Cut a torn or zero tail off an experiment's log, and keep it in a file next to the log.

    Exit code 3: the damage is before the end of the log, so nothing was cut; see `salvage`.

    Example: expstore repair 3f2a9c1d
    """
    store = open_store(context, root)
    commit_id = resolve(store, commit_id)
    report = store.repair(commit_id, force)
    if as_json:
        print_json(
            {
                "commit_id": commit_id,
                "ok": report.ok,
                "kind": report.status.kind,
                "offset": report.status.offset,
                "size": report.status.size,
                "kept": None if report.kept is None else str(report.kept),
            }
        )
    else:
        print(printable(str(report)))
    try:
        store.read_metadata(commit_id)
    except MetadataNotFoundError:
        pass  # `check` has a note of it
    except (ExpStoreError, FormatError) as error:
        tell(f"{error}; `repair` is for logs, and `write_metadata` in Python writes this anew")
    if not report.ok:
        raise typer.Exit(DAMAGED)


@app.command()
def salvage(
    context: typer.Context,
    commit_id: Id,
    to: Annotated[str, typer.Option("--to", metavar="NEW", help="The new experiment's id.")],
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Copy the whole records of a damaged log to a new experiment; the old one is not changed.

    Values with flipped bits look like any other, and are copied. Artifacts are not.

    Example: expstore salvage 3f2a9c1d --to 3f2a9c1d-salvaged
    """
    store = open_store(context, root)
    commit_id = resolve(store, commit_id)
    report = store.salvage(commit_id, to)
    if as_json:
        print_json(
            {
                "commit_id": commit_id,
                "target": to,
                "records": report.records,
                "size": report.size,
                "gap_count": report.gap_count,
                "gap_bytes": report.gap_bytes,
                "gaps": [{"offset": gap.offset, "size": gap.size} for gap in report.gaps],
                "metadata_error": report.metadata_error or None,
                "already_there": report.already_there,
            }
        )
        return
    print(printable(str(report)))
    for gap in report.gaps:
        print(f"  gap at byte {gap.offset}: {counted(gap.size, 'byte')}")
    if report.metadata_error:
        print(printable(f"  no metadata was written: {report.metadata_error}"))


@app.command()
def tail(
    context: typer.Context,
    commit_id: Id,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep printing new metrics, until Ctrl-C.")
    ] = False,
    count: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="The number of metrics to print first.")
    ] = 10,
    interval: Annotated[
        float,
        typer.Option("--interval", callback=_check_interval, help="Seconds between checks."),
    ] = 0.5,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Print the last metrics of an experiment, one per line; with -f, also new ones as they arrive.

    With --json, each line is a JSON object.

    Example: expstore tail -f 3f2a9c1d
    """
    store = open_store(context, root)
    follower = store.follow(resolve(store, commit_id), interval=interval)
    last: deque[MetricTable] = deque()
    kept = 0
    behind = True
    while behind:
        last.append(follower.poll())
        behind = follower.is_behind
        kept += len(last[-1])
        while kept - len(last[0]) >= count and len(last) > 1:
            kept -= len(last.popleft())
    for table in last:
        _print_metrics(table[max(kept - count, 0) :], as_json)
        kept -= len(table)
    if not follow:
        return
    try:
        _print_new(follower, interval, as_json)
    except KeyboardInterrupt:
        return


def _print_new(follower: Follower, interval: float, as_json: bool) -> None:
    cuts = follower.cuts
    while True:
        table = follower.poll()
        if follower.cuts != cuts:  # said at once, though the next metric may take hours
            cuts = follower.cuts
            tell(
                f"the log was cut to {follower.offset} bytes, so some of what was printed is no "
                "longer in it; continuing from there"
            )
        _print_metrics(table, as_json)
        if not len(table):
            time.sleep(interval)


def _print_metrics(table: MetricTable, as_json: bool) -> None:
    from expstore.cli.times import absolute

    for metric in table:
        if as_json:
            print_json_line(metric._asdict())
        else:
            line = f"{metric.step:>10}  {metric.value:>12.6g}  {printable(metric.name)}"
            print(f"{absolute(metric.timestamp)}  {line}", flush=True)


def _check_all(store: ExperimentStore, jobs: int, cluster: str | None) -> Iterator[CheckReport]:
    reports = 1 + len(store.list_experiments())  # the first is for the root
    track = progress("checking", total=reports)
    if cluster is None:
        yield from track(store.check_all(jobs))
        return
    from expstore.cluster import check_store

    with open_cluster(cluster) as client:
        yield from track(check_store(store, client))


def _rows(report: CheckReport) -> Iterator[dict[str, Any]]:
    for finding in report.findings:
        yield {
            "commit_id": report.commit_id,
            "kind": finding.kind,
            "severity": finding.severity,
            "path": str(finding.path),
            "offset": finding.offset,
            "record": finding.record,
            "size": finding.size,
            "field": finding.field,
            "detail": finding.detail,
        }


def _show_findings(
    store: ExperimentStore, reports: list[CheckReport], checked: int, damaged: int
) -> None:
    from expstore.cli import tables
    from expstore.cli.render import console
    from expstore.store.care.findings import DAMAGE, NOTES

    pen, room = tables.Pen(console()), tables.room()
    kinds: Counter[str] = Counter()
    for report in reports:
        for finding in report.findings:
            kinds[finding.kind] += 1
            if kinds[finding.kind] > room:
                continue
            file = str(finding.path).removeprefix(f"{store.location}/")
            place = "" if finding.offset is None else f" at byte {finding.offset}"
            place += "" if finding.record is None else f", record {finding.record}"
            kind = pen.write(finding.kind, "red" if finding.severity == "damage" else "yellow")
            print(f"{printable(file)}: {kind}{place}: {printable(finding.detail)}")
    for kind, count in sorted(kinds.items()):
        more = f" ({count - room:,} more; {tables.see_all()})" if count > room else ""
        print(pen.write(f"  {kind}: {(DAMAGE | NOTES)[kind]}{more}", "dim"))
    print(f"{checked} checked, {damaged} damaged")
