"""The modules that commands need, loaded before the first; most commands need no others."""

from contextlib import redirect_stdout, suppress
from functools import cache
from importlib import import_module
from io import StringIO

import numpy
import rich.table
import typer.main
import typer.testing

from expstore.cli import base, groups, run

for theme in run._THEMES:
    import_module(f"expstore.cli.{theme}")
groups.arrange(base.app)
# Building the commands takes longer than most of them do, and gives the same each time.
typer.main.get_command = cache(typer.main.get_command)
typer.testing._get_command = typer.main.get_command
with redirect_stdout(StringIO()), suppress(SystemExit):  # the first call loads further modules
    base.app(["schema", "metrics"], prog_name="expstore", standalone_mode=False)

__all__ = ["numpy", "rich"]
