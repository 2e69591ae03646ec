"""Writing a report: a self-contained HTML file that makes no network requests.

Guarantees: the file works offline, and its content security policy forbids network access; only the
scripts included here can run, since the policy lists their hashes. Text from files is treated as
data: it is escaped in the embedded JSON and shown through `textContent`. An experiment that cannot
be read is included with its problems.

The page's code is in `assets`, in modules that this joins into one script; `assets/source.js` is
the seam between them and the data. The charts are drawn by uPlot (MIT, no dependencies, 51 kB),
unmodified in `assets/uplot`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expstore.compare.axes import Axis
from expstore.compare.exportreader import as_source
from expstore.model.texts import printable
from expstore.report.contents import collect
from expstore.report.modules import join
from expstore.report.payload import to_json
from expstore.store.files.output import check_output, write_output

if TYPE_CHECKING:
    from expstore.store.reader import StoreReader

__all__ = ["collect", "render", "render_page", "write_report"]

_ASSETS = "assets"


def write_report(
    store: StoreReader | str | os.PathLike[str],
    path: str | os.PathLike[str],
    ids: Iterable[str] | None = None,
    *,
    title: str | None = None,
    x: Axis = "step",
    progress: Callable[[list[str]], Iterable[str]] = iter,
    on_left_out: Callable[[str], object] | None = None,
    jobs: int = 1,
) -> int:
    """Write a report on experiments, of at most 15 MB.

    Args:
        store: the store to read from, or its root, or the path of an export to Parquet.
        path: the output file; an existing file is replaced.
        ids: commit ids, the most important first; None: all, the newest first.
        title: the report's title; default: derived from the root's name.
        x: the x axis that is shown at first.
        progress: wraps the list of ids while they are read.
        on_left_out: called with a line of text on each kind of thing that did not fit; the page
            says the same.
        jobs: the number of processes that read; 0: one for each processor. A script that uses more
            than one must do so under `if __name__ == "__main__":`.

    Returns:
        The number of experiments in the report.

    Raises:
        InvalidCommitIdError, ExperimentNotFoundError, StoreNotFoundError, SelectionError, JobError:
            nothing was written.
        UnreadableFileError, OutputExistsError: the file cannot be written.
    """
    check_output(Path(path), force=True)
    store = as_source(store)
    data = collect(store, ids, progress, jobs=jobs) | {"x": x}
    write_output(
        Path(path), render(data, default_title(store) if title is None else title).encode()
    )
    for text in data["leftOut"]:
        if on_left_out is not None:
            on_left_out(text)
    return len(data["runs"])


def default_title(store: StoreReader) -> str:
    """A title that names the root's last component."""
    location = store.location
    name = location.resolve().name if isinstance(location, Path) else location.name
    return f"Experiments in {name or location}"


def render(data: dict[str, Any], title: str) -> str:
    """Render the result of `collect` as an HTML page."""
    return render_page(title, "report.js", to_json(data))


def render_page(
    title: str,
    main: str,
    data: str = "{}",
    *,
    read: Callable[[str], str] | None = None,
    connect: str = "",
) -> str:
    """The page around some data, or around none: a server's page fetches it.

    Args:
        title: plain text.
        main: the file name of the first module, which makes a source and gives it to `start`.
        data: what the page has in the element `#data`, as `payload.to_json` makes it.
        read: gives the text of a module by its file name; default: that of the file in `assets`.
        connect: directives for the content security policy, each with its `;`, if the page may
            connect: such as `connect-src 'self'; `.
    """
    style = asset("uplot/uPlot.min.css") + asset("report.css")
    scripts = {"uplot": asset("uplot/uPlot.iife.min.js"), "script": join(main, read or asset)}
    sources = " ".join(_source(script) for script in scripts.values())
    images = "img-src data: 'self'" if connect else "img-src data:"
    parts = {
        "policy": f"default-src 'none'; script-src {sources}; style-src {_source(style)}; "
        f"{connect}{images}; base-uri 'none'; form-action 'none'",
        "title": html.escape(printable(title)),
        "licence": asset("uplot/LICENSE").strip(),
        "style": style,
        "data": data,
        **scripts,
    }
    # A single pass: placeholders inside inserted text are not expanded.
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], asset("report.html"))


def asset(name: str) -> str:
    """The text of a file in `assets`."""
    return (resources.files(__name__.rpartition(".")[0]) / _ASSETS / name).read_text("utf-8")


def _source(text: str) -> str:
    """The hash of a script or style, in the syntax of a content security policy."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
