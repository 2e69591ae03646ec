"""Commands that make a run without a line of Python: `run`, `new`, `end` and `set`."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any, Literal

import typer

from expstore import ProgramNotFoundError, Run, RunFileError, RunInfo
from expstore.cli.base import Json, Root, app, fail, open_store, print_json, printable, tell
from expstore.cli.ids import SOME_IDS, Id, complete, resolve
from expstore.cli.overview import shortened
from expstore.cli.selecting import complete_param, complete_param_value, complete_tag
from expstore.model.arguments import parse_pair
from expstore.model.texts import amount

Params = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        "-p",
        metavar="NAME=VALUE",
        help="A parameter: lr=0.1, amp=true, sizes='[1, 2]'; what is not JSON is text. May be "
        "repeated.",
        autocompletion=complete_param_value,
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag", metavar="TAG", help="A tag; may be repeated.", autocompletion=complete_tag
    ),
]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Notes.")]
Job = Annotated[str | None, typer.Option("--job", metavar="NAME", help="The job's name.")]
User = Annotated[
    str | None, typer.Option("--user", metavar="NAME", help="Default: the login name.")
]


def parse_params(typed: list[str] | None) -> dict[str, Any]:
    """The parameters of `--param`.

    Raises:
        typer.BadParameter: one is not `NAME=VALUE`.
    """
    try:
        return dict(map(parse_pair, typed or ()))
    except RunFileError as error:
        raise typer.BadParameter(str(error), param_hint="--param") from error


# What follows the program's name is the program's, options included.
@app.command(
    "run", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True}
)
def run_command(
    context: typer.Context,
    command: Annotated[
        list[str], typer.Argument(metavar="PROGRAM", help="The program and its arguments.")
    ],
    commit_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            metavar="ID",
            help="Default: git's commit, with -2, -3 and so on for further runs.",
            autocompletion=complete,
        ),
    ] = None,
    job: Annotated[
        str | None,
        typer.Option("--job", metavar="NAME", help="The job's name. Default: the script's."),
    ] = None,
    user: User = None,
    params: Params = None,
    tags: Tags = None,
    note: Note = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the experiment, if it exists.")
    ] = False,
    from_step: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="With --resume: supersede what was logged from step N on."
        ),
    ] = None,
    save_patch: Annotated[
        bool, typer.Option("--save-patch", help="Keep uncommitted changes, as a patch in files/.")
    ] = False,
    console: Annotated[
        bool, typer.Option("--console/--no-console", help="Keep the output in files/console.log.")
    ] = True,
    system_metrics: Annotated[
        bool,
        typer.Option(
            "--system-metrics", help="Log the use of CPU, memory and GPUs (extra system)."
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Do not say which run it is and how it ended.")
    ] = False,
    root: Root = None,
) -> None:
    """Run any program as a run: its arguments, output and status are kept.

    Arguments such as --lr 0.1, --lr=0.1 and lr=0.1 become parameters.

    What it prints is shown, and kept in files/console.log; of a progress bar, the last form.

    In it, expstore.start() logs to this run, and so does `expstore log $EXPSTORE_RUN`.

    Exit code 0 is finished, Ctrl-C and SIGTERM are stopped, all else is failed.

    The exit code is the program's; 1 instead of 0 if not all could be kept, as on a full disk.

    Example: expstore run --tag baseline -- python train.py --lr 0.1
    """
    from expstore.integrations.program import run_program

    given = parse_params(params)
    if command[0].startswith("-"):  # since what follows the program's name is the program's
        raise typer.BadParameter(f"there is no option {command[0]}, nor such a program")
    store = open_store(context, root, new=True)
    if resume and commit_id is not None and store.root.is_dir():
        commit_id = resolve(store, commit_id)
    began = time.monotonic()

    def started(run: Run) -> None:
        if not quiet:
            tell(f"run {run.commit_id} in {run.store.root}")

    try:
        end = run_program(
            command,
            store.root,
            commit_id,
            job,
            user,
            params=given,
            tags=tags or (),
            notes=note or "",
            resume=resume,
            from_step=from_step,
            save_patch=save_patch,
            console=console,
            system_metrics=system_metrics,
            on_start=started,
        )
    except ProgramNotFoundError as error:
        fail(str(error), 127)  # as in shells
    if not quiet:
        why = f" ({end.error})" if end.error else ""
        tell(f"run {end.commit_id} {end.outcome}{why} after {amount(time.monotonic() - began)}")
    for fault in end.unkept:
        tell(fault)
    sys.exit(end.code or int(bool(end.unkept)))


@app.command()
def new(
    context: typer.Context,
    commit_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", help="Default: git's commit, with -2, -3 and so on where it is taken."
        ),
    ] = None,
    job: Job = None,
    user: User = None,
    params: Params = None,
    tags: Tags = None,
    note: Note = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Create an experiment for a shell to log to, and print its id.

    `expstore log` logs to it, and `expstore end` says how it ended; until then that is unknown.

    If EXPSTORE_RUN is the id, expstore.start() in Python logs to it too.

    Example: expstore new --param lr=0.1 --tag baseline
    """
    from expstore.store.create import create

    given = parse_params(params)
    root_path = open_store(context, root, new=True).root
    made = create(
        root_path, commit_id, job or "", user, params=given, tags=tags or (), notes=note or ""
    )
    if as_json:
        print_json({"commit_id": made, "path": str(root_path / made)})
    else:
        print(made)


@app.command()
def end(
    context: typer.Context,
    commit_id: Id,
    status: Annotated[
        Literal["finished", "failed", "stopped"], typer.Option("--status", help="How it ended.")
    ] = "finished",
    error: Annotated[
        str, typer.Option("--error", metavar="TEXT", help="Why it failed or was stopped.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Also if it has ended, or a writer has it open.")
    ] = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Say how a run ended that does not say so itself.

    As one that a shell has logged to, or that was killed.

    Example: expstore end 3f2a --status failed --error 'out of memory'
    """
    store = open_store(context, root)
    commit_id = resolve(store, commit_id)
    store.end_run(commit_id, status, error, force=force)
    if as_json:
        print_json({"commit_id": commit_id, "status": status})


@app.command("set")
def set_command(
    context: typer.Context,
    commit_ids: Annotated[
        list[str],
        typer.Argument(
            metavar="ID",
            help=SOME_IDS,
            autocompletion=complete,
        ),
    ],
    params: Params = None,
    unset: Annotated[
        list[str] | None,
        typer.Option(
            "--unset",
            metavar="NAME",
            help="Remove this parameter; may be repeated.",
            autocompletion=complete_param,
        ),
    ] = None,
    tags: Tags = None,
    untag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TAG", help="Remove this tag; may be repeated.", autocompletion=complete_tag
        ),
    ] = None,
    note: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="Replace the notes.")
    ] = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Change the parameters, tags and notes of experiments, also while they run.

    What is not named is kept. It prints what they have then.

    Example: expstore set 3f2a --param lr=0.1 --tag best --untag todo --note 'half the rate'
    """
    given = parse_params(params)
    store = open_store(context, root)
    chosen = [resolve(store, one) for one in commit_ids]
    if not (params or unset or tags or untag or note is not None):
        raise typer.BadParameter("give --param, --unset, --tag, --untag or --note")
    found = {
        one: store.update_run(
            one,
            params=given,
            tags=tags or (),
            notes=note,
            remove_params=unset or (),
            remove_tags=untag or (),
        )
        for one in dict.fromkeys(chosen)
    }
    if as_json:
        print_json([{"commit_id": one} | _described(info) for one, info in found.items()])
        return
    from expstore.compare.conditions import as_text

    for one, info in found.items():
        parts = [f"{name}={shortened(as_text(value))}" for name, value in info.flat_params.items()]
        parts += ["tags: " + ", ".join(info.tags)] if info.tags else []
        parts += ["notes: " + info.notes] if info.notes else []
        print(printable(f"{one}: {'; '.join(parts) or 'nothing'}"))


def _described(info: RunInfo) -> dict[str, Any]:
    return {"params": info.flat_params, "tags": list(info.tags), "notes": info.notes}
