"""One page about one run: what it was asked, what made it, and every figure and table of its notebooks.

No text of a note: pictures and tables alone are taken, so not the note that `08_one_note` shows of an open source, and
the finished page is searched for the corpus.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from shl_utils import headless, page, runs, scan, summary, tables
from shl_utils.parameters import STAGES, Parameters

FILE = "report.html"
TITLE = re.compile(r"^#+ +(.+)", re.MULTILINE)
STYLED = re.compile(r"<style.*?</style>|<script.*?</script>", re.DOTALL)


def write(folder: Path) -> Path:
    """Write the page into the run's folder. FileNotFoundError where the run is not begun, ValueError where the page
    would show the text of a note."""
    if not runs.read_stamp(folder, STAGES[0]):
        raise FileNotFoundError(f"{folder} has no finished {STAGES[0]}: run it first")
    told = summary.of(folder)
    parts = [*_results(told), *_provenance(folder, told)]
    for stage in told["stages"]:
        parts += _notebook(folder, stage)
    target, partial = folder / FILE, folder / f"part.{FILE}"  # so called that it is searched as HTML
    partial.write_text(page.page(f"Run {folder.name}", parts), encoding="utf-8")
    leaks = scan.found([partial], [folder])
    if leaks:
        partial.unlink()
        raise ValueError(f"{folder}: the report would show text of {leaks[0].notes} notes, so it was not written")
    partial.replace(target)
    return target


def _results(told: summary.Summary) -> Iterator[str]:
    yield page.paragraph("All stages are done." if told["done"] else summary.table([told]).splitlines()[0])
    rows = {
        name: {"micro-F1": tables.interval(f, "micro_f1"), "macro-F1": tables.interval(f, "macro_f1_present")}
        for name, f in told["figures"].items()
    }
    if rows:
        yield page.table(pd.DataFrame(rows).T)


def _provenance(folder: Path, told: summary.Summary) -> Iterator[str]:
    facts = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    yield page.heading("What was asked")
    asked, defaults = facts["parameters"], Parameters().model_dump()
    table = pd.DataFrame({"value": asked, "default": {name: defaults.get(name) for name in asked}}).astype(str)
    yield page.table(table[table["value"] != table["default"]])
    yield page.folded("All parameters", page.table(table[["value"]]))
    yield page.heading("What made it")
    made = [_made(stage, facts["stages"].get(stage["stage"], {})) for stage in told["stages"]]
    yield page.table(pd.DataFrame(made).set_index("stage"))
    last = list(facts["stages"].values())[-1]
    about = last["versions"] | {name: str(value) for name, value in last["hardware"].items()}
    about |= {f"fingerprint of {name}": value for name, value in told["fingerprints"].items()}
    yield page.table(pd.DataFrame({"": about}))


def _each(stamp: dict[str, Any], name: str) -> str:
    """What the stage's figures were computed on; nothing where it computed none by a model."""
    return ", ".join(dict.fromkeys(str(one[name]) for one in stamp.get("computed", ())))


def _made(stage: dict[str, Any], stamp: dict[str, Any]) -> dict[str, Any]:
    git = stamp.get("git") or {}
    revision = git.get("revision", "none")[:12] + (" with changes" if git.get("dirty") else "")
    return {
        "stage": stage["stage"],
        "state": stage["state"],
        "finished": stage.get("finished", ""),
        "seconds of the last attempt": stage.get("seconds_of_last_attempt", ""),
        "peak memory, MB": stage.get("peak_memory_mb", ""),
        "revision": revision if stamp else "",
        **{name: _each(stamp, name) for name in ("device", "precision", "processes")},
    }


def _notebook(folder: Path, stage: dict[str, Any]) -> Iterator[str]:
    """Pictures and tables of an executed notebook, each under the heading that it stands under there."""
    path = folder / "notebooks" / f"{stage['stage']}.ipynb"
    if not path.exists():
        return
    at = told = ""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            titles = TITLE.findall(text)
            if titles and not at:
                yield page.heading(titles[0])
                told = titles[0]
                if not headless.is_shown(folder, stage["stage"]):
                    yield page.paragraph("The stage was done since by hand: these figures are of an earlier attempt.")
            at = titles[-1] if titles else at
            continue
        shown = [part for output in cell.get("outputs", []) for part in _shown(output, at)]
        if shown and at != told:
            yield page.heading(at, level=3)
            told = at
        yield from shown


def _shown(output: dict[str, Any], title: str) -> Iterator[str]:
    data = output.get("data", {})
    if "image/png" in data:
        about = output.get("metadata", {}).get("image/png", {})
        yield page.picture("".join(data["image/png"]), title, about.get("alt", ""))
    elif "<table" in (text := "".join(data.get("text/html", ""))):
        yield STYLED.sub("", text)
