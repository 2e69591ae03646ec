"""`prune`: shows what would be deleted and why, asks, and deletes.

Guarantees: without `--json` the plan is shown before anything is deleted; of a long plan a terminal
shows the first rows of each action, and the number of the others. On a terminal nothing is deleted
without confirmation or `--yes`, elsewhere nothing without `--yes`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from expstore import DeletionError, PrunePlan, PruneRow
from expstore.cli.base import Json, Root, app, fail, open_store, print_json, tell
from expstore.cli.experiments import describe
from expstore.cli.ids import complete, resolve, tell_links
from expstore.cli.times import parse_days, parse_duration


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
            help="Skip what was logged to in the last TIME: 90s, 30m, 1h; 0 switches this off.",
        ),
    ] = "1h",
    force: Annotated[
        bool, typer.Option("--force", help="Also prune what a writer has open.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Delete experiments beyond the newest N, or older than DAYS local calendar days.

    Age is counted from creation; what was logged to in the last hour is spared (--grace).

    What cannot be read is never deleted. Without a terminal, nothing is deleted without --yes.

    Example: expstore prune --keep 10 --older-than 30 --dry-run
    """
    now = time.time()
    days = 0 if older_than is None else parse_days(older_than, now)
    if keep is None and days == 0:
        raise typer.BadParameter("give --keep, --older-than or both")
    spared = parse_duration(grace)
    store = open_store(context, root)
    kept = [resolve(store, commit_id) for commit_id in protect or ()]
    tell_links(store)
    plan = store.plan_prune(keep, days, protect=kept, now=now, grace=spared, force=force)
    logged = store.last_logged(row.commit_id for row in plan)
    if not as_json:
        _show(plan, logged, now)
    pruned: list[str] = []
    error = None
    if plan.pruned and not dry_run:
        if as_json and not yes:
            fail(
                "--json cannot ask for confirmation; add --yes to delete or --dry-run for the plan",
                2,
            )
        _confirm(len(plan.pruned), yes)
        try:
            # The plan that was shown, not a new one.
            pruned = store.prune(plan, grace=spared, force=force)
        except DeletionError as caught:
            error, pruned = caught, caught.deleted
    if as_json:
        failures = error.failures if error else {}
        rows = [_describe(row, logged[row.commit_id]) for row in plan]
        print_json({"pruned": pruned, "failures": failures, "plan": rows})
    if error is not None:
        raise error  # after the JSON, which reports what is gone in any case
    if not as_json and not dry_run:
        print(f"{len(pruned)} pruned")


def _show(plan: PrunePlan, logged: Mapping[str, float | None], now: float) -> None:
    from expstore.cli import render, tables

    room = tables.room() // 2  # of an action
    counts: Counter[str] = Counter()
    shown = []
    for row in plan:
        counts[row.action] += 1
        if counts[row.action] <= room:
            shown.append(row)
    tables.show(render.console(), render.plan(shown, logged, now))
    left = [f"{count - room:,} to {action}" for action, count in counts.items() if count > room]
    if left:
        tell(f"not shown: {', '.join(left)}; `--dry-run | less` shows all")


def _describe(row: PruneRow, logged: float | None) -> dict[str, Any]:
    known = {} if row.metadata is None else describe(row.commit_id, row.metadata)
    judged = {"last_logged": logged, "action": row.action, "reason": row.reason}
    return {"commit_id": row.commit_id, **known, **judged}


def _confirm(count: int, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"{count} to prune, none deleted: without a terminal --yes is required")
    if not typer.confirm(f"Delete {count}?", err=True):
        fail("nothing deleted")
