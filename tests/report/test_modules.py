"""Joining JavaScript modules into one script."""

from __future__ import annotations

from importlib import resources

import pytest

from expstore.report.modules import join


def test_modules_run_once_after_what_they_import() -> None:
    """Each in a scope of its own, with the names that it imports."""
    texts = {
        "a.js": 'import { one, two as deux } from "./b.js";\n'
        'import { three } from "./c.js";\ngo();\n',
        "b.js": 'import {\n  three,\n} from "./c.js";\n'
        "export const one = 1;\nexport function two() {}\n",
        "c.js": "export class three {}\n",
    }
    joined = join("a.js", texts.__getitem__)
    assert joined == (
        "const $c = (() => {\nclass three {}\nreturn { three };\n})();\n"
        "const $b = (() => {\nconst { three, } = $c;\nconst one = 1;\nfunction two() {}\n"
        "return { one, two };\n})();\n"
        "const $a = (() => {\nconst { one, two: deux } = $b;\nconst { three } = $c;\ngo();\n"
        "return {  };\n})();\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        'import x from "./b.js";\n',
        'import * as x from "./b.js";\n',
        "export default 1;\n",
        "export { x };\n",
        'const x = await import("./b.js");\n',
        'import { x } from "https://example.org/b.js";\n',
        'import { x } from "./a.js";\n',
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    """Nothing is joined wrongly; a module that imports itself is a circle."""
    with pytest.raises(ValueError, match=r"not understood|each other"):
        join("a.js", {"a.js": text, "b.js": ""}.__getitem__)


def test_the_modules_are_short_and_say_what_they_are() -> None:
    """Each of the page's modules opens with a comment, has under 300 lines, and is used."""
    assets = resources.files("expstore.report") / "assets"
    texts = {one.name: one.read_text() for one in assets.iterdir() if one.name.endswith(".js")}
    for name, text in texts.items():
        assert text.startswith("// "), name
        assert text.count("\n") < 300, name
    joined = join("report.js", texts.__getitem__)
    assert all(f"const ${name[:-3]} =" in joined for name in texts)
