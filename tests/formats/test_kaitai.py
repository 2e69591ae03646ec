"""Generated readers run in other languages and give what the specification's table says.

`python -m tests.kaitai` runs all languages; here are an interpreted one, a browser's, and a
compiled one.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kaitai import outcomes
from tests.kaitai.languages import LANGUAGES


@pytest.mark.parametrize("target", ["python", "javascript", "go"])
def test_generated_readers_give_what_the_table_says(target: str, tmp_path: Path) -> None:
    """All vectors, integers of 64 bits, invalid UTF-8, torn tails and constants."""
    language = LANGUAGES[target]
    if language.missing:
        pytest.skip(language.missing)
    assert str(outcomes.measure(language, tmp_path)) == outcomes.documented()[language.name]


def test_the_table_has_every_language() -> None:
    """A language without a row is not compared with anything."""
    names = {language.name for language in LANGUAGES.values()}
    assert names <= set(outcomes.documented())
