"""The command `export`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, cast

import typer

from expstore.cli.base import (
    Jobs,
    Json,
    Root,
    app,
    fail,
    open_store,
    print_json,
    printable,
    progress,
    tell,
)
from expstore.cli.cluster_option import Cluster, ClusterCommand, open_cluster
from expstore.cli.ids import Ids
from expstore.cli.selecting import Metrics, Where, expanded_names, selected
from formats.errors import counted

if TYPE_CHECKING:
    from distributed import Client

    from expstore import ExperimentStore
    from expstore.exchange.export import ExportReport


class Target(StrEnum):
    """What `export` writes."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    TENSORBOARD = "tensorboard"


@app.command("export", cls=ClusterCommand)
def export_command(
    context: typer.Context,
    to: Annotated[
        Target, typer.Option("--to", help="The format: csv, jsonl, parquet or tensorboard.")
    ],
    commit_ids: Ids = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A file, or a directory for TensorBoard and --cluster. Default: standard output.",
        ),
    ] = None,
    names: Metrics = None,
    where: Where = None,
    wide: Annotated[
        bool,
        typer.Option(
            "--wide",
            help="One row per experiment and step, one column per metric; of several values at a "
            "step, the last.",
        ),
    ] = False,
    metadata: Annotated[
        bool | None,
        typer.Option(
            "--metadata/--no-metadata",
            help="Add the columns job_name, user and created, and report metadata that cannot be "
            "read. Default: only Parquet has them, null where unknown.",
            show_default=False,
        ),
    ] = None,
    params: Annotated[
        bool,
        typer.Option("--with-params", help="Add tags, status and a column for each parameter."),
    ] = False,
    by_experiment: Annotated[
        bool,
        typer.Option(
            "--experiments",
            help="One row per experiment: parameters, tags, status, and each metric's last, "
            "minimum and maximum; Parquet.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Exit with 0 even if some could not be read.")
    ] = False,
    jobs: Jobs = 1,
    cluster: Cluster = None,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Write experiments for other tools.

    Columns: commit_id, name, value, step, timestamp (Unix seconds); for Parquet, or with
    --metadata, also job_name, user and created (Unix seconds).

    CSV and JSON lines go to standard output unless -o is given.

    --cluster writes a directory of Parquet files, and the file of --experiments beside it; run
    again, it writes only what is new or missing.

    An experiment that cannot be read is left out and reported, with exit code 1.

    Text is not changed: a spreadsheet may take the name =1+1 for a formula.

    Example: expstore export --to parquet -o metrics.parquet
    """
    streamed = output is None or str(output) == "-"
    _check_output(to, streamed=streamed, as_json=as_json)
    _check_columns(to, wide=wide, metadata=metadata, params=params)
    if cluster is not None and (to is not Target.PARQUET or wide or force):
        raise typer.BadParameter(
            "a cluster writes or updates a directory of Parquet files in the long form; use it "
            "with --to parquet, and without --wide and --force",
            param_hint="--cluster",
        )
    if jobs != 1 and (to is Target.PARQUET or cluster is not None):
        raise typer.BadParameter(
            "for CSV, JSON lines and TensorBoard; a Parquet file is encoded by one process, and "
            "--cluster writes many by many",
            param_hint="--jobs",
        )
    if by_experiment:
        only = to is Target.PARQUET and not (wide or params or names or metadata)
        _check_experiments(only=only, cluster=cluster)
    from expstore.exchange.export import export_file
    from expstore.exchange.tensorboard import export_tensorboard

    store = open_store(context, root)
    chosen = selected(store, commit_ids, where)
    names = expanded_names(store, names, chosen)
    shows = not (streamed and sys.stdout.isatty())
    options: dict[str, Any] = {
        "names": names,
        "progress": progress("exporting") if shows else iter,
    }
    if cluster is not None:
        assert output is not None
        from expstore.cluster.directory import output_directory

        output_directory(store, output)  # refuse a bad path before starting any process
        with open_cluster(cluster) as client:
            report = _export_parts(
                store, output, client, ids=chosen, with_metadata=metadata, params=params, **options
            )
    elif by_experiment:
        assert output is not None
        report = _export_experiments(store, chosen, output, force)
    elif to is Target.TENSORBOARD:
        assert output is not None
        report = export_tensorboard(store, chosen, output, force=force, jobs=jobs, **options)
    else:
        options |= {"to": to.value, "wide_form": wide, "with_metadata": metadata, "force": force}
        options |= {"params": params, "jobs": jobs}
        target = _standard_output() if output is None or streamed else output
        report = export_file(store, chosen, target, **options)
    if as_json:
        print_json(_describe(report))
    _tell_report(report, None if streamed else output)
    if names and not report.rows:
        fail(f"no metric is named {' or '.join(map(repr, names))}; `compare` lists the names")
    if report.failures and not skip_damaged:
        fail(f"{len(report.failures)} of {report.experiments} experiments could not be fully read")


def _check_output(to: Target, *, streamed: bool, as_json: bool) -> None:
    if streamed and to not in (Target.CSV, Target.JSONL):
        raise typer.BadParameter(f"{to.value} needs a path", param_hint="-o")
    if streamed and as_json:
        raise typer.BadParameter(
            "standard output is used for the rows; add -o", param_hint="--json"
        )


def _check_columns(to: Target, *, wide: bool, metadata: bool | None, params: bool) -> None:
    if to is Target.TENSORBOARD and (wide or metadata is not None):
        raise typer.BadParameter("not available for TensorBoard", param_hint="--wide, --metadata")
    if params and to is Target.TENSORBOARD:
        raise typer.BadParameter(
            "TensorBoard always gets the parameters", param_hint="--with-params"
        )


def _check_experiments(*, only: bool, cluster: str | None) -> None:
    if not only:
        raise typer.BadParameter(
            "one row per experiment, with all that is known of it, is for Parquet; use it without "
            "--name, --wide, --metadata and --with-params",
            param_hint="--experiments",
        )
    if cluster is not None:
        raise typer.BadParameter(
            "--cluster writes that file anyway, beside the directory", param_hint="--experiments"
        )


def _tell_report(report: ExportReport, output: Path | None) -> None:
    for commit_id, tail in report.tails.items():
        tell(f"{commit_id}: {tail}; the readable part is exported")
    for commit_id, error in report.failures.items():
        tell(f"{commit_id}: {error}")
    for count, what in (
        (report.overflows, "became infinite"),
        (report.underflows, "became 0"),
        (report.rounded, "were rounded"),
    ):
        if count:
            tell(f"TensorBoard's 32-bit floats: {counted(count, 'value', ',')} {what}")
    if output is not None:
        done = report.experiments - len(report.failures)
        rows, experiments = counted(report.rows, "row", ","), counted(done, "experiment", ",")
        tell(f"{rows} of {experiments} in {output}")


def _describe(report: ExportReport) -> dict[str, Any]:
    """An export's report as JSON; that of a cluster includes its parts."""
    parts = {key: value for key, value in vars(report).items() if key in ("written", "kept")}
    return {
        "rows": report.rows,
        "experiments": report.experiments,
        "failures": {commit_id: str(error) for commit_id, error in report.failures.items()},
        "tails": {commit_id: str(tail) for commit_id, tail in report.tails.items()},
        "overflows": report.overflows,
        "underflows": report.underflows,
        "rounded": report.rounded,
        **parts,
    }


def _export_experiments(
    store: ExperimentStore, ids: list[str] | None, output: Path, force: bool
) -> ExportReport:
    from expstore import ExportError
    from expstore.compare.experimentfile import export_experiments
    from expstore.exchange.export import ExportReport

    found = export_experiments(store, output, ids, force=force, progress=progress("reading"))
    failures = {
        one.commit_id: ExportError("; ".join(one.problems)) for one in found if one.problems
    }
    tails = {one.commit_id: one.tail for one in found if not one.tail}
    return ExportReport(len(found), len(found), dict(failures), tails)


def _export_parts(
    store: ExperimentStore, output: Path, client: Client, **options: Any
) -> ExportReport:
    from expstore.cluster import export_parquet

    report = export_parquet(store, output, client, **options)
    tell(f"parts: {report.written:,} written, {report.kept:,} already there")
    return report


class _Terminal:
    """Standard output on a terminal, which text from files reaches only through `printable`."""

    closed = False

    def write(self, data: bytes) -> int:
        for line in bytes(data).decode().splitlines(keepends=True):
            sys.stdout.write(printable(line.rstrip("\n")) + "\n" * line.endswith("\n"))
        return len(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        sys.stdout.flush()


def _standard_output() -> IO[bytes]:
    return cast("IO[bytes]", _Terminal()) if sys.stdout.isatty() else sys.stdout.buffer
