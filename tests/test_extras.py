"""Extras: the README's table and pyproject's list are one."""

from __future__ import annotations

import re
import tomllib

from tests.helpers.paths import ROOT


def test_every_extra_is_in_the_readmes_table() -> None:
    """Neither lists one that the other does not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    section = (ROOT / "README.md").read_text().split("## Extras")[1].split("\n## ")[0]
    told = [
        name
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    ]
    assert sorted(told) == sorted(project["optional-dependencies"])


def test_every_requirement_has_its_reason() -> None:
    """A lower bound or a pin, and a comment that justifies it."""
    text = (ROOT / "pyproject.toml").read_text()
    lists = text.split("dependencies = [", 1)[1].split("[project.entry-points", 1)[0]
    for line in re.findall(r'^    "[^"]+",.*$', lists, re.MULTILINE):
        requirement = line.split('"')[1]
        if requirement.startswith("expstore["):
            continue
        assert re.search(r"[>=]=\d", requirement), line
        assert "#" in line, line
