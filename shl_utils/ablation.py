"""The first ablation: what the loss, the segments and the filter each change, everything else equal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from numpy.typing import NDArray

from shl_utils import metrics, variants
from shl_utils.parameters import Parameters
from shl_utils.variants import Variant

CELLS = (("none", "bce"), ("none", "focal"), ("eta", "bce"), ("eta", "sh_focal"))
BASE = "unified bce, no filter"


def cells(parameters: Parameters) -> list[Variant]:
    """The rows of the table. One that an earlier stage trained alike is not trained again: it keeps that folder."""
    filters = (False,) if parameters.filter_labels == "none" else (False, True)
    trained = [variants.main(parameters), variants.reference(parameters)]
    result = []
    for filtered in filters:
        for segmentation, loss in CELLS:
            name = f"{segmentation}-{loss}-{'filter' if filtered else 'plain'}"
            cell = Variant(f"ablation/{name}", loss, filtered, segmentation, parameters.ablation_epochs)
            same = [v.folder for v in trained if replace(v, folder=cell.folder) == cell]
            result.append(replace(cell, folder=same[0]) if same else cell)
    return result


def effects(truth: NDArray, predicted: dict[str, NDArray], draws: NDArray) -> pd.DataFrame:
    """Points of F1 from one row to the next, all other settings equal, with paired 95% intervals over test notes.

    truth: (notes, codes). predicted: the same, by the variants' names. draws: from `metrics.resamples`.
    """
    changes = {
        "focal for bce, unified": ("unified bce", "unified focal"),
        "segments for one model, bce": ("unified bce", "segmented bce"),
        "sh_focal for bce, segmented": ("segmented bce", "segmented sh_focal"),
    }
    pairs = []
    for suffix in ("no filter", "filter"):
        pairs += [(f"{change} ({suffix})", f"{a}, {suffix}", f"{b}, {suffix}") for change, (a, b) in changes.items()]
    models = sorted({name.rsplit(", ", 1)[0] for name in predicted})
    pairs += [(f"filter, {model}", f"{model}, no filter", f"{model}, filter") for model in models]
    known = [pair for pair in pairs if pair[1] in predicted and pair[2] in predicted]
    used = {name for _, *names in known for name in names}
    samples = {name: metrics.bootstrap(truth, predicted[name], draws) for name in used}
    points = {name: metrics.scores(truth, predicted[name]) for name in used}
    rows = {}
    for change, before, after in known:
        rows[change] = {}
        for figure in ("micro_f1", "macro_f1_present"):
            gain = points[after][figure] - points[before][figure]
            low, high = metrics.interval(samples[after][figure] - samples[before][figure])
            rows[change] |= {figure: gain, f"{figure}_low": low, f"{figure}_high": high}
    return pd.DataFrame(rows).T.rename_axis("change")


def readable(effects: pd.DataFrame) -> pd.DataFrame:
    """The effects in points, as "+1.2 [-0.3, +2.8]"."""

    def cell(row: pd.Series, figure: str) -> str:
        value, low, high = (100 * row[f"{figure}{end}"] for end in ("", "_low", "_high"))
        return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"

    names = {"micro-F1": "micro_f1", "macro-F1 (codes in test)": "macro_f1_present"}
    return pd.DataFrame({shown: effects.apply(cell, axis=1, figure=name) for shown, name in names.items()})


def write_markdown(path: Path, table: pd.DataFrame, effects: pd.DataFrame) -> None:
    """Both readable tables as text, for a terminal or a report."""
    parts = [table.rename_axis("row"), effects.rename_axis("change (points of F1)")]
    path.write_text("\n\n".join(_markdown(part.reset_index()) for part in parts) + "\n", encoding="utf-8")


def _markdown(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * table.shape[1], *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
