"""The message of a plot or table in one sentence: tables in, text out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shl_utils.evaluation import verdicts
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.method.score_counts import curve
from shl_utils.reporting import formats
from shl_utils.training.segment_record import SegmentRecord

TRUTH = (
    "## Against the truth\n\nThese notes were written from their codes, so it is known which assignments lack evidence "
    "in them. *Precision*: of what the filter removed, how much did? *Recall*: of what did, how much was removed?"
)
FAILED = "Trainings that failed (`03_train` says when that is, and what to do). Their rows say little of the loss:"
RARE = 10  # training notes, below which a code is called rare
NAMES = {metric: f"{title}-F1" for metric, title in HEADLINE_METRICS.items()}


def summarize_tail(counts: NDArray[np.integer], accuracy: float) -> str:
    """How long the tail is, and the accuracy of a model that predicts no code. counts: (codes,), training notes."""
    rare, frequent = counts[counts < RARE], np.sort(counts)[-math.ceil(len(counts) / 10) :]
    return (
        f"Of {len(counts):,} codes, {len(rare):,} have fewer than {RARE} training notes; they make "
        f"{_share(rare, counts)} of the assignments. The most frequent tenth makes {_share(frequent, counts)}. A model "
        f"that never predicts a code is right on {accuracy:.1%} of the pairs."
    )


def _share(part: NDArray, whole: NDArray) -> str:
    return f"{part.sum() / whole.sum():.0%}"


def summarize_filter(own: NDArray[np.floating], random: NDArray[np.floating]) -> str:
    """How well similarities of notes to their own codes, `own`, stand apart from those to codes drawn at `random`."""
    area = curve(np.repeat([1, 0], [len(own), len(random)]), np.concatenate([own, random])).roc_auc
    return (
        f"Of a code of a note and one drawn at random, the former is more alike to its note in {area:.0%} of the "
        "cases; it would be 100% if the hills lay apart."
    )


def summarize_segments(table: pd.DataFrame) -> str:
    """Size of the first and last segment, and how far the frequencies reach. table: of `variants.segment_table`."""
    counts = table.groupby("segment")["train_count"].agg(["size", "min", "max"])
    first, last = (_segment(*line) for line in counts.iloc[[0, -1]].to_numpy().tolist())
    ratio = table["train_count"].max() / table["train_count"].min()
    reach = (
        f"The most frequent code has {ratio:,.0f} times the notes of the rarest; in the paper's data, about 700 times."
    )
    if len(counts) == 1:
        return f"One segment of {first}. {reach}"
    return f"{len(counts)} segments: from {first} to {last}. {reach}"


def _segment(codes: int, least: int, most: int) -> str:
    reach = f"{least:,}" + (f" to {most:,}" if most > least else "")
    return f"{codes:,} code{'s' * (codes != 1)} of {reach} training notes"


def summarize_training(records: Sequence[SegmentRecord]) -> str:
    """The best validation AP of the rarest and of the most frequent segment, with its epoch."""
    parts, names = [], ["segment of the rarest codes", "segment of the most frequent codes"]
    for name, record in zip(names if len(records) > 1 else ["model of all codes"], (records[0], records[-1])):
        best = record.best_epoch
        ap = None if best is None else record.history[best]["validation_ap"]
        reached = "nothing" if ap is None else f"an average precision of {ap:.2f} in epoch {best + 1}"
        parts.append(f"the {name} reached {reached}")
    return f"On validation {', '.join(parts)}."


def summarize_bins(table: pd.DataFrame) -> str:
    """The best model on the rarest and on the most frequent codes, by micro-F1. table: `results.by_group`, by bins."""
    bins = table.index.get_level_values(-1)
    parts = []
    for name in dict.fromkeys((bins[0], bins[-1])):
        own = table[bins == name]
        held, best = int(own["positives"].iloc[0]), own["micro_f1"].idxmax()[0] if own["micro_f1"].any() else "no model"
        parts.append(f"{name} training notes ({held} positives): {best}, {100 * own['micro_f1'].max():.1f}")
    return f"The best micro-F1 of codes with {'; with '.join(parts)}."


def summarize_gains(table: pd.DataFrame) -> str:
    """How many comparable rows gain and how many lose, by their intervals; one whose p disagrees is inconclusive.

    table: `results.table` without its reference.
    """
    rows = table[table["comparable"].astype(bool)]
    if rows.empty:
        return "The grid has no other row that could be compared with the one BCE model."
    parts = []
    for metric, name in NAMES.items():
        ends = [rows[f"{metric}_gain_low"], rows[f"{metric}_gain_high"]]
        unsure = map(verdicts.disagree, *ends, rows[f"{metric}_p"])
        pairs = zip(zip(*ends), unsure)
        parts.append(
            _counted(name, (verdicts.INCONCLUSIVE if mark else verdicts.verdict(*pair, metric) for pair, mark in pairs))
        )
    return (
        f"Of {len(rows)} comparable rows against one BCE model of all codes, by 95% intervals, each by itself: "
        f"{'; '.join(parts)}."
    )


def summarize_row(table: pd.DataFrame, key: str) -> str:
    """Gains of the row with this id, in points of F1 with their intervals."""
    gains = [f"{formats.changes(table.loc[[key]], f'{metric}_gain').item()} {name}" for metric, name in NAMES.items()]
    return f"{table.loc[key, 'row']}: {', '.join(gains)}."


def summarize_errors(table: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> str:
    """What the filter does to false positives. table: `results.table`; pairs: ids of a row without it, and with it."""
    if not pairs:
        return "The grid has no row with and without the filter."
    before, after = (table.loc[list(ids), "false_positives"] for ids in zip(*pairs))
    fewer = int((after.to_numpy() < before.to_numpy()).sum())
    return (
        f"Pairs of rows without the filter and with it: {len(pairs)}. In {fewer} of them there are fewer false "
        f"positives with it; on average {after.mean():,.0f} in place of {before.mean():,.0f}."
    )


def summarize_costs(ratios: pd.Series) -> str:
    """Cost of the run's models as multiples of that of the single BCE model. ratios: from `cost.against_one`."""
    if (ratios == 1).all():
        return "The run trained one model of all codes, which costs what one model costs."
    taken = ", ".join(f"{value:.1f} times the {name}" for name, value in ratios[1:].items())
    trained = "One model" if ratios["models"] == 1 else f"{ratios['models']:.0f} models"
    return f"{trained} instead of the one plain BCE model: {taken}."


def summarize_primary(lines: pd.DataFrame) -> str:
    """What each run found for the comparison that the study calls primary. lines: from `claims.judge_runs`."""
    tested = lines[lines["primary"] & (lines["verdict"] != verdicts.UNTESTED)]
    if tested.empty:
        return "No run here tested the study's primary comparison."
    said = tested["metric"].map(NAMES) + " " + tested["verdict"] + ", " + tested.apply(formats.marked_change, axis=1)
    parts = [
        f"*{claim}* ({run}): {'; '.join(texts)}" for (claim, run), texts in said.groupby([tested.index, tested["run"]])
    ]
    return f"The study's primary comparison, {'. '.join(parts)}."


def _counted(name: str, words: Iterable[str]) -> str:
    gain, lose, equivalent, rest = map(Counter(words).__getitem__, verdicts.TESTED)
    return f"in {name} {gain} gain, {lose} lose, {equivalent} are equivalent, {rest} inconclusive"


def summarize_verdicts(lines: pd.DataFrame) -> str:
    """How many of the paper's tested claims hold, by metric and verdict; one whose p disagrees is inconclusive.

    lines: from `claims.judge_runs`.
    """
    theirs = lines[lines["comparable"].astype(bool)]
    runs = theirs["run"].nunique()
    tested = theirs[theirs["verdict"] != verdicts.UNTESTED]
    words, parts = tested["verdict"].mask(tested["mark"] == verdicts.MARK, verdicts.INCONCLUSIVE), []
    for metric, name in NAMES.items():
        parts.append(_counted(name, words[tested["metric"] == metric]))
    where = f" in {runs} runs, each counted" if runs > 1 else ""
    of_all = f"Of the comparisons that ask for the paper's claims{where}, {tested.index.nunique()} were tested"
    return f"{of_all}: {'; '.join(parts)}. All but the primary comparison are exploratory."
