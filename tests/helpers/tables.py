"""Tables and command runs for the tests of imports and exports."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import strategies as st

from expstore import Metric, MetricTable
from expstore.cli import main
from expstore.model.times import unit_fault

# Any bytes that a file can hold, as the formats decode them; some look like escape sequences.
names = st.one_of(
    st.sampled_from(["loss", "", "step", "metric:step", "a,b", '"', "x\r\ny", "\\xff", "\\x5c"]),
    st.binary(max_size=255).map(lambda data: data.decode("utf-8", "surrogateescape")),
)
metrics = st.builds(
    Metric,
    name=names,
    value=st.floats(),
    step=st.integers(0, 2**32 - 1),
    timestamp=st.integers(-(2**63), 2**63 - 1).filter(lambda number: not unit_fault(number)),
)


def table_of(rows: Sequence[Metric]) -> MetricTable:
    """The rows as a table."""
    codes: dict[str, int] = {}
    return MetricTable(
        tuple(dict.fromkeys(row.name for row in rows)),
        np.array([codes.setdefault(row.name, len(codes)) for row in rows], np.int32),
        np.array([row.value for row in rows], np.float64),
        np.array([row.step for row in rows], np.uint32),
        np.array([row.timestamp for row in rows], np.int64),
    )


class Outcome(NamedTuple):
    """The result of a command."""

    code: int
    out: str
    err: str


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> Outcome:
    """Run `expstore` with these arguments, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["expstore", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    out, err = capsys.readouterr()
    return Outcome(int(ended.value.code or 0), out, err)


class _Hidden:
    """A finder that raises ModuleNotFoundError for one library."""

    def __init__(self, library: str) -> None:
        self.library = library

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == self.library:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def hide(patch: pytest.MonkeyPatch, library: str) -> None:
    """Make a library look as if it were not installed."""
    for module in list(sys.modules):
        if module.partition(".")[0] == library:
            patch.delitem(sys.modules, module)
    patch.setattr(sys, "meta_path", [_Hidden(library), *sys.meta_path])
