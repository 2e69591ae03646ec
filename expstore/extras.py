"""Optional libraries, imported on first use.

Guarantees: a missing library raises `MissingExtraError`, in one line that says what to install.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from expstore.errors import MissingExtraError


def require(module: str, extra: str) -> Any:
    """Import an optional module.

    Args:
        module: the full name, such as `pyarrow.parquet`.
        extra: the extra of this package that provides it.

    Raises:
        MissingExtraError: the library is not installed.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise  # the library is installed; one of its own dependencies is missing
        raise MissingExtraError(
            f"{library} is not installed; it comes with the extra `{extra}`: {installation(extra)}",
            name=library,
        ) from error


def installation(extra: str) -> str:
    """The command that installs an extra, of an installed package or of a checkout."""
    import shlex  # imported lazily, as it is for an error only

    top = Path(__file__).resolve().parents[1]
    if (top / "pyproject.toml").is_file():
        return f"pip install -e {shlex.quote(f'{top}[{extra}]')}"
    return f"pip install 'expstore[{extra}]'"
