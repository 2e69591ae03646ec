"""Optuna: studies as groups of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from expstore import ExperimentStore
from tests.integrations.helpers import curve, needs

needs("optuna")

import optuna

from expstore.integrations.optuna import ExpStoreCallback

optuna.logging.set_verbosity(optuna.logging.CRITICAL)


def objective(trial: optuna.Trial) -> float:
    """Finishes, is pruned, or fails, by the trial's number."""
    x = trial.suggest_float("x", 0, 1)
    for step in range(2):
        trial.report(x + step, step)
    if trial.number == 1:
        raise optuna.TrialPruned
    if trial.number == 2:
        raise ValueError("no such corner")
    return x


@pytest.mark.parametrize("tracked", [False, True])
def test_each_trial_is_a_run_of_its_studys_group(tracked: bool, tmp_path: Path) -> None:
    """With its parameters, values and status, from the callback or from the decorator."""
    callback = ExpStoreCallback(tmp_path, tags="first")
    study = optuna.create_study(study_name="my study")
    study.optimize(
        callback.track(objective) if tracked else objective,
        n_trials=4,
        callbacks=[callback],
        catch=ValueError,
    )
    store = ExperimentStore(tmp_path)
    ids = [f"my-study-{number}" for number in range(4)]
    assert store.list_experiments() == ids
    for trial, commit_id in zip(study.trials, ids, strict=True):
        x = trial.params["x"]
        info = store.read_run(commit_id)
        assert store.read_metadata(commit_id).job_name == "my study"
        assert info.tags[:2] == ("first", "my study")
        assert info.params == {"x": x, "optuna": {"study": "my study", "trial": trial.number}}
        assert curve(store, commit_id, "intermediate_value") == [(0, x), (1, x + 1)]
        assert store.status(commit_id) == ("failed" if trial.number == 2 else "finished")
        if trial.number in (0, 3):
            assert curve(store, commit_id, "value") == [(1, x)]
    assert store.read_run("my-study-1").tags[2:] == ("pruned",)
    assert store.get_metrics("my-study-1").names == ("intermediate_value",)
    if tracked:
        assert store.read_run("my-study-2").starts[0].error == "ValueError: no such corner"


def test_a_tracked_trial_that_ends_the_study_is_kept(tmp_path: Path) -> None:
    """The callback is not called for it; Ctrl-C stops its run."""
    callback = ExpStoreCallback(tmp_path)

    @callback.track
    def interrupted(trial: optuna.Trial) -> float:
        callback.run.log({"loss": trial.suggest_float("x", 0, 1)}, step=0)
        raise KeyboardInterrupt

    study = optuna.create_study(study_name="s")
    with pytest.raises(KeyboardInterrupt):
        study.optimize(interrupted, n_trials=2, callbacks=[callback])
    store = ExperimentStore(tmp_path)
    assert store.list_experiments() == ["s-0"]
    assert store.status("s-0") == "stopped"
    assert store.read_run("s-0").params["x"] == curve(store, "s-0", "loss")[0][1]
    with pytest.raises(LookupError, match="track"):
        _ = callback.run


def test_a_resumed_study_goes_on_in_its_group(tmp_path: Path) -> None:
    """By its storage, with the next number; a new study of an old name overwrites nothing."""
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    for _ in range(2):
        study = optuna.create_study(storage=storage, study_name="s", load_if_exists=True)
        study.optimize(lambda trial: 1.0, n_trials=1, callbacks=[ExpStoreCallback(tmp_path / "e")])
    optuna.create_study(study_name="s").optimize(
        lambda trial: 2.0, n_trials=1, callbacks=[ExpStoreCallback(tmp_path / "e")]
    )
    store = ExperimentStore(tmp_path / "e")
    assert store.list_experiments() == ["s-0", "s-0-2", "s-1"]


def test_several_objectives_have_their_names(tmp_path: Path) -> None:
    """Those of the study, or numbers."""
    for named in (True, False):
        study = optuna.create_study(study_name=str(named), directions=["minimize", "maximize"])
        if named:
            study.set_metric_names(["loss", "accuracy"])
        study.optimize(lambda trial: (1.0, 2.0), n_trials=1, callbacks=[ExpStoreCallback(tmp_path)])
    store = ExperimentStore(tmp_path)
    assert _names(store, "True-0") == ["loss", "accuracy"]
    assert _names(store, "False-0") == ["value_0", "value_1"]


def _names(store: ExperimentStore, commit_id: str) -> list[str]:
    return [metric.name for metric in store.get_metrics(commit_id)]
