"""`python -m tests.kaitai`: run the generated readers of every language that is installed.

Prints the table of formats/README.md as measured, and for each language that could not run, why.
Exits with 1 if a row differs from the README's, or if no language could run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.kaitai import outcomes
from tests.kaitai.languages import LANGUAGES, BuildError


def main() -> int:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(prog="python -m tests.kaitai", description=__doc__)
    parser.add_argument(
        "languages", nargs="*", metavar="LANGUAGE", help=f"some of {' '.join(LANGUAGES)}"
    )
    chosen = parser.parse_args().languages or list(LANGUAGES)
    if unknown := set(chosen) - set(LANGUAGES):
        parser.error(f"unknown: {' '.join(sorted(unknown))}")
    documented = outcomes.documented()
    rows, notes, wrong = [], [], 0
    with tempfile.TemporaryDirectory(prefix="kaitai-") as folder:
        for language in map(LANGUAGES.__getitem__, chosen):
            if language.missing:
                notes.append(f"{language.name}: not run: {language.missing}")
                continue
            place = Path(folder) / language.target
            try:
                row = str(outcomes.measure(language, place))
            except BuildError as error:
                notes.append(f"{language.name}: {error}")
                wrong += 1
                continue
            rows.append(row)
            if unread := outcomes.wrong_vectors(language, place):
                notes.append(f"{language.name}: reads otherwise: {', '.join(unread)}")
            if row != documented.get(language.name):
                notes.append(f"{language.name}: the README says {documented.get(language.name)}")
                wrong += 1
    print(outcomes.HEADING, "|---" * 7 + "|", *rows, sep="\n")
    print(*notes, sep="\n", file=sys.stderr)
    print(f"{len(rows)} of {len(chosen)} languages ran, {wrong} wrong")
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
