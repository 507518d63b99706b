"""Status of a run, as text and as JSON: for `shl status`, and for the file that `shl run --json` writes."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shl_utils.parameters import STAGES
from shl_utils.runs import stages, storage

FAILED = "failed.json"
FIGURES = (
    "micro_f1",
    "micro_f1_low",
    "micro_f1_high",
    "macro_f1_present",
    "macro_f1_present_low",
    "macro_f1_present_high",
)
FACTS = ("finished", "seconds_of_last_attempt", "peak_memory_mb")
Summary = dict[str, Any]


def summarize(folder: Path, *, until: str = STAGES[-1]) -> Summary:
    """Status of a run: `run`, `folder`, `done` (up to `until`), `fingerprints` of the data, `figures` and `stages`.

    `figures` holds the metrics FIGURES per model of `04_evaluate`. `stages` lists, per stage up to `until`: `stage`,
    `state`, `why` it is outdated or altered, FACTS, and the `error` if it failed in `shl run`.
    """
    states, failure = stages.states(folder), _read(folder / FAILED)
    lines = []
    for name in STAGES[: STAGES.index(until) + 1]:
        line: Summary = {"stage": name, "state": states[name].word, "why": states[name].why}
        stamp = stages.read_stamp(folder, name)
        if not states[name].done and failure.get("stage") == name and failure["when"] >= stamp.get("finished", ""):
            line |= {"state": "failed", "error": failure["error"]}
        lines.append(line | {fact: stamp[fact] for fact in FACTS if fact in stamp})
    models = _read(folder / "metrics.json").get("models", {}) if states["04_evaluate"].done else {}
    return {
        "run": folder.name,
        "folder": str(folder),
        "done": all(line["state"] == "done" for line in lines),
        "fingerprints": stages.read_stamp(folder, STAGES[0]).get("fingerprints", {}),
        "figures": {name: {figure: row[figure] for figure in FIGURES} for name, row in models.items()},
        "stages": lines,
    }


def note_failure(folder: Path, stage: str, error: str) -> None:
    """Record why a stage failed, until it is done."""
    storage.write_json(folder / FAILED, {"stage": stage, "error": error, "when": time.strftime("%Y-%m-%dT%H:%M:%S%z")})


def table(told: Sequence[Summary]) -> str:
    """One line per run: its first unfinished stage and why; below, micro-F1 and macro-F1 per model, in percent."""
    lines = []
    for one in told:
        at = next((line for line in one["stages"] if line["state"] != "done"), None)
        state = "done" if at is None else f"{at['stage']}: {at['state']}"
        why = at and (at["error"].splitlines()[0][:200] if "error" in at else at["why"])
        error = f" ({why})" if why else ""
        figures = ", ".join(
            f"{name} {100 * row['micro_f1']:.1f} / {100 * row['macro_f1_present']:.1f}"
            for name, row in one["figures"].items()
        )
        lines.append(f"{one['run']}: {state}{error}" + (f"\n    micro / macro: {figures}" if figures else ""))
    return "\n".join(lines)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
