"""What a store survives: the quick forms of tests/faults."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.faults import __main__ as experiments
from tests.faults import syscalls
from tests.faults.base import Skip

# The longest one in parts, for which several processes can be used.
QUICK = {name: quick for name, quick in experiments.QUICK.items() if name != "model"}
VERBS = tuple(syscalls.VERBS)
QUICK |= {
    f"syscalls, {' '.join(names)}": partial(QUICK["syscalls"], seed=seed, names=names)
    for seed, names in enumerate([VERBS[:3], VERBS[3:6], VERBS[6:]])
}
del QUICK["syscalls"]


@pytest.mark.parametrize("name", QUICK)
def test_store_survives(name: str, tmp_path: Path) -> None:
    """No record is lost, torn or false, and nothing is half done; see tests.faults."""
    try:
        figures = QUICK[name](tmp_path)
    except Skip as reason:
        pytest.skip(str(reason))
    assert figures
