"""`prune` and `rm`: show what would be deleted and why, ask, and delete.

Guarantees: without `--json` the plan is shown before anything is deleted; of a long plan a terminal
shows the first rows of each action, and the number of the others. On a terminal nothing is deleted
without confirmation or `--yes`, elsewhere nothing without `--yes`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import typer

from expstore import (
    DeletionError,
    ExperimentStore,
    PrunePlan,
    PruneRow,
    RetentionPolicyError,
)
from expstore.cli.base import Json, Root, app, fail, open_store, print_json, progress, tell
from expstore.cli.experiments import describe
from expstore.cli.ids import Ids, complete, resolve, tell_links
from expstore.cli.selecting import Where, complete_metric, matching, tell_none
from expstore.cli.times import parse_days, parse_duration

Force = Annotated[bool, typer.Option("--force", help="Also delete what a writer has open.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")]


class _Deletion(NamedTuple):
    """How a plan is carried out.

    Attributes:
        verb, done: what is shown for `prune` in the plan, and of what was deleted.
        grace: seconds; see `plan_prune`.
        force, dry_run, yes, as_json: the options.
    """

    verb: str
    done: str
    grace: float
    force: bool
    dry_run: bool
    yes: bool
    as_json: bool


@app.command()
def prune(
    context: typer.Context,
    keep: Annotated[
        int | None, typer.Option("--keep", min=0, metavar="N", help="Keep the newest N.")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="DAYS", help="Prune what is older: 30, 30d, 2w or 2026-01-31."),
    ] = None,
    keep_best: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC:min=N",
            help="Keep the N best by this metric: val/loss:min=3, acc:max=1. May be repeated. "
            "Without --keep and --older-than, all others are pruned.",
            autocompletion=complete_metric,
        ),
    ] = None,
    where: Where = None,
    protect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Never prune this; may be repeated.", autocompletion=complete
        ),
    ] = None,
    grace: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            help="Skip what was logged to in the last TIME, and has not ended since: 90s, 30m, "
            "1h; 0 switches this off.",
        ),
    ] = "1h",
    force: Force = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Delete experiments beyond the newest N, older than DAYS, or not among the best.

    With --where, as if there were no others; alone, it deletes all that match.

    Mind the language: age > 30d is what is older, created > 30d what is of the last 30 days.

    Age is counted from creation, in local calendar days; what cannot be read is never deleted.

    Without a terminal, nothing is deleted without --yes.

    Example: expstore prune --where 'tag == sweep' --keep-best val/loss:min=3 --dry-run
    """
    from expstore.compare.best import parse_best, rank

    now = time.time()
    days = 0 if older_than is None else parse_days(older_than, now, "--older-than")
    if keep is None and days == 0 and not keep_best and where is None:
        raise typer.BadParameter("give --keep, --older-than, --keep-best or --where")
    how = _Deletion(
        "prune", "pruned", parse_duration(grace, "--grace"), force, dry_run, yes, as_json
    )
    try:
        rules = list(map(parse_best, keep_best or ()))
    except RetentionPolicyError as error:
        raise typer.BadParameter(str(error), param_hint="--keep-best") from error
    store = open_store(context, root)
    kept = dict.fromkeys((resolve(store, one) for one in protect or ()), "protected")
    tell_links(store)
    only: list[str] | dict[str, str] | None = None
    if where is not None:
        only = matching(store, where)
        if not only:
            tell_none(store, {"--where": where})
    if rules:
        best, unread, others = rank(store, rules, only, progress=progress("reading"))
        kept = unread | best | kept
        if keep is None and days == 0:
            only = others | kept
    plan = store.plan_prune(
        keep, days, protect=kept, only=only, now=now, grace=how.grace, force=force
    )
    _carry_out(store, plan, how, now)


@app.command()
def rm(
    context: typer.Context,
    commit_ids: Ids = None,
    where: Where = None,
    force: Force = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Delete chosen experiments, by their ids, or by --where, or those of the ids that match.

    What a writer has open is left, with exit code 1. Without a terminal, --yes is needed.

    Mind the language: age > 30d is what is older, created > 30d what is of the last 30 days.

    Example: expstore rm --where 'status == failed and tag == try' --dry-run
    """
    if not commit_ids and where is None:
        raise typer.BadParameter("give ids, or --where, or both")
    store = open_store(context, root)
    ids = [resolve(store, one) for one in commit_ids] if commit_ids else None
    if ids is None:
        tell_links(store)
    if where is not None:
        ids = matching(store, where, ids)
        if not ids:
            tell_none(store, {"--where": where})
            sys.exit(1)
    plan = store.plan_deletion(ids or (), force=force)
    _carry_out(store, plan, _Deletion("delete", "deleted", 0, force, dry_run, yes, as_json))
    left = sum(row.action == "skip" for row in plan)
    if left and not dry_run:
        fail(f"{left} left, since a writer has it open; --force deletes it anyway")


def _carry_out(
    store: ExperimentStore, plan: PrunePlan, how: _Deletion, now: float | None = None
) -> None:
    """Show a plan, ask, delete, and report."""
    logged = store.last_logged(row.commit_id for row in plan)
    if not how.as_json and plan:
        _show(store, plan, logged, time.time() if now is None else now, how.verb)
    deleted: list[str] = []
    error = None
    if plan.pruned and not how.dry_run:
        if how.as_json and not how.yes:
            fail(
                "--json cannot ask for confirmation; add --yes to delete or --dry-run for the plan",
                2,
            )
        _confirm(len(plan.pruned), how)
        try:
            # The plan that was shown, not a new one.
            deleted = store.prune(plan, grace=how.grace, force=how.force)
        except DeletionError as caught:
            error, deleted = caught, caught.deleted
    if how.as_json:
        failures = error.failures if error else {}
        rows = [_describe(row, logged[row.commit_id], how.verb) for row in plan]
        print_json({how.done: deleted, "failures": failures, "plan": rows})
    if error is not None:
        raise error  # after the JSON, which reports what is gone in any case
    if not how.as_json and not how.dry_run:
        print(f"{len(deleted)} {how.done}")


def _show(
    store: ExperimentStore,
    plan: PrunePlan,
    logged: Mapping[str, float | None],
    now: float,
    verb: str,
) -> None:
    from expstore.cli import render, tables
    from expstore.cli.shortids import shown_ids

    room = tables.room() // 2  # of an action
    counts: Counter[str] = Counter()
    shown = []
    for row in plan:
        counts[row.action] += 1
        if counts[row.action] <= room:
            shown.append(row)
    console = render.console()
    piped = not sys.stdout.isatty()
    ids = None if piped else shown_ids(store.list_experiments(), console.width // 2)
    table, dropped = render.plan(shown, logged, now, verb, ids, console.width)
    tables.show(console, table)
    if dropped:
        print(f"no room for: {', '.join(dropped)}")
    left = [
        f"{count - room:,} to {verb if action == 'prune' else action}"
        for action, count in counts.items()
        if count > room
    ]
    if left:
        tell(f"not shown: {', '.join(left)}; {tables.see_all(pipe='--dry-run | less')}")


def _describe(row: PruneRow, logged: float | None, verb: str) -> dict[str, Any]:
    known = {} if row.metadata is None else describe(row.commit_id, row.metadata)
    action = verb if row.action == "prune" else row.action
    judged = {"last_logged": logged, "action": action, "reason": row.reason}
    return {"commit_id": row.commit_id, **known, **judged}


def _confirm(count: int, how: _Deletion) -> None:
    if how.yes:
        return
    if not sys.stdin.isatty():
        fail(f"{count} to {how.verb}, none deleted: without a terminal --yes is required")
    if not typer.confirm(f"Delete {count}?", err=True):
        fail("nothing deleted")
