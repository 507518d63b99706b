"""One comparison on several splits of a corpus: its mean, with an interval that allows for shared notes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from shl_utils.evaluation import results
from shl_utils.evaluation.resampling import HEADLINE_METRICS


def pool(tables: Sequence[pd.DataFrame], *, test_to_train: float) -> pd.DataFrame:
    """The rows that all tables have, as means over the splits: `row`, `comparable`, `reference`, F1 and gains.

    Gains have 95% intervals of the corrected resampled t-test (Nadeau and Bengio 2003), and its p as `_p`. Splits share
    notes, so the variance of their mean is s^2 (1 / splits + test_to_train) in place of s^2 / splits.
    tables: of `results.table` on one split each, at least two, else ValueError. test_to_train: test notes per training
    note.
    """
    if len(tables) < 2:
        raise ValueError("one split cannot be pooled: its own table has its intervals")
    n, first = len(tables), tables[0]
    keys = [key for key in first.index if all(key in table.index for table in tables)]
    lines = {}
    for key in keys:
        line = first.loc[key, ["row", "comparable", "reference"]].to_dict() | {"splits": n}
        for metric in HEADLINE_METRICS:
            line[metric] = float(np.mean([table.loc[key, metric] for table in tables]))
            gains = np.array([table.loc[key, f"{metric}_gain"] for table in tables], dtype=float)
            line |= dict(zip((f"{metric}_gain{end}" for end in results.ENDS), _interval(gains, test_to_train)))
            line[f"{metric}_p"] = np.nan if line["reference"] else _p(gains, test_to_train)
        lines[key] = line
    return pd.DataFrame(lines).T.infer_objects()


def _deviation(gains: np.ndarray, test_to_train: float) -> float:
    return float(gains.std(ddof=1)) * math.sqrt(1 / len(gains) + test_to_train)


def _interval(gains: np.ndarray, test_to_train: float) -> tuple[float, float, float]:
    half = stats.t.ppf(0.975, len(gains) - 1) * _deviation(gains, test_to_train)
    return float(gains.mean()), float(gains.mean() - half), float(gains.mean() + half)


def _p(gains: np.ndarray, test_to_train: float) -> float:
    deviation = _deviation(gains, test_to_train)
    t = abs(gains.mean()) / deviation if deviation else math.inf * bool(gains.mean())
    return float(2 * stats.t.sf(t, len(gains) - 1)) if t == t else 1.0
