"""The paper's claims against what a run measured: one line a claim, its verdict read off the interval."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from shl_utils.effects import KINDS
from shl_utils.measuring import FIGURES

FILES = ("ablation.parquet", "effects.parquet", "provenance.json")
ENDS = ("", "_low", "_high")


def of_run(folder: Path) -> pd.DataFrame:
    """A line a claim that `05_ablate` of the run in `folder` could test: index claim; `measured`, `figure`, its
    difference with interval (`gain`, `low`, `high`) and `verdict`.

    The run's own loss is taken for the paper's. A claim that the grid holds no rows for stands as "not tested".
    FileNotFoundError where the run has no ablation, ValueError where it is of another version.
    """
    for name in FILES:
        if not (folder / name).exists():
            raise FileNotFoundError(f"{folder / name} is missing: run 05_ablate of that run first")
    table = pd.read_parquet(folder / "ablation.parquet").set_index("row")
    effects = pd.read_parquet(folder / "effects.parquet")
    if "failed" not in table or not KINDS.issuperset(effects["kind"]):
        raise ValueError(f"{folder} has an ablation of another version: run 05_ablate of that run again")
    known = {"row": table} | {kind: found.set_index("change") for kind, found in effects.groupby("kind")}
    lines = []
    for claim, (source, row) in _claims(**_made_with(folder)).items():
        rows, gain = known.get(source, table[:0]), "_gain" if source == "row" else ""
        for figure in FIGURES:
            found = [rows.at[row, f"{figure}{gain}{end}"] if row in rows.index else float("nan") for end in ENDS]
            lines.append([claim, row, figure, *found, _verdict(*found)])
    columns = ["claim", "measured", "figure", "gain", "low", "high", "verdict"]
    return pd.DataFrame(lines, columns=columns).set_index("claim")


def _made_with(folder: Path) -> dict[str, str]:
    """Loss and reading of the run itself: rows that do not say otherwise have them."""
    parameters = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))["parameters"]
    return {name: parameters[name] for name in ("loss", "reading")}


def _claims(loss: str, reading: str) -> dict[str, tuple[str, str]]:
    """Claim to where it is measured: a row of the ablation against one BCE model, or a kind of effects and its line.

    Only rows without anything of ours speak of the paper's claims.
    """
    claims = {}
    for asked in sorted({"R1", "R3", reading}):  # the default, the kindest, and the run's own
        said = "" if asked == reading else f", reading {asked}"
        whole, bare = f"segmented {loss}, filter{said}", f"segmented {loss}, no filter{said}"
        claims |= {
            f"Read as {asked}, the whole method beats one BCE model": ("row", whole),
            f"Read as {asked}, without its filter, it beats one BCE model": ("row", bare),
            f"Read as {asked}, the whole method beats a linear model": ("over_linear", whole),
            f"Read as {asked}, without its filter, it beats a linear model": ("over_linear", bare),
        }
    return claims | {
        "Segments beat one model": ("paper", "eta for none (segmentation)"),
        "The harmonic loss beats BCE": ("paper", f"{loss} for bce (loss)"),
        "Its weights alone beat BCE": ("paper", "sh for bce (loss)"),
        "The filter on training labels helps": ("paper", "train for none (filter_labels)"),
        "(Filtering the test labels too lifts F1)": ("paper", "(all for train (filter_labels))"),
        "(Scoring a segment on its own notes lifts F1)": ("paper", "(own notes for union (scoring))"),
        "(With both, the method beats one BCE model)": ("row", f"segmented {loss}, filter on test too, own notes"),
        "In variants of ours, segments beat one model": ("ours", "eta for none (segmentation)"),
        "In variants of ours, weights with a cap beat BCE": ("ours", "sh with harmonic_max 1.0 for bce (loss)"),
    }


def _verdict(gain: float, low: float, high: float) -> str:
    if gain != gain:
        return "not tested"
    return "yes" if low > 0 else "no" if high < 0 else "not settled"


def several(folders: dict[str, Path]) -> pd.DataFrame:
    """`of_run` of every run with a column `run`, its name and its own reading, claim by claim."""
    names = {name: f"{name} ({_made_with(folder)['reading']})" for name, folder in folders.items()}
    lines = pd.concat([of_run(folder).assign(run=names[name]) for name, folder in folders.items()])
    return lines.loc[lines.index.unique()]


def failed(folders: dict[str, Path]) -> pd.DataFrame:
    """The rows of these runs with trainings that failed, see `failures`: `run`, `row`, `failed` (how many)."""
    tables = [pd.read_parquet(folder / "ablation.parquet").assign(run=name) for name, folder in folders.items()]
    lines = pd.concat(tables, ignore_index=True)
    return lines.loc[lines["failed"] > 0, ["run", "row", "failed"]].reset_index(drop=True)
