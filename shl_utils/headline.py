"""What a figure says, in one sentence: tables in, text out."""

from __future__ import annotations

import pandas as pd

from shl_utils import tables

NAMES = {"micro_f1": "micro-F1", "macro_f1_present": "macro-F1"}


def of_gains(table: pd.DataFrame) -> str:
    """Of `measuring.table` without its base: how many comparable rows gain and lose, by their intervals."""
    rows = table[table["comparable"].astype(bool)]
    parts = []
    for figure, name in NAMES.items():
        gain = (rows[f"{figure}_gain_low"] > 0).sum()
        lose = (rows[f"{figure}_gain_high"] < 0).sum()
        parts.append(f"in {name} {gain} gain, {lose} lose, {len(rows) - gain - lose} are not settled")
    return f"Of {len(rows)} comparable rows against one BCE model of all codes: {'; '.join(parts)}."


def of_row(table: pd.DataFrame, name: str) -> str:
    """What one row of it gains, in points of F1 with their intervals."""
    changes = [f"{tables.change(table.loc[name], f'{figure}_gain')} {title}" for figure, title in NAMES.items()]
    return f"{name}: {', '.join(changes)}."


def of_costs(ratios: pd.Series) -> str:
    """Of `cost.against_one`."""
    first, *others = ratios.index
    taken = ", ".join(f"{ratios[name]:.1f} times the {name}" for name in others)
    return f"{ratios[first]:.0f} {first} instead of one: {taken}."


def of_verdicts(lines: pd.DataFrame) -> str:
    """Of `verdict.several`: how the claims that were tested fared, each once a run."""
    tested = lines[lines["verdict"] != "not tested"]
    parts = []
    for figure, name in NAMES.items():
        said = tested.loc[tested["figure"] == figure, "verdict"].value_counts()
        parts.append(f"{name} says yes to {said.get('yes', 0)}, no to {said.get('no', 0)}, not settled to "
                     f"{said.get('not settled', 0)}")  # fmt: skip
    claims = (lines["figure"] == "micro_f1").sum()
    return f"Of {claims} lines {len(tested) // 2} were tested: {'; '.join(parts)}."
