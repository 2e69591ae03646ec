"""`demo`: trains three small models, and shows what to do with the metrics they logged."""

from __future__ import annotations

import os
import time
from typing import Annotated

import typer

from expstore.cli.base import Root, app, open_store, printable, progress


@app.command()
def demo(
    context: typer.Context,
    directory: Annotated[
        str | None, typer.Argument(metavar="[DIR]", help="The store. Default: as with --root.")
    ] = None,
    root: Root = None,
) -> None:
    """Train three small models (NumPy only, a few seconds), log them, and show the results.

    Nothing is overwritten or deleted.

    Example: expstore demo
    """
    # The matrices are small: the threads of a linear algebra library would only wait for each
    # other, on a busy machine for minutes. NumPy reads these variables when it is first imported.
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

    from expstore.cli import demo_training as demonstration
    from expstore.cli import render, tables
    from expstore.cli.listing import list_experiments, print_experiments
    from expstore.cli.showing import print_experiment
    from expstore.compare.experiments import experiments

    store = open_store(context, directory or root)
    store.initialize()
    settings = demonstration.free_settings(store)
    for setting in settings:
        bar = progress(f"training {setting.commit_id}", stays=True)
        demonstration.train(store, setting, progress=bar)
    console, now = render.console(), time.time()
    where = f" --root {printable(str(store.root))}"

    _say(f"$ expstore{where} ls")
    listed = list_experiments(store, lambda metadata: True, None, "created", reverse=False)
    print_experiments(store, listed, "created", params=False, now=now)
    for setting in settings:
        _say(f"$ expstore{where} show {setting.commit_id}")
        (one,) = experiments(store, [setting.commit_id])
        print_experiment(one, store.get_metrics(setting.commit_id))
    _say(f"$ expstore{where} prune --keep 2 --grace 0 --dry-run")
    plan = store.plan_prune(keep_count=2, now=now)
    logged = store.last_logged(row.commit_id for row in plan)
    tables.show(console, render.plan(plan, logged, now, width=console.width)[0])
    _say(f"All of it is in {store.root}; each model's sample text is in files/sample.txt.")


def _say(line: str) -> None:
    print("\n" + printable(line))
