"""Sphinx: the pages of this folder as a site with README as its first page, which `make site` builds."""

import re
from pathlib import Path

from sphinx.application import Sphinx

project = html_title = "shl"
author = "The shl authors"
extensions = ["myst_parser"]
myst_heading_anchors = 3
root_doc = "README"
exclude_patterns = [".*", "runs", "site", "slides"]  # not looked through
include_patterns = ["README.md", "CHANGELOG.md", "docs/**.md"]
html_theme = "furo"
html_copy_source = html_show_sphinx = False

# what the side bar lists; README's own table of pages serves readers of the repository
CONTENTS = """

```{toctree}
:hidden:
:glob:

docs/results/*
docs/*
CHANGELOG
```
"""


def setup(app: Sphinx) -> None:
    app.connect("source-read", _complete)


def _complete(app: Sphinx, page: str, text: list[str]) -> None:
    """Add to README what only the site has: the side bar's contents, and links to executed notebooks, if built."""
    if page == root_doc:
        text[0] += CONTENTS
        if (Path(app.outdir) / "notebooks").is_dir():
            text[0] = re.sub(
                r"^\| `(primer|\d\d_\w+)`", r'| <a href="notebooks/\1.html">\1</a>', text[0], flags=re.MULTILINE
            )
