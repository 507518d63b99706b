"""The paper's claims against what a run measured: one line a claim, its verdict read off the interval."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from shl_utils.effects import KINDS
from shl_utils.measuring import FIGURES

ENDS = ("", "_low", "_high")


def of_run(folder: Path, *, loss: str) -> pd.DataFrame:
    """A line a claim that `05_ablate` of the run in `folder` could test: index claim; `measured`, `figure`, its
    difference with interval (`gain`, `low`, `high`) and `verdict`.

    loss: the run's own, taken for the paper's. A claim that the grid holds no rows for stands as "not tested".
    FileNotFoundError where the run has no ablation, ValueError where it is of another version.
    """
    for name in ("ablation.parquet", "effects.parquet"):
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is missing: run 05_ablate of that run first")
    table = pd.read_parquet(folder / "ablation.parquet").set_index("row")
    effects = pd.read_parquet(folder / "effects.parquet")
    if not KINDS.issuperset(effects["kind"]):
        raise ValueError(f"{folder / 'effects.parquet'} is of another version: run 05_ablate of that run again")
    known = {"row": table} | {kind: found.set_index("change") for kind, found in effects.groupby("kind")}
    lines = []
    for claim, (source, row) in _claims(loss).items():
        rows, gain = known.get(source, table[:0]), "_gain" if source == "row" else ""
        for figure in FIGURES:
            found = [rows.at[row, f"{figure}{gain}{end}"] if row in rows.index else float("nan") for end in ENDS]
            lines.append([claim, row, figure, *found, _verdict(*found)])
    columns = ["claim", "measured", "figure", "gain", "low", "high", "verdict"]
    return pd.DataFrame(lines, columns=columns).set_index("claim")


def _claims(loss: str) -> dict[str, tuple[str, str]]:
    """Claim to where it is measured: a row of the ablation against one BCE model, or a kind of effects and its line.

    Only rows without anything of ours speak of the paper's claims.
    """
    return {
        "The whole method beats one model with BCE": ("row", f"segmented {loss}, filter"),
        "The method without its filter beats one model with BCE": ("row", f"segmented {loss}, no filter"),
        "Read as R3, the whole method beats one BCE model": ("row", f"segmented {loss}, filter, reading R3"),
        "Read as R3, without its filter, it beats one BCE model": ("row", f"segmented {loss}, no filter, reading R3"),
        "The whole method beats a linear model": ("over_linear", f"segmented {loss}, filter"),
        "The method without its filter beats a linear model": ("over_linear", f"segmented {loss}, no filter"),
        "Segments beat one model": ("paper", "eta for none (segmentation)"),
        "The harmonic loss beats BCE": ("paper", f"{loss} for bce (loss)"),
        "Its weights alone beat BCE": ("paper", "sh for bce (loss)"),
        "The filter on training labels helps": ("paper", "train for none (filter_labels)"),
        "(Filtering the test labels too lifts F1)": ("paper", "(all for train (filter_labels))"),
        "(Scoring a segment on its own notes lifts F1)": ("paper", "(own notes for union (scoring))"),
        "(With both, the method beats one model with BCE)": ("row", f"segmented {loss}, filter on test too, own notes"),
        "In variants of ours, segments beat one model": ("ours", "eta for none (segmentation)"),
        "In variants of ours, weights with a cap beat BCE": ("ours", "sh with harmonic_max 1.0 for bce (loss)"),
    }


def _verdict(gain: float, low: float, high: float) -> str:
    if gain != gain:
        return "not tested"
    return "yes" if low > 0 else "no" if high < 0 else "not settled"


def several(folders: dict[str, Path], *, loss: str) -> pd.DataFrame:
    """`of_run` of every run with a column `run`, claim by claim."""
    lines = pd.concat([of_run(folder, loss=loss).assign(run=name) for name, folder in folders.items()])
    return lines.loc[lines.index.unique()]
