"""README.md and the guide: their examples run unchanged and in order, and what they list is all."""

from __future__ import annotations

import importlib
import re
import runpy
import sys
import types
from pathlib import Path

import pytest

import expstore
from tests import picture
from tests.helpers.documents import run_apart
from tests.helpers.page import installs
from tests.helpers.paths import ROOT

README = ROOT / "README.md"
GUIDE = ROOT / "expstore" / "README.md"
PAGES = [
    README,
    GUIDE,
    ROOT / "formats" / "README.md",
    ROOT / "formats" / "GUIDE.md",
    ROOT / "tests" / "benchmarks" / "README.md",
]


def title(page: Path) -> str:
    """A page as a test's name has it."""
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize(("page", "values"), [(README, 6), (GUIDE, 14)], ids=["README", "guide"])
def test_examples_run_in_their_order(page: Path, values: int, tmp_path: Path) -> None:
    """All examples, in an empty directory, with what the page has installed by then."""
    found = run_apart(page, tmp_path)
    assert len(found) == values, found  # a comment that does not look like a value is not checked


def test_what_a_page_has_not_installed_is_not_there(tmp_path: Path) -> None:
    """The examples of a page are refused if its text forgets an extra; installed, they run."""
    install = "```sh\n.venv/bin/pip install -q -e '.[{}]'\n```\n"
    example = "```python\nimport pandas\n```\n```console\n$ expstore schema\n```\n"
    page = tmp_path / "page.md"
    page.write_text(install.format("cli") + example)
    with pytest.raises(AssertionError, match="pandas"):
        run_apart(page, tmp_path)
    page.write_text(install.format("pandas") + example)
    with pytest.raises(AssertionError, match="the command line needs the extra"):
        run_apart(page, tmp_path)
    page.write_text(install.format("cli,pandas") + example)
    assert run_apart(page, tmp_path) == []


def test_requirements_are_read_from_shell_blocks() -> None:
    """Extras of this package, and libraries by name, without pip's options."""
    block = "python3 -m venv .venv && .venv/bin/pip install -q -e '.[cli,plot]' && other\n"
    assert installs(block) == ["expstore[cli,plot]"]
    assert installs(".venv/bin/pip install -q duckdb\n") == ["duckdb"]


@pytest.mark.parametrize("marker", ["demo", "tests"])
def test_two_commands_are_there_and_are_one_line(marker: str) -> None:
    """Each command, setup included, is one line; CI runs the test command from the README."""
    found = re.findall(rf"<!-- {marker} -->\n```sh\n(.*)\n```\n", README.read_text())
    assert len(found) == 1
    assert found[0].startswith("python3 -m venv .venv && ")


def test_the_readme_is_short() -> None:
    """What a newcomer reads at once."""
    assert README.read_text().count("\n") < 250


@pytest.mark.parametrize("page", PAGES, ids=title)
def test_links_lead_somewhere(page: Path) -> None:
    """Each link to a file of the project, or to a heading of a page, has its target."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    for link in links:
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_description_of_the_package_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the README, without links and pictures that lead to files around it."""
    settings: dict[str, str] = {}
    fake = types.ModuleType("setuptools")
    monkeypatch.setattr(fake, "setup", lambda **given: settings.update(given), raising=False)
    monkeypatch.setitem(sys.modules, "setuptools", fake)
    runpy.run_path(str(ROOT / "setup.py"))
    text = settings["long_description"]
    assert all("://" in link for link in re.findall(r"\]\(([^)\s]+)\)", text))
    assert "<picture>" not in text
    named = {ROOT / path for path in re.findall(r"`([\w/.]+)` in the source", text)}
    assert {*PAGES[1:], ROOT / "CHANGELOG.md"} <= named
    assert "[construct](https://construct.readthedocs.io)" in text


@pytest.mark.parametrize("theme", picture.THEMES)
def test_the_picture_is_small(theme: str) -> None:
    """A picture of each theme, made by the command, that loads at once."""
    path = picture.PICTURES / f"report-{theme}.png"
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) < picture.MAXIMUM


def test_the_table_of_public_names_is_complete_and_true() -> None:
    """All names but those of the single errors; and each name in the table exists."""
    table = README.read_text().split("## Public API")[1].split("The commands,")[0]
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", table, re.MULTILINE)
    listed = [name for row, _ in rows for name in re.findall(r"`([\w.]+)`", row)]
    bases = {"ExpStoreError", "FormatError"}
    public = {
        name
        for name in expstore.__all__
        if name in bases or not re.search(r"(Error|Warning|Schema)$", name)
    }
    assert public <= {*listed}, public - {*listed}
    for name in listed:
        if name.startswith("expstore.") or name == "formats":
            module = importlib.import_module(name)
            names = re.findall(r"`(\w+)`", dict(rows)[f"`{name}`"])
            assert all(hasattr(module, one) for one in names), names
        else:
            assert hasattr(expstore, name), name
