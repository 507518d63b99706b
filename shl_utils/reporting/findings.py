"""The message of a plot or table in one sentence: tables in, text out."""

from __future__ import annotations

import pandas as pd

from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.reporting import tables

NAMES = {metric: f"{title}-F1" for metric, title in HEADLINE_METRICS.items()}


def summarize_gains(table: pd.DataFrame) -> str:
    """How many comparable rows gain and how many lose, by their intervals.

    table: `results.table` without its reference.
    """
    rows = table[table["comparable"].astype(bool)]
    if rows.empty:
        return "The grid has no other row that could be compared with the one BCE model."
    parts = []
    for metric, name in NAMES.items():
        gain = (rows[f"{metric}_gain_low"] > 0).sum()
        lose = (rows[f"{metric}_gain_high"] < 0).sum()
        parts.append(f"in {name} {gain} gain, {lose} lose, {len(rows) - gain - lose} are inconclusive")
    return (
        f"Of {len(rows)} comparable rows against one BCE model of all codes, by 95% intervals, each by itself: "
        f"{'; '.join(parts)}."
    )


def summarize_row(table: pd.DataFrame, key: str) -> str:
    """Gains of the row with this id, in points of F1 with their intervals."""
    gains = [f"{tables.changes(table.loc[[key]], f'{metric}_gain').item()} {name}" for metric, name in NAMES.items()]
    return f"{table.loc[key, 'row']}: {', '.join(gains)}."


def summarize_costs(ratios: pd.Series) -> str:
    """Cost of the run's models as multiples of that of the single BCE model. ratios: from `cost.against_one`."""
    if (ratios == 1).all():
        return "The run trained one model of all codes, which costs what one model costs."
    taken = ", ".join(f"{value:.1f} times the {name}" for name, value in ratios[1:].items())
    trained = "One model" if ratios["models"] == 1 else f"{ratios['models']:.0f} models"
    return f"{trained} instead of the one plain BCE model: {taken}."


def summarize_verdicts(lines: pd.DataFrame) -> str:
    """How many of the paper's tested claims hold, by metric and verdict. lines: from `claims.judge_runs`."""
    theirs = lines[lines["papers"]]
    runs = theirs["run"].nunique()
    tested = theirs[theirs["verdict"] != "not tested"]
    parts = []
    for metric, name in NAMES.items():
        found = tested.loc[tested["metric"] == metric, "verdict"].value_counts()
        counts = (f"{verdict} to {found.get(verdict, 0)}" for verdict in ("yes", "no", "inconclusive"))
        parts.append(f"{name} says {', '.join(counts)}")
    where = f" in {runs} runs, each counted" if runs > 1 else ""
    of_all = f"Of {theirs.index.nunique()} claims of the paper{where}, {tested.index.nunique()} were tested"
    return f"{of_all}: {'; '.join(parts)}."
