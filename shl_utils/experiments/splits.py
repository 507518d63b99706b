"""One comparison on several splits of a corpus: its mean, with an interval that allows for the notes they share.

The interval is that of the corrected resampled t-test (Nadeau and Bengio 2003): the variance of a mean over splits is
s^2 (1 / splits + test notes per training note) in place of s^2 / splits.

Over few splits s itself is a guess. So an interval is called *tight* where it is narrower than the splits' own
bootstrap intervals allow for a mean of so many independent ones: their mean width over the root of their number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from shl_utils.evaluation import measurement, resampling, verdicts
from shl_utils.evaluation.resampling import HEADLINE_METRICS
from shl_utils.experiments import claims


def pool(tables: Sequence[pd.DataFrame], *, test_to_train: float) -> pd.DataFrame:
    """The rows that all tables have, as means over the splits: F1, gains with their intervals, `_p` of the t-test, and
    `_p_holm` corrected over the rows; `_gain_tight` says of an interval whether it is tight.

    `failed` counts the failed trainings of all. tables: of `results.table`, one per split, at least two.
    test_to_train: test notes per training note.
    """
    pooled = _common(tables)
    for metric in HEADLINE_METRICS:
        pooled[metric] = _values(tables, pooled.index, metric).mean(axis=0)
        gains = _values(tables, pooled.index, f"{metric}_gain")
        pooled[[f"{metric}_gain{end}" for end in measurement.ENDS]] = _intervals(gains, test_to_train)
        pooled[f"{metric}_gain_tight"] = _tight(tables, pooled, f"{metric}_gain_low", f"{metric}_gain_high")
        p = pd.Series([_p(column, test_to_train) for column in gains.T], index=pooled.index)
        tested = p[pooled["comparable"].astype(bool) & ~pooled["reference"].astype(bool)]
        pooled[f"{metric}_p"], pooled[f"{metric}_p_holm"] = tested, pd.Series(resampling.holm(tested.to_dict()))
    pooled["failed"] = _values(tables, pooled.index, "failed").sum(axis=0).astype(int)
    gained = [
        f"{metric}{end}"
        for metric in HEADLINE_METRICS
        for end in ("", *(f"_gain{e}" for e in measurement.ENDS), "_gain_tight", "_p", "_p_holm")
    ]
    return pooled[["row", "comparable", "reference", "failed", *gained]]


def pool_changes(tables: Sequence[pd.DataFrame], *, test_to_train: float) -> pd.DataFrame:
    """The same for tables of `effects`: changes that all have, with their mean gains and intervals."""
    pooled = _common(tables)
    for metric in HEADLINE_METRICS:
        gains = _values(tables, pooled.index, metric)
        pooled[[f"{metric}{end}" for end in measurement.ENDS]] = _intervals(gains, test_to_train)
        pooled[f"{metric}_tight"] = _tight(tables, pooled, f"{metric}_low", f"{metric}_high")
    return pooled


def pool_claims(tables: Sequence[pd.DataFrame], *, test_to_train: float) -> pd.DataFrame:
    """The same for tables of `claims.measure`, by claim: with a `verdict` over the splits, and a `mark` if tight."""
    by_metric = [table.set_index("metric", append=True) for table in tables]
    pooled = _common(by_metric)
    pooled[["gain", "low", "high"]] = _intervals(_values(by_metric, pooled.index, "gain"), test_to_train)
    pooled["mark"] = _tight(by_metric, pooled, "low", "high").map({True: verdicts.TIGHT, False: ""})
    pooled = pooled.reset_index("metric")
    return pooled.assign(verdict=claims.said(pooled), run=f"{len(tables)} splits")


def _common(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of the first table that all have."""
    first = tables[0]
    return first[[all(key in table.index for table in tables) for key in first.index]].copy()


def _values(tables: Sequence[pd.DataFrame], rows: pd.Index, column: str) -> NDArray[np.float64]:
    """(splits, rows)."""
    return np.array([table.loc[rows, column] for table in tables], dtype=float)


def _intervals(gains: NDArray, test_to_train: float) -> NDArray[np.float64]:
    """Mean and ends of the 95% interval, (rows, 3). gains: (splits, rows)."""
    mean = gains.mean(axis=0)
    half = stats.t.ppf(0.975, len(gains) - 1) * _deviation(gains, test_to_train)
    return np.stack([mean, mean - half, mean + half], axis=1)


def _tight(tables: Sequence[pd.DataFrame], pooled: pd.DataFrame, low: str, high: str) -> pd.Series:
    """Whether a pooled interval is tight. low, high: the columns of its ends."""
    widths = _values(tables, pooled.index, high) - _values(tables, pooled.index, low)
    return pooled[high] - pooled[low] < widths.mean(axis=0) / math.sqrt(len(tables))


def _deviation(gains: NDArray, test_to_train: float) -> NDArray[np.float64]:
    """Standard deviation of the mean over splits, the first axis."""
    return gains.std(axis=0, ddof=1) * math.sqrt(1 / len(gains) + test_to_train)


def _p(gains: NDArray, test_to_train: float) -> float:
    deviation, mean = float(_deviation(gains, test_to_train)), abs(float(gains.mean()))
    if not deviation:
        return 0.0 if mean else 1.0
    return float(2 * stats.t.sf(mean / deviation, len(gains) - 1))
