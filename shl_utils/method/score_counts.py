"""Counts of pairs above a falling threshold: all that F1, average precision and the area under ROC depend on.

A pair is one (note, code). The best F1 lies at the score of a positive, and recall changes nowhere else. So pairs are
counted between the scores of the positives, a block at a time, and never sorted. The metrics equal scikit-learn's,
which sorts all pairs. For 76 million pairs (8,500 notes, 8,900 codes) its curve takes 26 s and 2.5 GB on a core of an
AMD EPYC. This one takes 4 s and 0.5 GB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 22  # pairs counted at once


@dataclass(frozen=True)
class Curve:
    """Counts at every distinct score of a positive; the four arrays have one entry per score.

    scores: of the positives, rising, each once. true_positives: with the threshold there. predicted: pairs at or above
    the score. predicted_above: pairs strictly above it. pairs: how many there are in all.
    """

    scores: NDArray[np.floating]
    true_positives: NDArray[np.int64]
    predicted: NDArray[np.int64]
    predicted_above: NDArray[np.int64]
    pairs: int

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 with the threshold at each of `scores`."""
        return 2 * self.true_positives / (self.true_positives[0] + self.predicted)

    @property
    def average_precision(self) -> float:
        return float((self._positives * self.true_positives / self.predicted).sum() / self.true_positives[0])

    @property
    def roc_auc(self) -> float:
        """Area under the ROC curve; NaN without a negative."""
        right, here, negatives = self.true_positives, self._positives, self.pairs - self.true_positives[0]
        at_or_above, above = self.predicted - right, self.predicted_above - (right - here)  # negatives
        beaten = negatives - (at_or_above + above) / 2  # a tie counts half
        return float((here * beaten).sum() / (right[0] * negatives)) if negatives else float("nan")

    @property
    def _positives(self) -> NDArray[np.int64]:
        """Positives exactly at each score."""
        return self.true_positives - np.append(self.true_positives[1:], 0)


def curve(truth: NDArray, probabilities: NDArray[np.floating]) -> Curve:
    """Counts over all pairs of two arrays of one shape, `truth` of 0 and 1. ValueError without positives or for NaN."""
    truth, probabilities = truth.ravel(), probabilities.ravel()
    scores, positives = np.unique(probabilities[truth.astype(bool)], return_counts=True)
    if not len(scores):
        raise ValueError("there is no positive")
    reached, passed = np.zeros(len(scores) + 1, np.int64), np.zeros(len(scores) + 1, np.int64)
    for first in range(0, len(probabilities), BLOCK):
        block = probabilities[first : first + BLOCK]
        if np.isnan(block).any():
            raise ValueError("a probability is not a number: the training diverged; lower the learning rates")
        n = np.searchsorted(scores, block, side="right")  # how many of `scores` are at or below a pair's
        reached += np.bincount(n, minlength=len(reached))
        passed += np.bincount(n - (scores[np.maximum(n - 1, 0)] == block), minlength=len(passed))
    predicted, above = (_from_the_top(counts)[1:] for counts in (reached, passed))
    return Curve(scores, _from_the_top(positives), predicted, above, len(truth))


def next_below(probabilities: NDArray[np.floating], score: float) -> float:
    """The largest of `probabilities` that is strictly below `score`; 0 if there is none."""
    flat = probabilities.ravel()
    blocks = (flat[first : first + BLOCK] for first in range(0, len(flat), BLOCK))
    return float(max(np.max(block, where=block < score, initial=0) for block in blocks))


def _from_the_top(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return counts[::-1].cumsum()[::-1]
