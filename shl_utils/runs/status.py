"""Status of a run, as text and as JSON: for `shl status`, and for the file that `shl run --json` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shl_utils.parameters import STAGES
from shl_utils.runs import stamps, storage

FAILED = "failed.json"
METRICS = tuple(f"{name}{end}" for name in ("micro_f1", "macro_f1_present") for end in ("", "_low", "_high"))
FACTS = ("finished", "seconds_of_last_attempt", "peak_memory_mb")
Summary = dict[str, Any]


def summarize(folder: Path, *, until: str = STAGES[-1]) -> Summary:
    """Status of a run: `run`, `folder`, `done` (up to `until`), `fingerprints` of the data, `metrics` and `stages`.

    `metrics` holds METRICS per model of `04_evaluate`. `stages` lists, per stage up to `until`: `stage`, `state`, `why`
    it is outdated or altered, FACTS, and the `error` if it failed in `shl run`.
    """
    states, failure = stamps.states(folder), _read(folder / FAILED)
    lines = []
    for name in stamps.up_to(until):
        line: Summary = {"stage": name, "state": states[name].word, "why": states[name].why}
        stamp = stamps.read(folder, name)
        if not states[name].done and failure.get("stage") == name and failure["when"] >= stamp.get("finished", ""):
            line |= {"state": "failed", "error": failure["error"]}
        lines.append(line | {fact: stamp[fact] for fact in FACTS if fact in stamp})
    models = _read(folder / "metrics.json").get("models", {}) if states["04_evaluate"].done else {}
    return {
        "run": folder.name,
        "folder": str(folder),
        "done": all(line["state"] == "done" for line in lines),
        "fingerprints": stamps.read(folder, STAGES[0]).get("fingerprints", {}),
        "metrics": {model: {name: row[name] for name in METRICS} for model, row in models.items()},
        "stages": lines,
    }


def note_failure(folder: Path, stage: str, error: str) -> None:
    """Record why a stage failed, until it is done."""
    storage.write_json(folder / FAILED, {"stage": stage, "error": error, "when": stamps.now()})


def table(summaries: Sequence[Summary]) -> str:
    """One line per run: its first unfinished stage and why; below, micro-F1 and macro-F1 per model, in percent."""
    lines = []
    for summary in summaries:
        line = f"{summary['run']}: done"
        if unfinished := next((stage for stage in summary["stages"] if stage["state"] != "done"), None):
            line = f"{summary['run']}: {unfinished['stage']}: {unfinished['state']}"
            why = unfinished["error"].splitlines()[0][:200] if "error" in unfinished else unfinished["why"]
            line += f" ({why})" if why else ""
        lines.append(line)
        if summary["metrics"]:
            scores = (
                f"{model} {100 * row['micro_f1']:.1f} / {100 * row['macro_f1_present']:.1f}"
                for model, row in summary["metrics"].items()
            )
            lines.append(f"    micro / macro: {', '.join(scores)}")
    return "\n".join(lines)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
