"""Extras: the guide's table and pyproject.toml list the same."""

from __future__ import annotations

import re
import tomllib

from tests.helpers.paths import ROOT


def test_every_extra_is_in_the_guides_table() -> None:
    """Neither has an extra that the other lacks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    section = (ROOT / "expstore" / "README.md").read_text().split("## Extras")[1].split("\n## ")[0]
    listed = [
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(listed) == sorted(project["optional-dependencies"])


def test_all_is_everything_but_the_frameworks() -> None:
    """An extra that is added later is in `all`, unless it is a framework or for this project."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]

    def brought(name: str) -> set[str]:
        named = re.findall(r"expstore\[([\w,]+)\]", " ".join(extras[name]))
        return {name}.union(*(brought(one) for text in named for one in text.split(",")))

    hooks = {path.stem for path in (ROOT / "expstore" / "integrations").glob("*.py")}
    assert brought("all") == {*extras} - (hooks & {*extras}) - {"test", "bench"}


def test_every_requirement_has_its_reason() -> None:
    """Each has a lower bound or a pin, and a comment that justifies it."""
    text = (ROOT / "pyproject.toml").read_text()
    lists = text.split("dependencies = [", 1)[1].split("[project.entry-points", 1)[0]
    for line in re.findall(r'^    "[^"]+",.*$', lists, re.MULTILINE):
        requirement = line.split('"')[1]
        if requirement.startswith("expstore["):
            continue
        assert re.search(r"[>=]=\d", requirement), line
        assert "#" in line, line
