"""Figures of merit over (notes, codes), each with its definition, and their bootstrap intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import f1_score, precision_recall_curve, precision_score, recall_score

BINS = (1, 5, 10, 50, 100, np.inf)  # lower ends of the frequency bins, in training notes


def best_threshold(truth: NDArray, probabilities: NDArray) -> float:
    """The one threshold with the largest micro-F1 on these notes: probabilities at or above it are predicted.

    Give validation notes, never test notes. truth, probabilities: (notes, codes). The threshold is above 0, so that a
    code without a model, whose probability is 0, is never predicted.
    """
    if not truth.any():
        raise ValueError("validation has no positive label: no threshold can be chosen; use more notes")
    precision, recall, thresholds = precision_recall_curve(truth.ravel(), probabilities.ravel())
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(np.argmax(np.where(thresholds > 0, f1[:-1], -1)))
    # midway to the next lower score, so that rounding of the scores flips nothing
    below = thresholds[best - 1] if best else 0.0
    return float(max((thresholds[best] + below) / 2, np.finfo(np.float32).tiny))


def scores(truth: NDArray, predicted: NDArray) -> dict[str, float]:
    """Micro and macro figures; truth and predicted are (notes, codes) of 0 and 1.

    micro: over all (note, code) pairs. macro_f1_present: mean of F1 over the codes with a positive in `truth`.
    macro_f1_all: mean over all codes; one without a positive counts 0. Labels without a prediction count 0 in both.
    """
    present = truth.any(axis=0)
    options = {"zero_division": 0}
    return {
        "micro_f1": f1_score(truth, predicted, average="micro", **options),
        "micro_precision": precision_score(truth, predicted, average="micro", **options),
        "micro_recall": recall_score(truth, predicted, average="micro", **options),
        "macro_f1_present": float(_f1_of_codes(truth, predicted)[present].mean()) if present.any() else 0.0,
        "macro_f1_all": f1_score(truth, predicted, average="macro", **options),
        "codes_present": int(present.sum()),
        "codes_all": truth.shape[1],
        "positives": int(truth.sum()),
        "predicted_on_absent_codes": int(predicted[:, ~present].sum()),
    }


def of_nothing_learned(truth: NDArray) -> pd.DataFrame:
    """Accuracy, micro- and macro-F1 of two classifiers that read no note: no code, and always the most frequent."""
    common = np.zeros_like(truth)
    common[:, truth.sum(axis=0).argmax()] = 1
    rows = {}
    for name, predicted in {"no code, ever": np.zeros_like(truth), "the most frequent, always": common}.items():
        figures = scores(truth, predicted)
        rows[name] = {
            "accuracy": float((truth == predicted).mean()),
            "micro-F1": figures["micro_f1"],
            "macro-F1": figures["macro_f1_present"],
        }
    return pd.DataFrame(rows).T


def _f1_of_codes(truth: NDArray, predicted: NDArray) -> NDArray[np.float64]:
    return f1_score(truth, predicted, average=None, zero_division=0)


def by_group(truth: NDArray, predicted: NDArray, groups: pd.Series) -> pd.DataFrame:
    """`scores` within each group of codes (a segment, a frequency bin): groups is (codes,)."""
    rows = {}
    for name in sorted(groups.dropna().unique()):
        codes = np.flatnonzero(groups == name)
        rows[name] = scores(truth[:, codes], predicted[:, codes])
    return pd.DataFrame(rows).T


def frequency_bin(train_counts: NDArray[np.int64]) -> pd.Series:
    """Bin of every code by its unfiltered training notes, as an ordered category such as "5-9"."""
    ends = [int(high) - 1 if np.isfinite(high) else None for high in BINS[1:]]
    names = [f"{low}-{end}" if end else f"{low}+" for low, end in zip(BINS, ends)]
    return pd.Series(pd.cut(train_counts, [*BINS], right=False, labels=names))


def resamples(n: int, *, times: int, seed: int) -> NDArray[np.float32]:
    """(times, n): how often each of n notes stands in each bootstrap resample of n notes."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n, np.full(n, 1 / n), size=times).astype(np.float32)


def bootstrap(truth: NDArray, predicted: NDArray, draws: NDArray) -> dict[str, NDArray[np.float64]]:
    """micro_f1 and macro_f1_present of every resample of notes: (times,) each.

    draws: from `resamples`; the same draws for two models give paired differences. The codes that macro averages over
    are those present in the full truth, so that all resamples measure the same thing.
    """
    present = truth.any(axis=0)
    both = sparse.csr_array((truth * predicted).astype(np.float32))
    hit = _weighted_sum(both, draws)
    total = _weighted_sum(sparse.csr_array(truth.astype(np.float32)), draws)
    total = total + _weighted_sum(sparse.csr_array(predicted.astype(np.float32)), draws)
    micro = 2 * hit.sum(axis=1) / np.maximum(total.sum(axis=1), 1)
    per_code = 2 * hit / np.maximum(total, 1)
    return {"micro_f1": micro, "macro_f1_present": per_code[:, present].mean(axis=1)}


def _weighted_sum(values: sparse.csr_array, draws: NDArray) -> NDArray:
    return np.asarray((values.T @ draws.T).T, dtype=np.float64)


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Middle 95% of bootstrap values."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
