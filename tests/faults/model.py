"""The state machine of tests/store/test_state_machine.py, for any number of steps."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.base import Figures
from tests.store.test_state_machine import StoreMachine

_LENGTH = 50  # maximum steps of one example


def run(_: Path, *, steps: int = 10_000) -> Figures:
    """At least `steps` steps, in examples of up to fifty."""
    taken = 0

    class Counted(StoreMachine):
        def check_invariants(self, *arguments: object, **keywords: object) -> None:
            nonlocal taken
            taken += 1
            super().check_invariants(*arguments, **keywords)

    while taken < steps:
        run_state_machine_as_test(
            Counted,
            settings=settings(
                max_examples=50,
                stateful_step_count=_LENGTH,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    return {"steps": taken, "differences from the model": 0}
