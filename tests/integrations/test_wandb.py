"""Scripts for wandb, unchanged but for the import."""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from expstore import ExperimentStore
from expstore.integrations import wandb
from expstore.integrations.wandb import inert
from tests.integrations.helpers import curve


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExperimentStore]:
    """A store of its own, with nothing said yet and no run left open."""
    for name in ("RANK", "WANDB_MODE", "WANDB_RUN_ID", "WANDB_PROJECT", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EXPSTORE_ROOT", str(tmp_path / "store"))
    monkeypatch.setattr(inert, "_said", set())
    store = ExperimentStore(tmp_path / "store")
    store.initialize()
    yield store
    wandb.finish()


def test_steps_count_calls_unless_they_are_not_committed(store: ExperimentStore) -> None:
    """As in wandb: with `commit=False` and with a step, the next call may add to the same step."""
    wandb.init(id="a")
    wandb.log({"x": 0})
    wandb.log({"x": 1}, commit=False)
    wandb.log({"y": 1})
    wandb.log({"x": 2})
    wandb.log({"x": 7}, step=7)
    wandb.log({"y": 7}, step=7, commit=True)
    wandb.log({"x": 8})
    assert curve(store, "a", "x") == [(0, 0), (1, 1), (2, 2), (7, 7), (8, 8)]
    assert curve(store, "a", "y") == [(1, 1), (7, 7)]


def test_a_step_that_goes_back_is_reported_and_left_out(store: ExperimentStore) -> None:
    """At the script's own line."""
    wandb.init(id="a")
    wandb.log({"x": 5}, step=5)
    with pytest.warns(wandb.NotInStoreWarning, match=r"step 4 is less than .* 5") as caught:
        wandb.log({"x": 4}, step=4)
    assert caught[0].filename == __file__
    assert curve(store, "a", "x") == [(5, 5)]


def test_what_is_logged_is_in_the_file_before_the_step_is_complete(store: ExperimentStore) -> None:
    """So that a killed script loses nothing."""
    wandb.init(id="a")
    wandb.log({"x": 1, "part": {"y": np.float32(2)}}, commit=False)
    assert curve(store, "a", "x") == [(0, 1)]
    assert curve(store, "a", "part.y") == [(0, 2)]


def test_config_is_read_and_set_by_key_and_attribute(store: ExperimentStore) -> None:
    """And is kept at once."""
    run = wandb.init(id="a", config={"lr": 0.1, "model": {"depth": 3}, "skip": 1}, notes="try")
    assert (wandb.config.lr, wandb.config["lr"], run.config.get("no", 5)) == (0.1, 0.1, 5)
    assert wandb.config.model["depth"] == 3
    wandb.config.batch = 32
    wandb.config["lr"] = 0.2
    wandb.config.update(argparse.Namespace(seed=1), allow_val_change=True)
    wandb.config.setdefaults({"seed": 2, "wide": True})
    assert dict(wandb.config) == wandb.config.as_dict()
    assert store.read_run("a").params == {
        "lr": 0.2,
        "model": {"depth": 3},
        "skip": 1,
        "batch": 32,
        "seed": 1,
        "wide": True,
    }
    with pytest.raises(AttributeError, match="missing"):
        _ = wandb.config.missing
    assert store.read_run("a").notes == "try"


def test_config_takes_what_wandb_takes(store: ExperimentStore) -> None:
    """An argparse.Namespace, and keys to include or to leave out."""
    wandb.init(id="a", config=argparse.Namespace(lr=0.1, x=1), config_exclude_keys=["x"])
    wandb.finish()
    wandb.init(id="b", config={"lr": 0.1, "x": 1}, config_include_keys=["x"])
    assert store.read_run("a").params == {"lr": 0.1}
    assert store.read_run("b").params == {"x": 1}


def test_the_summary_has_the_last_values_and_what_is_set(store: ExperimentStore) -> None:
    """Numbers become metrics, other values params."""
    wandb.init(id="a")
    wandb.log({"loss": 2.0})
    wandb.log({"loss": 1.0})
    wandb.summary["best"] = 0.5
    wandb.run.summary.update({"why": "patience"})
    assert (wandb.summary["loss"], wandb.summary.best) == (1.0, 0.5)
    assert curve(store, "a", "summary/best") == [(1, 0.5)]
    assert store.read_run("a").flat_params == {"summary.why": "patience"}


@pytest.mark.parametrize(("code", "status"), [(None, "finished"), (0, "finished"), (3, "failed")])
def test_finish_tells_how_the_run_ended(
    store: ExperimentStore, code: int | None, status: str
) -> None:
    """By its exit code; afterwards nothing can be logged."""
    run = wandb.init(id="a")
    wandb.finish(code)
    assert store.status("a") == status
    assert wandb.run is None
    with pytest.raises(wandb.UsageError, match="finished"):
        run.log({"x": 1})
    for use in (lambda: wandb.log({}), lambda: wandb.config.lr, lambda: wandb.summary["x"]):
        with pytest.raises(wandb.errors.Error, match=r"You must call wandb\.init\(\) before"):
            use()


def test_a_block_ends_the_run_as_its_exception_says(store: ExperimentStore) -> None:
    """The exception goes on."""
    with pytest.raises(ZeroDivisionError), wandb.init(id="a"):
        _ = 1 / 0
    assert store.status("a") == "failed"
    with pytest.raises(KeyboardInterrupt), wandb.init(id="b"):
        raise KeyboardInterrupt
    assert store.status("b") == "stopped"


def test_a_run_is_resumed_by_its_id(store: ExperimentStore) -> None:
    """Steps and config go on; `resume_from` goes back to a step."""
    with wandb.init(id="a", config={"lr": 0.1}) as run:
        for value in range(4):
            run.log({"x": value})
    with wandb.init(id="a", resume="must") as run:
        assert (run.step, run.resumed, run.config.lr) == (4, True, 0.1)
        run.log({"x": 40})
    with wandb.init(resume_from="a?_step=1") as run:
        assert run.step == 2
        run.log({"x": 20})
    assert curve(store, "a", "x") == [(0, 0), (1, 1), (2, 20)]


def test_a_resume_that_makes_no_sense_is_refused(store: ExperimentStore) -> None:
    """Before anything is created."""
    wandb.init(id="a").finish()
    for options, message in (
        ({"id": "b", "resume": "must"}, "no run 'b'"),
        ({"resume": "must"}, "needs the id"),
        ({"id": "a", "resume": "never"}, "has a run 'a' already"),
        ({"resume_from": "a"}, "_step="),
    ):
        with pytest.raises(wandb.UsageError, match=message):
            wandb.init(**options)
    assert store.list_experiments() == ["a"]


def test_names_are_the_job_and_tags(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the call, the settings, or the environment, in this order."""
    monkeypatch.setenv("WANDB_PROJECT", "other")
    monkeypatch.setenv("WANDB_NAME", "other")
    monkeypatch.setenv("WANDB_RUN_GROUP", "folds")
    settings = wandb.Settings(run_name="first", run_id="a")
    run = wandb.init("digits", settings=settings, tags=["x"], job_type="train")
    assert (run.id, run.name, run.project, run.group) == ("a", "first", "digits", "folds")
    assert store.read_metadata("a").job_name == "first"
    assert store.read_run("a").tags == ("x", "digits", "folds", "train")


@pytest.mark.parametrize("how", ["mode", "variable", "rank"])
def test_a_disabled_run_takes_every_call_and_keeps_nothing(
    store: ExperimentStore, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its mode, and in processes of other ranks."""
    if how == "rank":
        monkeypatch.setenv("RANK", "1")
    elif how == "variable":
        monkeypatch.setenv("WANDB_MODE", "disabled")
    run = wandb.init(id="a", config={"lr": 1}, mode="disabled" if how == "mode" else None)
    assert wandb.config.lr == 1
    wandb.log({"x": 1, "t": wandb.Table(columns=["a"], data=[[1]])})
    wandb.summary["y"] = 2
    assert wandb.summary["x"] == 1
    assert Path(run.dir).is_dir()
    wandb.finish()
    assert store.list_experiments() == []


def test_media_become_files(store: ExperimentStore, tmp_path: Path) -> None:
    """By name and step, wherever the name points; histograms become numbers."""
    pytest.importorskip("PIL", reason="Pillow draws the pictures; it comes with the extra wandb")
    from PIL import Image as Pillow

    Pillow.new("RGB", (4, 2), "red").save(tmp_path / "red.png")
    wandb.init(id="a")
    wandb.log(
        {
            "val/grey": wandb.Image(np.linspace(0, 1, 6).reshape(2, 3)),
            "../up": wandb.Image(tmp_path / "red.png", caption="red"),
            "several": [wandb.Image(np.zeros((2, 2, 3), np.uint8))] * 2,
            "rows": wandb.Table(columns=["x", "y"], data=[[1, "a"], [2, "b"]]),
            "h": wandb.Histogram([1, 2, 3]),
        }
    )
    media = store.files_path("a") / "media"
    names = sorted(str(path.relative_to(media)) for path in media.rglob("*.*"))
    assert names == [
        "rows_0.csv",
        "several_0_0.png",
        "several_1_0.png",
        "up_0.png",
        "val/grey_0.png",
    ]
    with Pillow.open(media / "val/grey_0.png") as picture:
        assert (picture.size, picture.getpixel((2, 1)), picture.getpixel((0, 0))) == (
            (3, 2),
            255,
            0,
        )
    with (media / "rows_0.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["x", "y"], ["1", "a"], ["2", "b"]]
    assert curve(store, "a", "h/mean") == [(0, 2)]
    assert curve(store, "a", "h/max") == [(0, 3)]


def test_artifacts_and_saved_files_are_copied(store: ExperimentStore, tmp_path: Path) -> None:
    """Each version of an artifact to a place of its own; nothing outside the experiment."""
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "weights.txt").write_text("1")
    wandb.init(id="a")
    artifact = wandb.Artifact("../net", type="model")
    artifact.add_dir(folder)
    artifact.add_file(folder / "deep" / "weights.txt", "../../../evil.txt")
    wandb.log_artifact(artifact)
    wandb.log_artifact(str(folder), name="net")
    wandb.save(str(folder / "deep" / "*.txt"), base_path=folder)
    files = store.files_path("a")
    assert sorted(str(path.relative_to(files)) for path in files.rglob("*.txt")) == [
        "artifacts/net/v0/deep/weights.txt",
        "artifacts/net/v0/evil.txt",
        "artifacts/net/v1/deep/weights.txt",
        "deep/weights.txt",
    ]
    with pytest.raises(ValueError, match="not a file"):
        artifact.add_file(tmp_path / "missing")


def test_what_an_object_lacks_ends_no_script(store: ExperimentStore) -> None:
    """Any object of wandb's: it is reported by its name, and does nothing."""
    run = wandb.init(id="a")
    for one in (
        wandb.Artifact("x"),
        wandb.Table(columns=["a"], data=[[1]]),
        wandb.Image(np.zeros((2, 2))),
        wandb.Histogram([1, 2]),
        run,
    ):
        name = f"wandb.{type(one).__name__}.wonder"
        with pytest.warns(wandb.NotInStoreWarning, match=name):
            assert not one.wonder(1, key=2)
    run.log({"x": wandb.Histogram([1, 2]), "t": wandb.Table(columns=["a"], data=[[1]])})
    assert curve(store, "a", "x/max") == [(0, 2)]


def test_an_artifact_is_written_logged_and_found(store: ExperimentStore, tmp_path: Path) -> None:
    """As scripts do that wait for it, and read it again."""
    (tmp_path / "model.pt").write_text("weights")
    run = wandb.init(id="a", entity="e", project="p")
    artifact = wandb.Artifact("data", type="dataset")
    with pytest.raises(ValueError, match="log it first"):
        artifact.download()
    with artifact.new_file("sub/a.txt", mode="w") as file:
        file.write("text")
    assert run.log_artifact(artifact).wait().version == "v0"
    assert (Path(artifact.download()) / "sub" / "a.txt").read_text() == "text"
    copy = Path(artifact.download(root=tmp_path / "copy"))
    assert (copy / "sub" / "a.txt").read_text() == "text"
    model = wandb.log_model(str(tmp_path / "model.pt"))
    assert Path(model.download()).is_relative_to(store.files_path("a"))
    assert (run.path, run.offline, run.sweep_id) == ("e/p/a", True, None)
    assert run.start_time <= time.time()


def test_what_is_missing_is_said_once_and_does_nothing(store: ExperimentStore) -> None:
    """Functions, classes, options, decorators and kinds of values."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = wandb.init(id="a", sync_tensorboard=True)
        for _ in range(3):
            wandb.log({"bars": wandb.plot.bar(1, 2), "clip": wandb.Video("x.mp4"), "word": "x"})
            run.log_code(".")
            wandb.define_metric("x", step_metric="epoch")
        assert wandb.decorate(len) is len
    said = [str(warning.message) for warning in caught]
    for what in ("sync_tensorboard", "plot", "Video", "log of str", "log_code", "step_metric"):
        assert len([text for text in said if what in text]) == 1, what
    assert all(warning.filename == __file__ for warning in caught)
    assert len(store.get_metrics("a")) == 0
    with pytest.raises(ImportError):
        from expstore.integrations.wandb import __missing__  # noqa: F401


def test_a_second_init_gives_the_run_that_is_open(store: ExperimentStore) -> None:
    """Unless it asks for another one."""
    first = wandb.init(id="a")
    assert wandb.init(id="b", config={"lr": 1}) is first
    assert store.read_run("a").params == {"lr": 1}
    second = wandb.init(id="b", reinit=True)
    assert (first.has_ended, wandb.run) == (True, second)


def test_watch_logs_the_norms_of_gradients(store: ExperimentStore) -> None:
    """With the next step, every so many backward passes, until it is unwatched."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = torch.nn.Linear(2, 1, bias=False)
    wandb.init(id="a")
    wandb.watch(model, log="all", log_freq=2)
    for step in range(5):
        if step == 4:
            wandb.unwatch(model)
        model(torch.tensor([[3.0, 4.0]])).sum().backward()
        wandb.log({"loss": 1.0})
        model.zero_grad()
    assert curve(store, "a", "gradients/weight") == [(0, 5.0), (2, 5.0)]
    assert [step for step, _ in curve(store, "a", "parameters/weight")] == [0, 2]
