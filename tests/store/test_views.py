"""Showing a store in a notebook, by an entry point: the core knows no page."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import expstore
from expstore import ExperimentStore, MissingExtraError
from expstore.store.views import GROUP
from tests.helpers.paths import ROOT


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry point as an installation of pyproject.toml has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points = project["entry-points"][GROUP]
    folder = tmp_path / "site" / "installed-1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Name: installed\nVersion: 1\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (folder / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))


@pytest.mark.usefixtures("installed")
def test_a_store_and_a_run_can_be_viewed(store: ExperimentStore) -> None:
    """As a page that a notebook shows."""
    with expstore.start(store.root, "abc") as run:
        run.log({"loss": 0.5}, step=1)
        shown = run.view(live=False, height=300)
    page = shown._repr_html_()  # type: ignore[attr-defined]
    assert "abc" in page
    assert 'height="300"' in page
    assert "abc" in store.view(live=False)._repr_html_()  # type: ignore[attr-defined]
    with pytest.raises(expstore.ExperimentNotFoundError):
        store.view(["gone"], live=False)


def test_without_what_makes_a_page_the_error_says_so(
    store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the core is installed alone."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [])
    with pytest.raises(MissingExtraError, match="install"):
        store.view()
