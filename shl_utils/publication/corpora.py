"""What was known of each corpus of `params/corpora/` before training, beside what segments were worth there."""

from __future__ import annotations

from typing import Any

import pandas as pd

from shl_utils.evaluation.linear_baseline import LINEAR
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.publication import results_file
from shl_utils.reporting import tables

FOLDER = "params/corpora/"
MADE_ON = ("openi", "openi_depth2", "openi_top20", "codiesp", "synthetic")  # the rule; it was tested on the others


def table() -> pd.DataFrame:
    """Facts of every corpus, and the gain of BCE in segments over one BCE model, most shared notes first."""
    runs = [run for _, run in results_file.published() if run["file"].startswith(FOLDER)]
    runs.sort(key=lambda run: run["described"]["share of shared notes"], reverse=True)
    lines = {run["file"].removeprefix(FOLDER).removesuffix(".yaml"): _line(run) for run in runs}
    found = pd.DataFrame(lines).T.rename_axis("corpus")
    found.insert(0, "rule", ["made" if name in MADE_ON else "tested" for name in found.index])
    return found


def _line(run: dict[str, Any]) -> dict[str, str]:
    facts = run["described"]
    rows = run["tables"]["ablation"]
    segmented = next(row for row in rows if not row["reference"] and row["id"] != LINEAR)
    gains = tables.gains(pd.DataFrame(rows).set_index("id"))
    line = {
        "notes": f"{facts['training notes']:,}",
        "codes": f"{facts['codes']:,}",
        "codes per note": f"{facts['codes per note']:.1f}",
        "segments": f"{facts['segments']}",
        "notes per segment": f"{facts['training notes per segment, median']:,.0f}",
        "shared notes": f"{facts['share of shared notes']:.0%}",
    }
    return line | {f"{name} gain": gains.loc[segmented["row"], f"{name} gain"] for name in HEADLINE_METRICS.values()}
