"""A finished run for readers without Python: its notebooks as pages or as slides, which work without a network.

nbconvert makes them, by the templates in the folder beside this module.
"""

from __future__ import annotations

import html
import importlib.util
import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbconvert import HTMLExporter, SlidesExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from shl_utils.parameters import STAGES, Parameters
from shl_utils.reporting import html_page, tail_page
from shl_utils.runs import leak_scan, stages, stamps, status, storage

TEMPLATES = Path(__file__).with_name("templates")
TITLE = re.compile(r"^# +(.+)", re.MULTILINE)
QUESTION = re.compile(r"\*\*Question\.\*\* +(.+)")
PRIMER = "primer"
NAMES = (PRIMER, *STAGES)  # of the notebooks, in their order
NAME = re.compile(rf"`({'|'.join(NAMES)})`")  # in a text
HEADING = re.compile(r"^#+ +(.+)")
ASKED = "*Before you run on:*"  # begins a question whose answer follows
UNSHOWN = ("Exercises", "Checks")  # sections that slides leave out, with what follows
SHORT, ROWS = 80, 10  # most characters of a text that leaves room on a slide, most rows of a table that shares one
LONG = 900  # most characters of text on a slide


def site(folder: Path, target: Path, *, primer: Callable[[], nbformat.NotebookNode]) -> Path:
    """Write an index with parameters and provenance, and one page per notebook, into the new folder `target`.

    primer: executes it, which belongs to no run. Returns the path of the index. ValueError for a run that is not
    finished, if `target` exists, and for a page that would show the text of a private note.
    """
    found = _notebooks(folder)
    with _pages(folder, target) as partial:
        found = {PRIMER: primer()} | found
        contents = _contents(found)
        for name, notebook in found.items():
            notebook.cells = [cell for cell in notebook.cells if not _needs_kernel(cell)]
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = NAME.sub(r"[`\1`](\1.html)", cell.source)
            write_page(notebook, partial / f"{name}.html", links=f"{_links(name)} · {_credit(folder)}")
        if not stamps.read(folder, STAGES[0])["private"]:
            tail_page.write(folder, stages.finished(folder, STAGES[-1])[0], partial / "tail.html")
            contents += '<p><a href="tail.html">Play with the tail</a>: eta, threshold and F1, in the browser.</p>'
        page = html_page.page(f"shl: run {folder.name}", [contents, *_provenance(folder)])
        (partial / "index.html").write_text(page, encoding="utf-8")
    return target / "index.html"


def write_page(notebook: nbformat.NotebookNode, path: Path, *, links: str = "") -> None:
    """Write one executed notebook as a page. links: Markdown that stands above and below it."""
    _write(HTMLExporter(**_by("page.html.j2")), notebook, path, links=links)


def slides(folder: Path, target: Path, *, primer: Callable[[], nbformat.NotebookNode]) -> Path:
    """Write an index, one slide deck per notebook, without code, and reveal.js into the new folder `target`.

    primer: executes it, which belongs to no run. Returns the path of the index. Raises as `site` does, and ValueError
    where reveal.js is missing.
    """
    found = _notebooks(folder)
    with _pages(folder, target) as partial:
        copy_reveal(partial)
        found = {PRIMER: primer()} | found
        page = html_page.page(f"shl: slides of run {folder.name}", [_contents(found)])
        (partial / "index.html").write_text(page, encoding="utf-8")
        for name, notebook in found.items():
            write_deck(notebook, partial / f"{name}.html", links=f"{_links(name)}\n\n{_credit(folder)}")
    return target / "index.html"


def copy_reveal(folder: Path) -> None:
    """Copy reveal.js, by which slides move, into `folder`; ValueError where it is missing."""
    found = importlib.util.find_spec("sphinx_revealjs")  # contains it, and is not imported
    if found is None:
        raise ValueError("reveal.js is missing: `pip install -e '.[site]'` brings it")
    shutil.copytree(Path(found.origin).parent / "_static/revealjs/dist", folder / "reveal" / "dist")


def write_deck(notebook: nbformat.NotebookNode, path: Path, *, links: str = "") -> None:
    """Write one executed notebook as slides, beside reveal.js. links: Markdown of the last slide."""
    hidden = {"exclude_input": True, "exclude_input_prompt": True, "exclude_output_prompt": True}
    # the theme is one whose fonts lie beside it
    exporter = SlidesExporter(reveal_url_prefix="reveal", reveal_theme="white", **hidden, **_by("deck.html.j2"))
    notebook.cells = [*_as_slides([*_shown(notebook.cells), nbformat.v4.new_markdown_cell(links)])]
    _write(exporter, notebook, path)


def _credit(folder: Path) -> str:
    """Markdown that names the source of the notes, and their licence."""
    return f"Notes: {stamps.read(folder, STAGES[0])['licence']}"


def _contents(found: Mapping[str, nbformat.NotebookNode]) -> str:
    """A list of the notebooks with their questions, as HTML."""
    lines = []
    for name, notebook in found.items():
        title, question = (part.findall(notebook.cells[0].source)[0] for part in (TITLE, QUESTION))
        lines.append(f'<li><a href="{name}.html">{html.escape(title)}</a>: {html.escape(question)}</li>')
    about = "<p>Segmented Harmonic Loss, reproduced and audited: the notebooks of one finished run.</p>"
    return f"{about}\n<ul>{''.join(lines)}</ul>"


def _links(name: str) -> str:
    """Markdown links from the page of a notebook to the contents, and to the pages before and after it."""
    at = NAMES.index(name)
    near = [*NAMES[max(at - 1, 0) : at], *NAMES[at + 1 : at + 2]]
    return " · ".join(["[Contents](index.html)", *(f"[{other}]({other}.html)" for other in near)])


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


def _provenance(folder: Path) -> Iterator[str]:
    facts, summary = json.loads((folder / "provenance.json").read_text(encoding="utf-8")), status.summarize(folder)
    yield html_page.heading("Changed parameters")
    given, defaults = facts["parameters"], Parameters().model_dump()
    table = pd.DataFrame({"value": given, "default": {name: defaults.get(name) for name in given}}).astype(str)
    changed = table[table["value"] != table["default"]]
    yield html_page.table(changed) if len(changed) else "<p>None: all have their defaults.</p>"
    yield html_page.heading("Provenance")
    made = [_made(stage, facts["stages"][stage["stage"]]) for stage in summary["stages"]]
    yield html_page.table(pd.DataFrame(made).set_index("stage"))
    last = facts["stages"][STAGES[-1]]
    about = last["versions"] | {name: str(value) for name, value in last["hardware"].items()}
    about |= {f"fingerprint of {name}": value for name, value in summary["fingerprints"].items()}
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


def _notebooks(folder: Path) -> dict[str, nbformat.NotebookNode]:
    """The executed notebooks of a finished run, by stage; ValueError where one is missing or out of date."""
    for stage, state in stamps.states(folder).items():
        if not state.done:
            raise ValueError(f"{folder}: {stage} is {state}: `shl run` its parameter file first")
    if importlib.util.find_spec("latex2mathml") is None:
        raise ValueError("latex2mathml is missing: `pip install -e '.[site]'` brings it")
    for stage in STAGES:
        if not stamps.is_shown(folder, stage):
            raise ValueError(
                f"{folder}: {stage} was done since by hand, with other results: `shl run` its parameter file"
            )
    return {stage: nbformat.read(folder / "notebooks" / f"{stage}.ipynb", as_version=4) for stage in STAGES}


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


def _shown(cells: Iterable[nbformat.NotebookNode]) -> Iterator[nbformat.NotebookNode]:
    """The cells that slides have: no exercises, no table of files, each question by itself, and what its answer was."""
    for cell in cells:
        if _needs_kernel(cell):
            continue
        if cell.cell_type != "markdown":
            yield cell
            continue
        text = cell.source
        if text.startswith("# "):  # the first
            text = "\n".join(line for line in text.splitlines() if not line.startswith("|"))
        for part in re.split(r"\n+(?=##+ )", text):  # a heading opens a slide, so it opens a cell
            if part.partition("\n")[0].removeprefix("## ") in UNSHOWN:
                return
            before, asked, question = part.partition(ASKED)
            for piece in _pieces(before.strip()):
                yield nbformat.v4.new_markdown_cell(piece)
            if asked:
                question = question.strip().partition("\n\n")[0]
                question = f"**{question[:1].upper()}{question[1:]}**"
                yield nbformat.v4.new_markdown_cell(question, metadata={"asked": True})


def _pieces(text: str) -> Iterator[str]:
    """The paragraphs of a text in pieces that a slide holds, each under the text's heading."""
    heading, piece = HEADING.match(text), ""
    for paragraph in filter(None, text.split("\n\n")):
        if piece and len(piece) + len(paragraph) > LONG:
            yield piece
            piece = heading[0] if heading else ""
        piece += "\n\n" * bool(piece) + paragraph
    if piece:
        yield piece


def _needs_kernel(cell: nbformat.NotebookNode) -> bool:
    """Whether it says how to run cells, or waits for a reader's answer, which no page takes."""
    tags = cell.metadata.get("tags", [])
    answered = any(output.get("metadata", {}).get("answered") for output in cell.get("outputs", []))
    return "lab" in tags or ("exercise" in tags and not answered)


def _as_slides(cells: Sequence[nbformat.NotebookNode]) -> Iterator[nbformat.NotebookNode]:
    """The cells, marked as slides. A heading opens a slide; so does a question, whose answer is the next one. Pictures
    and tables have a slide each, under the heading of their section, but for a short text above. Sentences follow what
    they describe. Cells without visible output are left out, with the text that leads to them."""
    room = filled = False  # whether the slide has room for a picture or table, and whether it has one
    heading, size = "", 0  # characters of text on the slide
    for cell, following in itertools.pairwise([*cells, None]):
        kind = "skip"
        if cell.cell_type != "code":
            heading = title[1] if (title := HEADING.match(cell.source)) else heading
            asked = "asked" in cell.metadata
            full = filled or asked or size + len(cell.source) > LONG
            kind = "slide" if title else "subslide" if full else "-"
            if cell.source.endswith(":") and following is not None and not _seen(following):
                kind = "skip"
            else:
                room, filled = len(cell.source) < SHORT and not asked, asked
                size = len(cell.source) + (size if kind == "-" else 0)
        elif outputs := _seen(cell):
            sentence = all("text/markdown" in output.data for output in outputs)
            long = any(output.data.get("text/html", "").count("<tr") > ROWS for output in outputs)
            kind = "-"
            if not sentence and (long or not room):
                yield _marked(nbformat.v4.new_markdown_cell(f"### {heading}"), "subslide")
            cell.outputs, room, filled, size = outputs, False, True, 0
        yield _marked(cell, kind)


def _marked(cell: nbformat.NotebookNode, kind: str) -> nbformat.NotebookNode:
    cell.metadata["slideshow"] = {"slide_type": kind}
    return cell


def _seen(cell: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The outputs of a cell that a slide shows."""
    return [output for output in cell.get("outputs", []) if _is_seen(output.get("data", {}))]


def _is_seen(data: dict[str, Any]) -> bool:
    """Whether it is a picture, table or sentence; not a list of definitions, nor the script that sorts tables."""
    if "text/markdown" in data:
        return not data["text/markdown"].startswith("- ")
    return "image/png" in data or "<script>" not in data.get("text/html", "<script>")
