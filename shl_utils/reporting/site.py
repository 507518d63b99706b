"""A finished run for readers without Python: its notebooks as pages or as slides, which work without a network.

nbconvert makes them. What it would load from elsewhere (formulas, a library for slides) is included here instead.
"""

from __future__ import annotations

import html
import importlib.util
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from shl_utils.parameters import STAGES, Parameters
from shl_utils.reporting import html_page
from shl_utils.runs import leak_scan, stamps, status, storage

FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)
TITLE = re.compile(r"^# +(.+)", re.MULTILINE)
QUESTION = re.compile(r"\*\*Question\.\*\* +(.+)")
MERMAID = re.compile(r'<script type="module">(?:(?!</script>).)*mermaid.*?</script>', re.DOTALL)
LOADER = re.compile(r"<script>\s*require\(.*?</script>", re.DOTALL)  # of a library that would be loaded from elsewhere
START = """<script src="reveal/dist/reveal.js"></script>
<script>Reveal.initialize({hash: true, slideNumber: "c/t", width: 1200, height: 800, margin: 0.05})</script>"""
DECK = """<style>
.reveal { font-size: 26px } .reveal .slides { text-align: left }
.reveal .slides section:not(.stack):not(:has(section)) { max-height: 790px; overflow-y: auto }
.reveal img { max-height: 520px; margin: 0 auto; display: block } .reveal table { font-size: 0.7em; margin: 0 }
</style>"""
FOLDED = """{% extends 'lab/index.html.j2' %}
{% block input_group %}<details><summary>code</summary>{{ super() }}</details>{% endblock %}"""
NOTHING = {
    "mathjax_url": "",
    "require_js_url": "",
    "jquery_url": "",
    "mermaid_js_url": "",
    "jupyter_widgets_base_url": "",
}
SHORT, ROWS = 450, 10  # most characters of a text that leaves room on a slide, most rows of a table that shares one
REVEAL = "sphinx_revealjs"  # a package that contains reveal.js; it is not imported
NEEDS = "`pip install -e '.[site]'` brings it"
NEEDS_REVEAL = "reveal.js is missing: `pip install --no-deps sphinx-revealjs==3.2.1` brings it"


def site(folder: Path, target: Path) -> Path:
    """Write an index with parameters and provenance, and one page per notebook, into the new folder `target`.

    Returns the path of the index. ValueError for a run that is not finished, if `target` exists, and for a page that
    would show the text of a private note.
    """
    from nbconvert import HTMLExporter

    found = _notebooks(folder)
    with _pages(folder, target) as partial:
        lines = []
        for stage, notebook in found.items():
            exporter = HTMLExporter(**NOTHING, raw_template=FOLDED)
            text, _ = exporter.from_notebook_node(notebook)
            text = MERMAID.sub("", text).replace("</head>", f"{_dark(exporter)}</head>", 1)
            (partial / f"{stage}.html").write_text(text, encoding="utf-8")
            first = notebook.cells[0].source
            lines.append(f'<li><a href="{stage}.html">{TITLE.findall(first)[0]}</a>: {QUESTION.findall(first)[0]}</li>')
        parts = [
            html_page.paragraph("Segmented Harmonic Loss, reproduced and audited: the notebooks of one finished run."),
            f"<ol start=0>{''.join(lines)}</ol>",
            *_provenance(folder),
        ]
        (partial / "index.html").write_text(html_page.page(f"shl: run {folder.name}", parts), encoding="utf-8")
    return target / "index.html"


def slides(folder: Path, target: Path) -> Path:
    """Write one slide deck per notebook, without code, and reveal.js into the new folder `target`; return the first.

    Raises as `site` does, and ValueError where reveal.js is missing.
    """
    from nbconvert import SlidesExporter

    found, reveal = _notebooks(folder), _reveal()
    with _pages(folder, target) as partial:
        shutil.copytree(reveal / "dist", partial / "reveal" / "dist")
        for stage, notebook in found.items():
            exporter = SlidesExporter(**NOTHING, reveal_url_prefix="reveal", exclude_input=True)
            exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
            text, _ = exporter.from_notebook_node(_as_deck(notebook))
            text = LOADER.sub(START, MERMAID.sub("", text)).replace("</head>", f"{DECK}</head>")
            (partial / f"{stage}.html").write_text(text, encoding="utf-8")
    return target / f"{STAGES[0]}.html"


def _provenance(folder: Path) -> Iterator[str]:
    facts, told = json.loads((folder / "provenance.json").read_text(encoding="utf-8")), status.summarize(folder)
    yield html_page.heading("What was asked")
    asked, defaults = facts["parameters"], Parameters().model_dump()
    table = pd.DataFrame({"value": asked, "default": {name: defaults.get(name) for name in asked}}).astype(str)
    yield html_page.table(table[table["value"] != table["default"]])
    yield html_page.heading("What made it")
    made = [_made(stage, facts["stages"][stage["stage"]]) for stage in told["stages"]]
    yield html_page.table(pd.DataFrame(made).set_index("stage"))
    last = facts["stages"][STAGES[-1]]
    about = last["versions"] | {name: str(value) for name, value in last["hardware"].items()}
    about |= {f"fingerprint of {name}": value for name, value in told["fingerprints"].items()}
    yield html_page.table(pd.DataFrame({"": about}))


def _made(stage: dict[str, Any], stamp: dict[str, Any]) -> dict[str, Any]:
    git, computed = stamp.get("git") or {}, stamp.get("computed", ())  # empty where no model computed anything
    return {
        "stage": stage["stage"],
        "finished": stage["finished"],
        "seconds of the last attempt": stage["seconds_of_last_attempt"],
        "peak memory, MB": stage.get("peak_memory_mb", ""),
        "revision": git.get("revision", "none")[:12] + (" with changes" if git.get("dirty") else ""),
        **{f: ", ".join({str(one[f]): 0 for one in computed}) for f in ("device", "precision", "processes")},
    }


def _dark(exporter: Any) -> str:
    """The dark theme, for readers whose system asks for it."""
    theme = exporter.environment.loader.get_source(exporter.environment, "static/theme-dark.css")[0]
    return f'<style media="(prefers-color-scheme: dark)">:root {{ color-scheme: dark }}\n{theme}</style>\n'


def _notebooks(folder: Path) -> dict[str, nbformat.NotebookNode]:
    """The executed notebooks of a finished run, by stage; ValueError where one is missing or out of date."""
    states = stamps.states(folder)
    late = [stage for stage, state in states.items() if not state.done]
    if late:
        raise ValueError(f"{folder}: {late[0]} is {states[late[0]]}: `shl run` its parameter file first")
    if importlib.util.find_spec("latex2mathml") is None:
        raise ValueError(f"latex2mathml is missing: {NEEDS}")
    stale = [stage for stage in STAGES if not stamps.is_shown(folder, stage)]
    if stale:
        raise ValueError(
            f"{folder}: {stale[0]} was done since by hand, with other results: `shl run` its parameter file"
        )
    return {stage: _readable(nbformat.read(folder / "notebooks" / f"{stage}.ipynb", as_version=4)) for stage in STAGES}


@contextmanager
def _pages(folder: Path, target: Path) -> Iterator[Path]:
    """Yield a folder to write to, which then becomes the new folder `target`. ValueError, and nothing is written, if
    that exists or if a page shows the text of a private note."""
    if target.exists():
        raise ValueError(f"{target} is there already: give the name of a new folder")
    with storage.atomic(target) as partial:
        partial.mkdir()
        yield partial
        leaks = leak_scan.find_leaks([partial], [folder]) if stamps.read(folder, STAGES[0])["private"] else []
        if leaks:
            file, notes = leaks[0].file.name, leaks[0].notes
            raise ValueError(f"{folder}: {file} would show text of {notes} notes: nothing is written")


def _reveal() -> Path:
    spec = importlib.util.find_spec(REVEAL)
    if spec is None:
        raise ValueError(NEEDS_REVEAL)
    return Path(spec.origin).parent / "_static" / "revealjs"


def _readable(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with formulas as MathML, which browsers draw, and pictures with the alternative texts that
    nbconvert's template leaves out."""
    from latex2mathml.converter import convert

    def drawn(match: re.Match) -> str:
        block, inline = match.groups()
        return convert(block or inline, display="block" if block else "inline")

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = FORMULA.sub(drawn, cell.source)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                words = html.escape(output.metadata.get("image/png", {}).get("alt", ""))
                image = f'<img alt="{words}" src="data:image/png;base64,{output.data.pop("image/png").strip()}">'
                output.data["text/html"] = image
    return notebook


def _as_deck(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Mark the cells as slides. A heading opens a slide; below it are pictures and tables, one per slide, beside a
    short text where there is one. Sentences follow what they describe. Cells without visible output are left out."""
    room = filled = False  # whether the slide has room for a picture or table, and whether it has one
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _is_seen(output.get("data", {}))]
            sentence = all("text/markdown" in output.data for output in cell.outputs)
            kind = "-" if sentence or (room and not _is_long(cell.outputs)) else "subslide"
            kind = kind if cell.outputs else "skip"
            room, filled = room and not cell.outputs, filled or bool(cell.outputs)
        else:
            kind = "slide" if cell.source.startswith("#") else "subslide" if filled else "-"
            room, filled = len(cell.source) < SHORT and kind != "-", False
        cell.metadata["slideshow"] = {"slide_type": kind}
    return notebook


def _is_long(outputs: list[nbformat.NotebookNode]) -> bool:
    return any(output.data.get("text/html", "").count("<tr") > ROWS for output in outputs)


def _is_seen(data: dict[str, Any]) -> bool:
    """Whether it is a picture, table or sentence; not a list of definitions, nor the script that sorts tables."""
    if "text/markdown" in data:
        return not data["text/markdown"].startswith("- ")
    return "<script>" not in data.get("text/html", "<script>")
