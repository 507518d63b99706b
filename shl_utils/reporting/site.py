"""A finished run for readers without Python: its notebooks as pages or as slides, with an index."""

from __future__ import annotations

import html
import importlib.util
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from shl_utils.data import leak_scan
from shl_utils.parameters import STAGES, Parameters
from shl_utils.reporting import html_page, notebook_html, tail_page
from shl_utils.reporting.notebook_html import TITLE
from shl_utils.reporting.slides import needs_kernel
from shl_utils.runs import stages, stamps, status, storage

QUESTION = re.compile(r"\*\*Question\.\*\* +(.+)")
PRIMER = "primer"
NAMES = (PRIMER, *STAGES)  # of the notebooks, in their order
NAME = re.compile(rf"`({'|'.join(NAMES)})`")  # in a text


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
            notebook.cells = [cell for cell in notebook.cells if not needs_kernel(cell)]
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = NAME.sub(r"[`\1`](\1.html)", cell.source)
            notebook_html.write_page(notebook, partial / f"{name}.html", links=f"{_links(name)} · {_credit(folder)}")
        if not stamps.read(folder, STAGES[0])["private"]:
            tail_page.write(folder, stages.finished(folder, STAGES[-1])[0], partial / "tail.html")
            contents += '<p><a href="tail.html">Play with the tail</a>: eta, threshold and F1, in the browser.</p>'
        page = html_page.page(f"shl: run {folder.name}", [contents, *_provenance(folder)])
        (partial / "index.html").write_text(page, encoding="utf-8")
    return target / "index.html"


def slides(folder: Path, target: Path, *, primer: Callable[[], nbformat.NotebookNode]) -> Path:
    """Write an index, one slide deck per notebook, without code, and reveal.js into the new folder `target`.

    primer: executes it, which belongs to no run. Returns the path of the index. Raises as `site` does, and ValueError
    where reveal.js is missing.
    """
    found = _notebooks(folder)
    with _pages(folder, target) as partial:
        notebook_html.copy_reveal(partial)
        found = {PRIMER: primer()} | found
        page = html_page.page(f"shl: slides of run {folder.name}", [_contents(found)])
        (partial / "index.html").write_text(page, encoding="utf-8")
        for name, notebook in found.items():
            notebook_html.write_deck(notebook, partial / f"{name}.html", links=f"{_links(name)}\n\n{_credit(folder)}")
    return target / "index.html"


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
