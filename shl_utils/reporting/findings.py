"""The message of a plot or table in one sentence: tables in, text out."""

from __future__ import annotations

import pandas as pd

from shl_utils.reporting import tables

NAMES = {figure: f"{title}-F1" for figure, title in tables.FIGURES.items()}


def summarize_gains(table: pd.DataFrame) -> str:
    """How many comparable rows gain and how many lose, by their intervals. table: `results.table` without its base."""
    rows = table[table["comparable"].astype(bool)]
    if rows.empty:
        return "The grid has no other row that could be compared with the one BCE model."
    parts = []
    for figure, name in NAMES.items():
        gain = (rows[f"{figure}_gain_low"] > 0).sum()
        lose = (rows[f"{figure}_gain_high"] < 0).sum()
        parts.append(f"in {name} {gain} gain, {lose} lose, {len(rows) - gain - lose} are not settled")
    return (
        f"Of {len(rows)} comparable rows against one BCE model of all codes, by 95% intervals, each by itself: "
        f"{'; '.join(parts)}."
    )


def summarize_row(table: pd.DataFrame, name: str) -> str:
    """Gains of one row of the table, in points of F1 with their intervals."""
    changes = [f"{tables.change(table.loc[name], f'{figure}_gain')} {title}" for figure, title in NAMES.items()]
    return f"{name}: {', '.join(changes)}."


def summarize_costs(ratios: pd.Series) -> str:
    """Cost of the run's models as multiples of that of the single BCE model. ratios: from `cost.against_one`."""
    if (ratios == 1).all():
        return "The run trained one model of all codes, which costs what one model costs."
    taken = ", ".join(f"{value:.1f} times the {name}" for name, value in ratios[1:].items())
    asked = "One model" if ratios["models"] == 1 else f"{ratios['models']:.0f} models"
    return f"{asked} instead of the one plain BCE model: {taken}."


def summarize_verdicts(lines: pd.DataFrame) -> str:
    """How many of the paper's tested claims hold, by metric and verdict. lines: from `verdict.judge_runs`."""
    theirs = lines[lines["papers"]]
    runs = theirs["run"].nunique()
    tested = theirs[theirs["verdict"] != "not tested"]
    parts = []
    for figure, name in NAMES.items():
        said = tested.loc[tested["figure"] == figure, "verdict"].value_counts()
        counts = (f"{verdict} to {said.get(verdict, 0)}" for verdict in ("yes", "no", "not settled"))
        parts.append(f"{name} says {', '.join(counts)}")
    where = f" in {runs} runs, each counted" if runs > 1 else ""
    asked = f"Of {theirs.index.nunique()} claims of the paper{where}, {tested.index.nunique()} were tested"
    return f"{asked}: {'; '.join(parts)}."
