"""The modules that `tests.helpers.commands` loads before forking; most commands need no others."""

from contextlib import redirect_stdout, suppress
from importlib import import_module
from io import StringIO

import numpy
import rich.table

from expstore.cli import base, run

for theme in run._THEMES:
    import_module(f"expstore.cli.{theme}")
with redirect_stdout(StringIO()), suppress(SystemExit):  # the first call loads further modules
    base.app(["schema", "metrics"], prog_name="expstore", standalone_mode=False)

__all__ = ["numpy", "rich"]
