"""Watching runs while they train: a web page that follows a store, and the same in a notebook.

Guarantees: it reads, and never writes, any store that can be read. `app` needs the extra `serve`.
"""

from expstore.live.application import app
from expstore.live.notebook import view

__all__ = ["app", "view"]
