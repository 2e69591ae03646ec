"""The part of the metadata that pyproject.toml cannot compute: the description of the package.

It is README.md, which is shown without the files around it: what links to them names them instead.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup


def standalone(text: str) -> str:
    """A page without pictures, and with the paths of other files in the place of links to them."""
    text = re.sub(r"<picture>.*?</picture>\n\n?", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\n", "", text)
    return re.sub(
        r"\[([^\]]+)\]\((?!\w+://)([^)#]+)(?:#[^)]*)?\)", r"\1 (`\2` in the source)", text
    )


setup(
    long_description=standalone(Path(__file__).with_name("README.md").read_text("utf-8")),
    long_description_content_type="text/markdown",
)
