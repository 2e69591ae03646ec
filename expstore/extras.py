"""Optional libraries: imported when first used, and missing with one clear line.

Guarantees: whatever extra is missing, the error is the same `MissingExtraError`, and it says what
to install.
"""

from __future__ import annotations

import importlib
from typing import Any

from expstore.errors import MissingExtraError


def require(module: str, extra: str) -> Any:
    """An optional module.

    Args:
        module: its full name, such as `pyarrow.parquet`.
        extra: the extra of this package that brings it.

    Raises:
        MissingExtraError: the library is not installed.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise  # the library is there, and lacks something of its own
        raise MissingExtraError(
            f"{library} is not installed; it comes with the extra `{extra}`: "
            f"pip install 'expstore[{extra}]'",
            name=library,
        ) from error
