"""Pages whose tables, sentences, pictures and numbers come from files in `results/`, or from the code: `shl docs`.

A place in a page is a comment, what it stands for, and the comment `end`. The first comment names a file, something of
it (a key of PARTS, or a picture) and, for one cell of a table, its row and column. `all` is no file: WHOLE holds its.

    <!-- cost_bf16: training --> the table <!-- end -->
    <!-- cost_bf16: training ; ours: segments, top 1 ; seconds -->94<!-- end -->
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from shl_utils.hints import nearest
from shl_utils.notebook import style
from shl_utils.publication import code_tables, page_parts, results_file, segment_rule
from shl_utils.reporting import cost_tables, formats, plots
from shl_utils.runs import provenance, storage

# the name of a pair of rows holds an arrow, "a -> b"
HEAD = r"<!-- (?P<head>(?P<file>\w+): (?P<part>[^;>]+?)(?P<cell>;(?:(?!-->).)+?)?) -->"
PLACE = re.compile(HEAD + r"(?:(?!<!-- ).)*<!-- end -->", re.DOTALL)
PARTS: dict[str, Callable[[results_file.Found], pd.DataFrame | str]] = {
    # of benches
    "measured with": cost_tables.conditions,
    "training": cost_tables.training,
    "segments": cost_tables.segments,
    "steps": cost_tables.steps,
    "sizes": cost_tables.sizes,
    # of published runs
    "notice": page_parts.notice,
    "made with": page_parts.conditions,
    "seconds": page_parts.seconds,
    "primary": page_parts.primary,
    "gains": page_parts.gains,
    "published": page_parts.published,
    "verdicts": page_parts.verdicts,
    "by split": page_parts.by_split,
    "changes": page_parts.changes,
    "pairs": page_parts.pairs,
    "by frequency": page_parts.by_frequency,
    "tuning": page_parts.tuning,
    "precision and recall": page_parts.precision_and_recall,
    "gradients": page_parts.gradients,
    "weights": page_parts.weights,
}
# of the code, or of many published runs together
WHOLE = {name: getattr(code_tables, name) for name in ("commands", "parameters", "runs", "grids")}
WHOLE |= {"corpora": segment_rule.table, "rule": segment_rule.rule}
PICTURE = "picture"


def all_pages() -> list[Path]:
    return [provenance.PROJECT / "README.md", *sorted((provenance.PROJECT / "docs").rglob("*.md"))]


def stale() -> dict[Path, str]:
    """The pages that do not say what the files in `results/` say, with what they should say."""
    texts = {page: page.read_text(encoding="utf-8") for page in all_pages()}
    made = {page: rendered(text, page) for page, text in texts.items()}
    return {page: text for page, text in made.items() if text != texts[page]}


def rendered(text: str, page: Path) -> str:
    """The text with every place filled anew; ValueError, with the page's name, for a place that names nothing, or a
    cell that opens a line: Markdown ends the paragraph at such a comment."""
    if opening := re.search(r"^ *(<!-- \w+: [^;>]*;.* -->)", text, re.MULTILINE):
        raise ValueError(f"{page}: {opening[1]} opens a line: put a word before it")

    def fill(place: re.Match) -> str:
        cell = [part.strip() for part in (place["cell"] or "").split(";")[1:]]
        try:
            value = _value(place["file"], place["part"].strip(), cell, page)
        except (ValueError, KeyError, TypeError, AttributeError) as error:  # of a part that the file cannot fill
            raise ValueError(f"{page}: <!-- {place['head']} -->: {error}") from None
        return f"<!-- {place['head']} -->{value}<!-- end -->"

    filled = PLACE.sub(fill, text)
    if left := len(re.findall(r"<!-- \S+: ", filled)) - len(PLACE.findall(filled)):
        raise ValueError(f"{page}: {left} places have no `<!-- end -->`, or a name that is no word")
    return filled


def _value(file: str, part: str, cell: list[str], page: Path) -> str:
    if len(cell) not in (0, 2):
        raise ValueError("give a row and a column, or neither")
    if file == "all":
        found = _known(WHOLE, part)()
        return _cell(found, *cell) if cell else _shown(found)
    path = results_file.FOLDER / f"{file}.json"
    if not path.exists():
        raise ValueError(f"{path} is missing{nearest(file, [known.stem for known in path.parent.glob('*.json')])}")
    if part == PICTURE:
        return f"\n\n{_picture(path, page)}\n\n"
    found = _known(PARTS, part)(json.loads(path.read_text(encoding="utf-8")))
    return _cell(found, *cell) if cell else _shown(found)


def _shown(found: pd.DataFrame | str) -> str:
    return found if isinstance(found, str) else f"\n\n{formats.markdown(found)}\n\n"


def _known(parts: Mapping[str, Any], part: str) -> Any:
    if part not in parts:
        raise ValueError(f"no part {part!r}{nearest(part, parts)}")
    return parts[part]


def _cell(table: pd.DataFrame, row: str, column: str) -> str:
    for name, known in ((row, table.index), (column, table.columns)):
        if name not in known:
            raise ValueError(f"no {name!r}{nearest(name, map(str, known))}")
    return str(table.loc[row, column])


def _picture(path: Path, page: Path) -> str:
    """Markdown of the picture of a published file."""
    picture = _figure(path)
    text = style.alt(picture)
    plots.plt.close(picture)
    return f"![{text}]({os.path.relpath(picture_of(path), page.parent)})"


def _figure(path: Path) -> Figure:
    """What the comparable rows of a published file gain over one BCE model."""
    table = page_parts.ablation(json.loads(path.read_text(encoding="utf-8")))
    table = table[table["comparable"].astype(bool) & ~table["reference"].astype(bool)]
    picture, axes = plots.plt.subplots(1, 2, figsize=(9, 1.2 + 0.5 * len(table)))
    plots.gains(table, axes)
    return picture


def picture_of(path: Path) -> Path:
    return provenance.PROJECT / "docs" / "results" / f"{path.stem}.svg"


def old_pictures() -> list[Path]:
    """The files in `results/` that a page shows a picture of which was not drawn from them as they are."""
    places = [place for page in all_pages() for place in PLACE.finditer(page.read_text(encoding="utf-8"))]
    shown = {results_file.FOLDER / f"{place['file']}.json" for place in places if place["part"].strip() == PICTURE}
    return sorted(path for path in shown if path.exists() and not _is_drawn(path))


def draw(path: Path) -> Path:
    """Draw the picture of a published file, with the file's digest in its metadata; return its path."""
    target = picture_of(path)
    target.parent.mkdir(exist_ok=True)
    with plots.plt.style.context(["default", style.FILE]):
        picture = _figure(path)
        picture.savefig(target, metadata={"Source": storage.digest(path)})
        plots.plt.close(picture)
    return target


def _is_drawn(path: Path) -> bool:
    """Whether the picture of a published file was drawn from it as it is."""
    picture = picture_of(path)
    return picture.exists() and f">{storage.digest(path)}<" in picture.read_text(encoding="utf-8")
