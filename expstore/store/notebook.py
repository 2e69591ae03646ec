"""A store as a notebook shows it: its newest experiments.

Guarantees: text from files is data, and the location shows no credentials. A store at a URL is not
listed, since that may take long.
"""

from __future__ import annotations

from pathlib import Path

from expstore.errors import ExpStoreError
from expstore.model import html
from expstore.model.texts import shown_time
from expstore.model.values import Metadata
from expstore.store import metafile
from expstore.store.files import layout
from expstore.store.files.directory import Location
from expstore.store.files.place import open_root

_SHOWN = 10  # experiments


def store_html(location: Location) -> str:
    """A table in HTML."""
    if not isinstance(location, Path):
        return html.table((f"experiments at {location}",), ())
    try:
        with open_root(location) as root:
            ids = layout.commit_ids(root.directories())
        outcomes = list(metafile.read_all(location, ids))
    except ExpStoreError as error:
        return html.table((f"experiments in {location}",), (), str(error))
    known = [(one, found) for one, found in outcomes if isinstance(found, Metadata)]
    known.sort(key=lambda pair: pair[1].timestamp, reverse=True)
    rows = [
        (commit_id, shown_time(found.timestamp), found.job_name, found.user)
        for commit_id, found in known[:_SHOWN]
    ]
    note = f"{len(ids):,} experiments in {location}"
    note += f"; the newest {_SHOWN} are shown" if len(ids) > _SHOWN else ""
    return html.table(("experiment", "created", "job", "user"), rows, note)
