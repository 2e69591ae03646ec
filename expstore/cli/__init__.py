"""The command `expstore`: the library on the command line.

Guarantees: results go to stdout, everything else to stderr; an error is one line on stderr and exit
code 1 (2 for wrong usage), never a traceback; without the extra `cli`, one line says how to install
it. The modules of this package each hold the commands of one subject.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the entry point of the script `expstore`."""
    from expstore.cli import ending, streams

    try:
        ending.prepare()
        streams.prepare()
        _load_and_run()
    except KeyboardInterrupt:  # while modules are loaded; after that, `run` handles it
        print("expstore: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        ending.finish()


def _load_and_run() -> None:
    try:
        import rich
        import typer
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        from expstore.extras import installation

        sys.exit(f"expstore: the command line needs the extra `cli`: {installation('cli')}")
    del rich, typer
    from expstore.cli.run import run

    run()


if __name__ == "__main__":
    main()
