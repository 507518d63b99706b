"""The first ablation: what the loss, the segments and the filter each change, everything else equal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from shl_utils import variants
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


def effects(table: pd.DataFrame) -> pd.DataFrame:
    """Points of F1 that each single change brings, every other setting of the two rows being equal.

    table: of `evaluation.compare`, with the variants' names as its index.
    """
    changes = {
        "focal for bce, unified": ("unified bce", "unified focal"),
        "segments for one model, bce": ("unified bce", "segmented bce"),
        "sh_focal for bce, segmented": ("segmented bce", "segmented sh_focal"),
    }
    rows = []
    for suffix in ("no filter", "filter"):
        for change, (before, after) in changes.items():
            rows.append((f"{change} ({suffix})", f"{before}, {suffix}", f"{after}, {suffix}"))
    models = sorted({name.rsplit(", ", 1)[0] for name in table.index})
    rows += [(f"filter ({model})", f"{model}, no filter", f"{model}, filter") for model in models]
    figures = ["micro_f1", "macro_f1_present"]
    return pd.DataFrame(
        [
            {"change": change} | {f: 100 * (table.loc[after, f] - table.loc[before, f]) for f in figures}
            for change, before, after in rows
            if before in table.index and after in table.index
        ]
    ).set_index("change")


def write_markdown(path: Path, table: pd.DataFrame, effects: pd.DataFrame) -> None:
    """Both tables as text, for a terminal or a report."""
    parts = [table.rename_axis("row"), effects.round(1).rename_axis("change (points of F1)")]
    path.write_text("\n\n".join(_markdown(part.reset_index()) for part in parts) + "\n", encoding="utf-8")


def _markdown(table: pd.DataFrame) -> str:
    lines = [list(table.columns), ["---"] * table.shape[1], *table.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
