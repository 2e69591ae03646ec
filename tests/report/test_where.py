"""The page's evaluator of `where`: it selects what the library selects, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from expstore import ExperimentStore
from expstore.report.page import asset, collect, render_page
from expstore.report.payload import to_json
from tests.helpers.paths import ROOT
from tests.report.browser import Browser
from tests.report.pages import log_run

CASES: dict[str, list[dict[str, Any]]] = json.loads(
    (ROOT / "tests" / "compare" / "where_cases.json").read_text()
)
# A page without views, on which expressions can be tried.
MAIN = """
import { byId } from "./dom.js";
import { embeddedSource } from "./source.js";
import { compile } from "./where.js";
window.select = async (where) => {
  const source = embeddedSource(JSON.parse(byId("data").textContent));
  const runs = [];
  for await (const some of source.listRuns()) runs.push(...some);
  try {
    return runs.filter(compile(where, { runs })).map((run) => run.id).sort();
  } catch (error) {
    return error.name === "WhereError" ? error.column : String(error);
  }
};
"""


@pytest.fixture
def runs(store: ExperimentStore) -> ExperimentStore:
    """The experiments of the cases."""
    for case in CASES["runs"]:
        with store.start_experiment(case["id"], case["job"], case["user"]) as writer:
            for name, values in case["metrics"].items():
                columns = {"value": list(map(float, values)), "step": list(range(len(values)))}
                writer.append({"name": name, **columns})
        if case["params"] is not None:
            log_run(store.experiment_path(case["id"]), params=case["params"], tags=case["tags"])
    return store


def test_the_page_selects_what_the_cases_say(
    runs: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Every expression gives its ids, and every mistake is pointed at."""

    def read(name: str) -> str:
        return MAIN if name == "main.js" else asset(name)

    page = tmp_path / "where.html"
    page.write_text(render_page("where", "main.js", to_json(collect(runs)), read=read))
    browser.open(page)
    expected = {case["where"]: case["ids"] for case in CASES["matches"]}
    for case in CASES["errors"] + CASES["unknown"]:
        expected[case["where"]] = case["column"]
    found = browser.run(
        f"const cases = {json.dumps(list(expected))};"
        "return Promise.all(cases.map(window.select)).then("
        "(found) => Object.fromEntries(cases.map((where, index) => [where, found[index]])))"
    )
    assert found == expected
