"""The cells of an executed notebook as slides for a room: what is shown, and on which slide."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import nbformat

HEADING = re.compile(r"^#+ +(.+)")
ASKED = "*Before you run on:*"  # begins a question whose answer follows
UNSHOWN = ("Exercises", "Checks")  # sections that slides leave out, with what follows
SHORT, ROWS = 80, 10  # most characters of a text that leaves room on a slide, most rows of a table that shares one
LONG = 900  # most characters of text on a slide


def shown(cells: Iterable[nbformat.NotebookNode]) -> Iterator[nbformat.NotebookNode]:
    """The cells that slides have: no exercises, no table of files, each question by itself, and what its answer was."""
    for cell in cells:
        if needs_kernel(cell):
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


def as_slides(cells: Sequence[nbformat.NotebookNode]) -> Iterator[nbformat.NotebookNode]:
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


def needs_kernel(cell: nbformat.NotebookNode) -> bool:
    """Whether it says how to run cells, or waits for a reader's answer, which no page takes."""
    tags = cell.metadata.get("tags", [])
    answered = any(output.get("metadata", {}).get("answered") for output in cell.get("outputs", []))
    return "lab" in tags or ("exercise" in tags and not answered)


def _pieces(text: str) -> Iterator[str]:
    """The paragraphs of a text in pieces that a slide holds, each under the text's heading."""
    heading = match[0] if (match := HEADING.match(text)) else ""
    piece = ""
    for paragraph in filter(None, text.split("\n\n")):
        if piece not in ("", heading) and len(piece) + len(paragraph) > LONG:
            yield piece
            piece = heading
        piece += "\n\n" * bool(piece) + paragraph
    if piece:
        yield piece


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
