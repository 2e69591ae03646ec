"""The page's guesses from the names of metrics: they are the library's, name by name."""

from __future__ import annotations

import json
from pathlib import Path

from expstore import ExperimentStore
from expstore.compare.interest import ASIDE, HELD_OUT, HIGH, LOW, best_aspect, by_interest, words
from expstore.report.page import asset, collect, render_page
from expstore.report.payload import to_json
from tests.report.browser import Browser

MAIN = """
import { byId } from "./dom.js";
import { bestOf, isAside, sortedByInterest, useWords } from "./interest.js";
useWords(JSON.parse(byId("data").textContent));
window.guess = (names) => ({
  best: names.map(bestOf), aside: names.map(isAside), sorted: sortedByInterest([...names]),
});
"""

WORDS = [*(LOW + "|" + HIGH).replace("?", "").split("|"), *HELD_OUT, *ASIDE]
NAMES = [
    *WORDS,
    *(f"val/{word}" for word in WORDS),
    *(f"{word}_of_layers" for word in WORDS),
    *("valLoss", "testMAE", "top5-accuracy", "F1", "trainRMSE2", "lossy", "maps", "remap", "x1"),
    *("loss/accuracy", "accuracy loss", "grad/loss", "system/gpu0", "step_time", "Überlauf", ""),
]


def test_a_page_guesses_what_the_library_guesses(
    store: ExperimentStore, browser: Browser, tmp_path: Path
) -> None:
    """Which value is the best, what comes first, and what is folded."""
    store.initialize()
    page = tmp_path / "interest.html"

    def read(name: str) -> str:
        return MAIN if name == "main.js" else asset(name)

    page.write_text(render_page("interest", "main.js", to_json(collect(store)), read=read))
    browser.open(page)
    found = browser.run(f"return window.guess({json.dumps(NAMES)})")
    assert dict(zip(NAMES, found["best"], strict=True)) == {n: best_aspect(n) for n in NAMES}
    assert found["aside"] == [words(name)[:1] != () and words(name)[0] in ASIDE for name in NAMES]
    assert sorted(found["sorted"]) == sorted(NAMES)
    assert by_interest(found["sorted"]) == found["sorted"]
