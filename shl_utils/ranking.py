"""Figures of merit of the probabilities themselves, before any threshold: ranking and calibration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

CUTS = (5, 8, 15)  # k of P@k, as papers on MIMIC have it
DEFINITIONS = {
    "micro_auc": "area under ROC over all pairs",
    "macro_auc": "mean of the area under ROC over codes with a positive and a negative",
    "micro_ap": "average precision over all pairs",
    "map": "mean of average precision over codes with a positive",
    **{f"precision_at_{k}": f"share of right ones among the {k} codes ranked first, mean over notes" for k in CUTS},
    "r_precision": "the same at the note's number of codes, over notes that have one",
    "brier": "mean squared error of the probability over all pairs",
    "calibration_error": "mean distance of probability and share of positives, in 15 bins of probability",
    "expected_over_found": "sum of the probabilities over positives: 1 if calibrated on the whole",
}


def scores(truth: NDArray, probabilities: NDArray) -> dict[str, float]:
    """Figures over (notes, codes), DEFINITIONS says what each is; ValueError where truth has one class only."""
    flat, scored = truth.ravel(), probabilities.ravel().astype(np.float64)
    if not 0 < flat.sum() < len(flat):
        raise ValueError("truth has one class only: nothing can be ranked")
    ranked = np.take_along_axis(truth, np.argsort(-probabilities, axis=1, kind="stable"), axis=1)
    return {
        "micro_auc": float(roc_auc_score(flat, scored)),
        "macro_auc": _macro_auc(truth, probabilities),
        "micro_ap": float(average_precision_score(flat, scored)),
        "map": mean_average_precision(truth, probabilities),
        **{f"precision_at_{k}": float(ranked[:, :k].sum(axis=1).mean() / k) for k in CUTS},
        "r_precision": _r_precision(ranked),
        "brier": float(brier_score_loss(flat, scored)),
        "calibration_error": _calibration_error(calibration(truth, probabilities)),
        "expected_over_found": float(scored.sum() / flat.sum()),
    }


def mean_average_precision(truth: NDArray, probabilities: NDArray) -> float:
    """Mean over codes with a positive, of (notes, codes)."""
    present = truth.any(axis=0)
    return float(np.mean(average_precision_score(truth[:, present], probabilities[:, present], average=None)))


def _macro_auc(truth: NDArray, probabilities: NDArray) -> float:
    """NaN where no code has both classes, as in a test of very few notes."""
    both = truth.any(axis=0) & ~truth.all(axis=0)
    if not both.any():
        return float("nan")
    return float(np.mean(roc_auc_score(truth[:, both], probabilities[:, both], average=None)))


def _r_precision(ranked: NDArray) -> float:
    """ranked: (notes, codes) of 0 and 1, the most probable code first."""
    n_codes = ranked.sum(axis=1)
    within = np.arange(ranked.shape[1]) < n_codes[:, None]
    coded = n_codes > 0
    return float(((ranked * within).sum(axis=1)[coded] / n_codes[coded]).mean())


def calibration(truth: NDArray, probabilities: NDArray, *, bins: int = 15) -> pd.DataFrame:
    """Reliability: `probability` (mean), `share` of positives and `pairs` in equal-width bins of probability.

    Nearly all pairs lie in the first bin, so look at the others one by one.
    """
    place = np.minimum((probabilities.ravel() * bins).astype(int), bins - 1)
    pairs = np.bincount(place, minlength=bins)
    sums = [np.bincount(place, weights=v.ravel().astype(float), minlength=bins) for v in (probabilities, truth)]
    table = pd.DataFrame({"probability": sums[0], "share": sums[1], "pairs": pairs})[pairs > 0]
    return table.assign(probability=table["probability"] / table["pairs"], share=table["share"] / table["pairs"])


def _calibration_error(table: pd.DataFrame) -> float:
    """Mean distance of probability and share over all pairs. Source: Naeini et al. 2015 (ECE)."""
    return float((abs(table["probability"] - table["share"]) * table["pairs"]).sum() / table["pairs"].sum())
