"""The command: `python -m tests.benchmarks [--quick] [--json | --markdown] [--only NAME] ...`."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import comparison, report
from tests.benchmarks.corpora import Corpora
from tests.benchmarks.harness import Bench, Result, Unavailable, measure
from tests.benchmarks.rows import rows

MIN_REPEAT = 5


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Time expstore against the reference program and its peers. The exit code is "
        "0 whatever the figures are: a benchmark is not a test.",
        epilog="example: python -m tests.benchmarks --only get_metrics --reference ./reference",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes; takes about two minutes")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print all samples as JSON")
    form.add_argument("--markdown", action="store_true", help="print the short form")
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        help="only rows whose name contains this; `peers` and `equality` select those parts",
    )
    parser.add_argument(
        "--reference",
        metavar="PROGRAM",
        default=os.environ.get("EXPSTORE_REFERENCE"),
        help="the reference program; default: $EXPSTORE_REFERENCE",
    )
    parser.add_argument(
        "--work",
        metavar="DIR",
        type=Path,
        help="keep the corpora here for the next run (4 GB); default: a temporary directory",
    )
    parser.add_argument(
        "--repeat", type=int, default=MIN_REPEAT, help="samples of each contender, 5 or more"
    )
    options = parser.parse_args()
    if options.repeat < MIN_REPEAT:
        parser.error(f"--repeat must be {MIN_REPEAT} or more: rows compare medians")
    if options.reference is not None and not os.access(options.reference, os.X_OK):
        parser.error(f"--reference: {options.reference} is not an executable")
    return options


def _wanted(name: str, only: list[str] | None) -> bool:
    return only is None or any(part in name for part in only)


def run(bench: Bench, only: list[str] | None) -> tuple[dict[str, Any], list[Result]]:
    """Measure the selected rows and parts."""
    document: dict[str, Any] = {
        "machine": report.machine(bench),
        "rows": [],
        "equality": [],
        "peers": {},
        "peer_unit": comparison.UNIT,
        "notes": [],
    }
    corpora, results = Corpora(bench), []
    for row in rows(bench, corpora):
        if not _wanted(row.name, only):
            continue
        report.progress(row.name)
        try:
            results.append(measure(row, bench.repeat))
            report.measured(results[-1])
        except Unavailable as reason:
            document["notes"].append(f"{row.name}: {reason}")
        except KeyboardInterrupt:
            document["notes"].append(f"{row.name}, and what follows it: interrupted")
            break
    document["rows"] = [result.as_json() for result in results]
    limit = bench.size(1_000_000, 20_000)
    for corpus in list(corpora.used.values()) if _wanted("equality", only) else []:
        report.progress(f"equality with construct: {corpus.title}")
        compared, equal = corpora.verify(corpus, limit)
        document["equality"].append(
            {
                "corpus": corpus.title,
                "records": corpus.count,
                "compared": compared,
                "equal": equal,
            }
        )
    if _wanted("peers", only):
        document["peers"], notes = comparison.measure(bench, report.progress)
        document["notes"] += notes
    return document, results


def main() -> None:
    """Run, and print in the selected form."""
    options = _options()
    reference = options.reference and str(Path(options.reference).resolve())
    with tempfile.TemporaryDirectory(prefix="expstore-bench-") as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(work, reference, options.quick, options.repeat)
        document, results = run(bench, options.only)
    report.progress("")
    if options.json:
        print(json.dumps(document, indent=2))
        return
    form = report.markdown if options.markdown else report.text
    for line in form(document, results):
        print(line)


if __name__ == "__main__":
    main()
