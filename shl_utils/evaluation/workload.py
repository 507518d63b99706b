"""What quality control would take: how many suggestions a coder reads to find most codes, or may trust unread."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shl_utils.evaluation import label_metrics
from shl_utils.method.score_counts import curve

TARGETS = {"recall": (0.5, 0.8, 0.9, 0.95), "precision": (0.9, 0.95)}


def table(
    validation: tuple[NDArray[np.integer], NDArray[np.floating]], test: tuple[NDArray[np.integer], NDArray[np.floating]]
) -> pd.DataFrame:
    """One row per target: the threshold for all codes that meets it on validation, and what it gives on test.

    validation, test: gold labels of 0 and 1 and probabilities, (notes, codes) each. Columns: `threshold`, `recall`,
    `precision`, `suggestions`, predicted codes per note, and `silent`, share of notes without one. A recall is met by
    the highest threshold that has it, a precision by the lowest; NaN where none does.
    """
    truth, probabilities = validation
    found_at = curve(truth, probabilities)  # from the lowest score up
    recall, precision = found_at.true_positives / truth.sum(), found_at.true_positives / found_at.predicted
    found = {}
    for share in TARGETS["recall"]:
        met = np.flatnonzero(recall >= share - 1e-12)
        found[f"find {share:.0%} of the codes"] = found_at.scores[met[-1]]
    for share in TARGETS["precision"]:
        met = np.flatnonzero(precision >= share)
        found[f"be right in {share:.0%} of the suggestions"] = found_at.scores[met[0]] if len(met) else np.nan
    return pd.DataFrame({name: _at(threshold, *test) for name, threshold in found.items()}).T.rename_axis("to")


def _at(threshold: float, truth: NDArray, probabilities: NDArray) -> dict[str, float]:
    if np.isnan(threshold):
        return {}
    predicted = (probabilities >= threshold).astype(truth.dtype)
    scores = label_metrics.scores(truth, predicted)
    return {
        "threshold": threshold,
        "recall": scores["micro_recall"],
        "precision": scores["micro_precision"],
        "suggestions": predicted.sum() / len(truth),
        "silent": (~predicted.any(axis=1)).mean(),
    }
