"""The commands `export` and `import`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, cast

import typer

from expstore.cli.base import (
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
from expstore.cli.ids import Ids, resolve_all
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


class Source(StrEnum):
    """What `import` reads."""

    TENSORBOARD = "tensorboard"
    CSV = "csv"
    MLFLOW = "mlflow"


@app.command("export", cls=ClusterCommand)
def export_command(
    context: typer.Context,
    to: Annotated[Target, typer.Option("--to", help="The format.")],
    commit_ids: Ids = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A file, or a directory for TensorBoard and --cluster. Default: standard output.",
        ),
    ] = None,
    names: Annotated[
        list[str] | None, typer.Option("--name", help="Only this metric; may be repeated.")
    ] = None,
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
    force: Annotated[bool, typer.Option("--force", help="Replace an existing output.")] = False,
    skip_damaged: Annotated[
        bool, typer.Option("--skip-damaged", help="Exit with 0 even if some could not be read.")
    ] = False,
    cluster: Cluster = None,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Write experiments for other tools.

    Columns: commit_id, name, value, step, timestamp (Unix seconds); for Parquet, or with
    --metadata, also job_name, user and created (Unix seconds).

    CSV and JSON lines go to standard output unless -o is given.

    --cluster writes a directory of Parquet files; run again, it writes only what is new or missing.

    An experiment that cannot be read is left out and reported, with exit code 1.

    Text is not changed: a spreadsheet may take the name =1+1 for a formula.

    Example: expstore export --to parquet -o metrics.parquet
    """
    to_file = to in (Target.CSV, Target.JSONL)
    streamed = output is None or str(output) == "-"
    if streamed and not to_file:
        raise typer.BadParameter(f"{to.value} needs a path", param_hint="-o")
    if streamed and as_json:
        raise typer.BadParameter(
            "standard output is used for the rows; add -o", param_hint="--json"
        )
    if to is Target.TENSORBOARD and (wide or metadata is not None):
        raise typer.BadParameter("not available for TensorBoard", param_hint="--wide, --metadata")
    if cluster is not None and (to is not Target.PARQUET or wide or force):
        raise typer.BadParameter(
            "a cluster writes or updates a directory of Parquet files in the long form; use it "
            "with --to parquet, and without --wide and --force",
            param_hint="--cluster",
        )
    from expstore.exchange.export import export_file
    from expstore.exchange.tensorboard import export_tensorboard

    store = open_store(context, root)
    chosen = resolve_all(store, commit_ids)
    shows = not (streamed and sys.stdout.isatty())
    options: dict[str, Any] = {
        "names": names or None,
        "progress": progress("exporting") if shows else iter,
    }
    if cluster is not None:
        assert output is not None
        from expstore.cluster.directory import output_directory

        output_directory(store, output)  # refuse a bad path before starting any process
        with open_cluster(cluster) as client:
            report = _export_parts(
                store, output, client, ids=chosen, with_metadata=metadata, **options
            )
    elif to is Target.TENSORBOARD:
        assert output is not None
        report = export_tensorboard(store, chosen, output, force=force, **options)
    else:
        options |= {"to": to.value, "wide_form": wide, "with_metadata": metadata, "force": force}
        target = _standard_output() if output is None or streamed else output
        report = export_file(store, chosen, target, **options)
    if as_json:
        print_json(_describe(report))
    _tell_report(report, None if streamed else output)
    if names and not report.rows:
        tell(f"no metric is named {' or '.join(map(repr, names))}; `compare` lists the names")
    if report.failures and not skip_damaged:
        fail(f"{len(report.failures)} of {report.experiments} experiments could not be fully read")


def _tell_report(report: ExportReport, output: Path | None) -> None:
    for commit_id, tail in report.tails.items():
        tell(f"{commit_id}: {tail}; the readable part is exported")
    for commit_id, error in report.failures.items():
        tell(f"{commit_id}: {error}")
    if report.overflows:
        tell(f"{report.overflows:,} values exceed TensorBoard's 32-bit floats and became infinite")
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
        **parts,
    }


def _export_parts(
    store: ExperimentStore, output: Path, client: Client, **options: Any
) -> ExportReport:
    from expstore.cluster import export_parquet

    report = export_parquet(store, output, client, **options)
    tell(f"parts: {report.written:,} written, {report.kept:,} already there")
    return report


@app.command("import")
def import_command(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A directory, or a CSV file.")],
    source: Annotated[Source, typer.Option("--from", help="What PATH holds.")],
    to_id: Annotated[
        str | None, typer.Option("--to-id", help="The commit id, if there is only one run.")
    ] = None,
    prefix: Annotated[
        str, typer.Option("--prefix", help="Prepended to each run's name to make its commit id.")
    ] = "",
    user: Annotated[
        str | None, typer.Option("--user", help="The user, if PATH does not record one.")
    ] = None,
    as_json: Json = False,
    root: Root = None,
) -> None:
    """Create new experiments from other tools' runs.

    tensorboard: a log directory; each directory with event files is a run.

    csv: the long form, as written by export.

    mlflow: a file store (mlruns), one of its experiments, or one run.

    If an id is taken, that is an error and nothing is imported. Run an interrupted import again: it
    goes on, and says what is there already.

    Example: expstore import --from tensorboard runs/ --prefix tb-
    """
    if to_id is not None and prefix:
        raise typer.BadParameter("use one of --to-id and --prefix", param_hint="--prefix")
    from expstore.exchange.imports import import_experiments

    imported = import_experiments(
        open_store(context, root),
        source.value,
        path,
        to_id=to_id,
        prefix=prefix,
        user=user,
        progress=progress("importing"),
    )
    if as_json:
        print_json(
            [
                {
                    "commit_id": row.commit_id,
                    "metrics": row.metrics,
                    "notes": row.notes,
                    "already_there": row.already_there,
                }
                for row in imported
            ]
        )
        return
    for row in imported:
        already = ", already there" if row.already_there else ""
        print(f"{printable(row.commit_id)}  {counted(row.metrics, 'metric', ',')}{already}")
        for note in row.notes:
            tell(f"{row.commit_id}: {note}")


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
