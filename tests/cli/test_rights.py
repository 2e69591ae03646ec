"""Commands on a store that this user may not see all of."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from expstore import ExperimentStore
from tests.helpers import rights
from tests.helpers.application import log, run


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[ExperimentStore]:
    """A store in which others' experiments are private: one is found first, in any order."""
    store = ExperimentStore(tmp_path / "experiments")
    store.initialize()
    for name in ("first", "open", "other"):
        log(store, name, {"loss": [0.5, 0.25]})
    private = [store.experiment_path(name) for name in ("first", "other")]
    for path in private:
        path.chmod(0)
    with rights.only_those_of_the_mode():
        yield store
    for path in private:
        path.chmod(0o755)


@pytest.mark.parametrize(
    "command",
    [
        ["ls"],
        ["show", "open"],
        ["metrics", "open"],
        ["log", "open", "loss", "0.1"],
        ["set", "open", "--tag", "best"],
        ["check", "open"],
        ["export", "open", "--to", "csv"],
    ],
    ids=lambda command: command[0],
)
def test_private_experiments_do_not_keep_others_from_theirs(
    command: list[str], shared: ExperimentStore
) -> None:
    """They are listed with their errors; whatever is done to another works."""
    done = run(shared, *command)
    assert done.exit_code == 0, done.output
    assert ("permission denied" in done.output) == (command == ["ls"])


def test_a_store_that_may_not_be_read_is_named(shared: ExperimentStore) -> None:
    """Not a file that might be in it."""
    shared.root.chmod(0)
    try:
        done = run(shared, "ls")
    finally:
        shared.root.chmod(0o755)
    assert done.exit_code != 0
    error = done.stderr or str(done.exception)
    assert f"{shared.root}: permission denied" in error
