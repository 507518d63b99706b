"""An executed notebook as a page or as slides of HTML, which work without a network.

nbconvert makes them, by the templates in the folder beside this module.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
from nbconvert import HTMLExporter, SlidesExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from shl_utils.reporting import slides

TEMPLATES = Path(__file__).with_name("templates")
TITLE = re.compile(r"^# +(.+)", re.MULTILINE)


def write_page(notebook: nbformat.NotebookNode, path: Path, *, links: str = "") -> None:
    """Write one executed notebook as a page. links: Markdown that stands above and below it."""
    _write(HTMLExporter(**_by("page.html.j2")), notebook, path, links=links)


def write_deck(notebook: nbformat.NotebookNode, path: Path, *, links: str = "") -> None:
    """Write one executed notebook as slides, beside reveal.js. links: Markdown of the last slide."""
    hidden = {"exclude_input": True, "exclude_input_prompt": True, "exclude_output_prompt": True}
    # the theme is one whose fonts lie beside it
    exporter = SlidesExporter(reveal_url_prefix="reveal", reveal_theme="white", **hidden, **_by("deck.html.j2"))
    notebook.cells = [*slides.as_slides([*slides.shown(notebook.cells), nbformat.v4.new_markdown_cell(links)])]
    _write(exporter, notebook, path)


def copy_reveal(folder: Path) -> None:
    """Copy reveal.js, by which slides move, into `folder`; ValueError where it is missing."""
    found = importlib.util.find_spec("sphinx_revealjs")  # contains it, and is not imported
    if found is None:
        raise ValueError("reveal.js is missing: `pip install -e '.[site]'` brings it")
    shutil.copytree(Path(found.origin).parent / "_static/revealjs/dist", folder / "reveal" / "dist")


def _by(template: str) -> dict[str, Any]:
    return {"template_file": str(TEMPLATES / template), "filters": {"markdown2html": _as_html}}


def _write(exporter: HTMLExporter, notebook: nbformat.NotebookNode, path: Path, *, links: str = "") -> None:
    title = TITLE.findall(notebook.cells[0].source)[0]
    resources = {"metadata": {"name": title}, "links": _as_html(links)}
    path.write_text(exporter.from_notebook_node(notebook, resources=resources)[0], encoding="utf-8")


def _as_html(markdown: str) -> str:
    return MarkdownWithMath(_WithMathML(escape=False)).render(markdown)


class _WithMathML(IPythonRenderer):
    """Renders formulas as MathML, which browsers draw without a script."""

    def inline_math(self, body: str, display: str = "inline") -> str:
        from latex2mathml.converter import convert

        return convert(body, display=display)

    def block_math(self, body: str) -> str:
        return self.inline_math(body, "block")
