"""`demo`: trains three small models, finds the best, and shows what else there is to do.

Guarantees: each command that is shown gives what is printed below it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from expstore.cli.base import Json, Root, app, open_store, print_json, printable, progress

if TYPE_CHECKING:
    from expstore import ExperimentStore
    from expstore.compare.summaries import Summary

_BEST = "val/loss:min"


@app.command()
def demo(
    context: typer.Context,
    directory: Annotated[
        str | None, typer.Argument(metavar="DIR", help="The store. Default: as with --root.")
    ] = None,
    root: Root = None,
    as_json: Json = False,
) -> None:
    """Train three small models (NumPy only, a few seconds), and find the best of them.

    A sweep of three learning rates, with parameters and tags. Nothing is overwritten or deleted.

    Example: expstore demo
    """
    # The matrices are small: the threads of a linear algebra library would only wait for each
    # other, on a busy machine for minutes. NumPy reads these variables when it is first imported.
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

    from expstore.cli import demo_training as demonstration
    from expstore.compare.summaries import compare

    store = open_store(context, directory or root, new=True)
    store.initialize()
    settings = demonstration.free_settings(store)
    for setting in settings:
        bar = progress(f"training {setting.commit_id}", stays=True)
        demonstration.train(store, setting, progress=bar)
    ids = [setting.commit_id for setting in settings]
    (best,) = compare(store, ids, sort=_BEST, limit=1)
    if as_json:
        print_json({"root": str(store.root), "trained": ids, "best": best.commit_id})
        return
    _show(store, best)


def _show(store: ExperimentStore, best: Summary) -> None:
    """Print commands with what they give, and at last one to go on with."""
    from expstore.cli import render, tables
    from expstore.cli.comparing import print_rows
    from expstore.cli.showing import print_experiment
    from expstore.compare import compare, select
    from expstore.compare.best import parse_best, rank
    from expstore.compare.experiments import experiments

    # The page that follows a store needs an extra; the file that any browser opens does not.
    page = "serve --open" if find_spec("uvicorn") else "report --output report.html"
    where, now = shlex.quote(printable(str(store.root))), time.time()
    command = f"{_program()} --root {where}"
    _say(f"$ {command} compare --where 'tag == demo' --sort {_BEST}")
    print_rows(store, compare(store, where="tag == demo", sort=_BEST), [], _BEST, None)
    loss = best.metrics["val/loss"].min
    _say(f"The best is {best.commit_id}, with a val/loss of {loss:.4g}:")
    _say(f"$ {command} show {best.commit_id}")
    (one,) = experiments(store, [best.commit_id])
    print_experiment(one, store.get_metrics(best.commit_id))
    _say("Keep only the best (--dry-run: nothing is deleted):")
    rule = f"{_BEST}=1"
    _say(f"$ {command} prune --where 'tag == demo' --keep-best {rule} --grace 0 --dry-run")
    only = select(store, "tag == demo")
    kept, _, others = rank(store, [parse_best(rule)], only)
    plan = store.plan_prune(None, 0, protect=kept, only=others | kept, now=now)
    logged = store.last_logged(row.commit_id for row in plan)
    console = render.console()
    tables.show(console, render.plan(plan, logged, now, width=console.width)[0])
    _say("Now look at the curves, in a browser:")
    _say(f"$ {command} {page}")


def _program() -> str:
    """How this program can be called again: by its name, or the path of a script not on `$PATH`."""
    script = Path(sys.argv[0])
    found = shutil.which("expstore")
    if script.name != "expstore" or (found and Path(found).resolve() == script.resolve()):
        return "expstore"
    return shlex.quote(sys.argv[0])


def _say(line: str) -> None:
    print("\n" + line)
