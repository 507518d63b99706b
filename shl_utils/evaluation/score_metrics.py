"""Metrics of the probabilities themselves, before any threshold: ranking and calibration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shl_utils.evaluation.label_metrics import mean
from shl_utils.method.score_counts import Curve, curve

TOP_K = (5, 8, 15)  # k of P@k, as in papers on MIMIC
DEFINITIONS = {
    "micro_auc": "area under ROC over all pairs",
    "macro_auc": "mean of the area under ROC over codes with a positive and a negative",
    "micro_ap": "average precision over all pairs",
    "map": "mean of average precision over codes with a positive",
    **{f"precision_at_{k}": f"share of right ones among the {k} codes ranked first, mean over notes" for k in TOP_K},
    "r_precision": "the same at the note's number of codes, over notes that have one",
    "brier": "mean squared error of the probability over all pairs",
    "calibration_error": "mean distance of probability and share of positives, in 15 bins of probability",
    "expected_over_found": "sum of the probabilities over positives: 1 if calibrated on the whole",
}
RATIOS = {"expected_over_found"}  # that are no shares


def scores(truth: NDArray[np.integer], probabilities: NDArray[np.floating]) -> dict[str, float]:
    """Every metric of DEFINITIONS, by name. Both arrays: (notes, codes). ValueError without a positive.

    The areas under ROC are NaN where every note has every code.
    """
    whole, by_code, ranked = curve(truth, probabilities), _by_code(truth, probabilities), _ranked(truth, probabilities)
    return {
        "micro_auc": whole.roc_auc,
        "macro_auc": mean([found.roc_auc for found in by_code if found.true_positives[0] < found.pairs]),
        "micro_ap": whole.average_precision,
        "map": mean([found.average_precision for found in by_code]),
        **{f"precision_at_{k}": float(ranked[:, :k].sum(axis=1).mean() / k) for k in TOP_K},
        "r_precision": _r_precision(ranked),
        "brier": float(np.square(probabilities - truth).mean(dtype=np.float64)),
        "calibration_error": _calibration_error(calibration(truth, probabilities)),
        "expected_over_found": float(probabilities.sum(dtype=np.float64) / truth.sum()),
    }


def mean_average_precision(truth: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """Mean of average precision over the codes with a positive. Both arrays: (notes, codes)."""
    return mean([found.average_precision for found in _by_code(truth, probabilities)])


def validation_score(truth: NDArray[np.integer], probabilities: NDArray[np.floating]) -> float:
    """The validation score by which settings are chosen: the mean of micro average precision and mAP."""
    return (curve(truth, probabilities).average_precision + mean_average_precision(truth, probabilities)) / 2


def _by_code(truth: NDArray[np.integer], probabilities: NDArray[np.floating]) -> list[Curve]:
    """One curve per code that has a positive."""
    return [curve(truth[:, code], probabilities[:, code]) for code in np.flatnonzero(truth.any(axis=0))]


def _ranked(truth: NDArray[np.integer], probabilities: NDArray[np.floating]) -> NDArray[np.integer]:
    """`truth` (notes, codes), each note's codes sorted by falling probability."""
    blocks = range(0, len(truth), 1000)  # notes
    parts = [(truth[i : i + 1000], np.argsort(-probabilities[i : i + 1000], axis=1, kind="stable")) for i in blocks]
    return np.concatenate([np.take_along_axis(part, order, axis=1) for part, order in parts])


def _r_precision(ranked: NDArray[np.integer]) -> float:
    """Mean R-precision over notes that have a code. ranked: (notes, codes) of 0 and 1, the most probable code first."""
    n_codes = ranked.sum(axis=1)
    within = np.arange(ranked.shape[1]) < n_codes[:, None]
    coded = n_codes > 0
    return float(((ranked * within).sum(axis=1)[coded] / n_codes[coded]).mean())


def calibration(truth: NDArray[np.integer], probabilities: NDArray[np.floating]) -> pd.DataFrame:
    """Reliability: `probability` (mean), `share` of positives and `pairs` in 15 equal-width bins of probability.

    Nearly all pairs lie in the first bin, so look at the others one by one.
    """
    bins = 15
    pairs, sums = np.zeros(bins, np.int64), np.zeros((2, bins))
    for note, labels in zip(probabilities, truth):
        bin_of_pair = np.minimum((note * bins).astype(int), bins - 1)
        pairs += np.bincount(bin_of_pair, minlength=bins)
        sums += [np.bincount(bin_of_pair, weights=values, minlength=bins) for values in (note, labels)]
    table = pd.DataFrame({"probability": sums[0], "share": sums[1], "pairs": pairs})[pairs > 0]
    return table.assign(probability=table["probability"] / table["pairs"], share=table["share"] / table["pairs"])


def _calibration_error(table: pd.DataFrame) -> float:
    """Expected calibration error: mean distance of probability and share over all pairs. Source: Naeini et al. 2015."""
    return float((abs(table["probability"] - table["share"]) * table["pairs"]).sum() / table["pairs"].sum())
