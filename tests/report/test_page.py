"""The report as a file: self-contained, inert whatever names it has, and of bounded size."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

import expstore.cli.report  # noqa: F401 - adds its commands
from expstore import ExperimentNotFoundError, ExperimentStore, Metadata, OutputExistsError
from expstore.report import contents
from expstore.report.page import collect, render, write_report
from tests.helpers.application import log, run
from tests.report.pages import ATTACKS, Page, log_run, payload, png


def test_the_page_is_self_contained_and_its_policy_allows_nothing_else(
    store: ExperimentStore,
) -> None:
    """It loads nothing; the policy lists the hash of each script and style in the page."""
    log(store, "a", {"loss": [1.0]})
    page = render(collect(store, ["a"]), "title")
    elements = Page(page).elements
    for tag, attributes, _ in elements:
        assert not {"src", "srcset", "action"} & attributes.keys(), tag
        assert (attributes.get("href") or "#").startswith(("#", "data:")), tag
        assert not [name for name in attributes if name.startswith(("on", "style"))], tag
    (policy,) = (
        a["content"] for _, a, _ in elements if "Content-Security" in str(a.get("http-equiv"))
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag, attributes, text in elements:
        if tag == "style" or (tag == "script" and attributes.get("type") != "application/json"):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
    assert not re.search(r"@import|url\(", page)


def test_the_chart_library_is_unmodified_and_licensed(store: ExperimentStore) -> None:
    """It has the digest of the published file, and every report includes its licence."""
    page = render(collect(store, []), "title")
    (library,) = (
        text for tag, _, text in Page(page).elements if tag == "script" and "uPlot=" in text
    )
    assert hashlib.sha256(library.encode()).hexdigest() == LIBRARY
    assert "The MIT License (MIT)" in page
    assert "Leon Sorokin" in page


LIBRARY = "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"


def shown(name: str | list[str]) -> str:
    """What the page shows of a name: the first of a pair of it and the exact name."""
    return name if isinstance(name, str) else name[0]


def test_names_from_files_cannot_leave_their_data(hostile: ExperimentStore) -> None:
    """The page has the same elements whatever the names are, and the title is plain text."""
    page = render(collect(hostile, hostile.list_experiments()), ATTACKS[1])
    plain = render(collect(hostile, []), "title")
    assert [tag for tag, _, _ in Page(page).elements] == [tag for tag, _, _ in Page(plain).elements]
    assert r"\x1b[31m\x00\u202e" in [*map(shown, payload(page)["names"])]
    assert len(payload(page)["names"]) == len(ATTACKS) + 1


def test_a_report_stays_within_its_size(
    store: ExperimentStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest experiments come first; what does not fit is left out, and said in both places."""
    for place in range(40):
        with store.start_experiment(f"run{place}", job_name="x" * 200) as writer:
            writer.append({"name": "loss", "value": [0.1] * 50, "step": list(range(50))})
    monkeypatch.setattr(contents, "LIMIT", contents._PAGE + 12_000)
    monkeypatch.setattr(contents, "_ROWS", 8_000)
    path = tmp_path / "report.html"
    result = run(store, "report", "-o", str(path))
    data = payload(path.read_text())
    rows, curves = len(data["runs"]), len(data["curves"])
    assert 0 < curves < rows < 40
    assert path.stat().st_size < contents._PAGE + 12_000
    experiments, drawn, *_ = data["leftOut"]
    assert experiments == f"{40 - rows} of 40 experiments: it has the newest {rows}"
    assert drawn == f"curves of all but the newest {curves} experiments"
    for text in data["leftOut"]:
        assert f"left out: {text}" in result.stderr
    chosen = [f"run{place}" for place in range(39, -1, -1)]
    assert [one["id"] for one in collect(store, chosen)["runs"]] == chosen[:rows]
    assert "it has the first" in collect(store, chosen)["leftOut"][0]


def test_experiments_are_newest_first_or_as_chosen(store: ExperimentStore) -> None:
    """By creation, whatever the ids are; those without metadata come last."""
    for commit_id, created in {"a": 100, "b": 300, "c": 200}.items():
        store.create_experiment(commit_id)
        store.write_metadata(Metadata(commit_id, created))
    store.create_experiment("_none")
    assert [one["id"] for one in collect(store)["runs"]] == ["b", "c", "a", "_none"]
    assert [one["id"] for one in collect(store, ["c", "b"])["runs"]] == ["c", "b"]


def test_images_have_a_budget(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only raster images are embedded; what is large is listed, and counted."""
    log(store, "a", {"loss": [1.0]})
    files = {
        "a.png": png(),
        "large.png": png() + bytes(5000),
        "b.svg": b"<svg/>",
        "c.png": b"<svg/>",
    }
    for name, data in files.items():
        (store.files_path("a") / name).write_bytes(data)
    monkeypatch.setattr(contents, "_IMAGE", 4000)
    found = collect(store)
    listed = {one["name"]: one for one in found["files"][0]["files"]}
    assert base64.b64decode(listed["a.png"]["data"]) == png()
    assert listed["large.png"]["leftOut"]
    assert (
        "data" not in listed["b.svg"].keys() | listed["c.png"].keys() | listed["large.png"].keys()
    )
    assert found["leftOut"] == ["1 image, which is large or one of many"]


def test_a_report_does_not_say_where_it_was_made(store: ExperimentStore) -> None:
    """Neither the origin, nor the host or process of a start, nor the path of the store."""
    log(store, "a", {"loss": [1.0]})
    start = {"started": 1, "host": "secret-host", "pid": 4711, "error": f"in {store.root}/a"}
    log_run(
        store.experiment_path("a"), origin={"argv": ["secret-argument"]}, starts=[start], tags=["t"]
    )
    store.create_experiment("b")
    (store.experiment_path("b") / "run.json").write_text("{")
    text = json.dumps(collect(store))
    assert '"t"' in text
    for secret in ("secret", "4711", str(store.root)):
        assert secret not in text


def test_the_command_writes_a_report(store: ExperimentStore, tmp_path: Path) -> None:
    """An existing file is replaced; a directory or an unknown id is an error."""
    log(store, "a", {"loss": [1.0]})
    path = tmp_path / "report.html"
    path.write_text("old")
    result = run(store, "report", "a", "-o", str(path), "--title", "<Mine>")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "<title>&lt;Mine&gt;</title>" in path.read_text()
    assert "1 experiment in" in result.stderr
    assert "left out" not in result.stderr
    assert run(store, "report", "a", "-o", str(path), "--x", "time").exit_code == 0
    assert payload(path.read_text())["x"] == "time"
    with pytest.raises(OutputExistsError):
        write_report(store, tmp_path)
    with pytest.raises(ExperimentNotFoundError):
        write_report(store, tmp_path / "other.html", ["nothing"])
    assert not (tmp_path / "other.html").exists()
