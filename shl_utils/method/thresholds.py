"""Thresholds: from probabilities to codes, by one of five rules, chosen on validation notes alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from shl_utils.method.score_counts import curve, next_below

RULES = ("half", "global", "segment", "per_code", "shrunk")


def choose(
    rule: str,
    truth: NDArray,
    probabilities: NDArray,
    *,
    segment: NDArray[np.int64],
    floor: int,
    common: float | None = None,
) -> NDArray[np.float64]:
    """Threshold of every code (codes,): at or above it the code is predicted. Give validation notes, never test notes.

    half: 0.5. global: the one with the largest micro-F1. segment: the same over the codes of each segment. per_code:
    the largest F1 of each code. shrunk: mean of the code's and the global one on the logit scale, with weights n and
    `floor`, n the positives of the code.
    A segment or code with fewer than `floor` positives gets the global threshold: one chosen on one or two notes is
    noise. A code without positives would get the lowest score and be predicted everywhere.
    truth, probabilities: (notes, codes). segment: (codes,), -1 for a code without a model. Such a code has probability
    0 and is never predicted, since every threshold is above 0. floor: at least 1. common: the global one, if known.
    Raises ValueError for an unknown rule, or if there is no positive to choose by.
    """
    n_codes = truth.shape[1]
    if rule == "half":
        return np.full(n_codes, 0.5)
    common = best(truth, probabilities) if common is None else common
    result = np.full(n_codes, common)
    if rule == "global":
        return result
    positives = truth.sum(axis=0)
    if rule == "segment":
        for k in np.unique(segment[segment >= 0]):
            codes = segment == k
            if positives[codes].sum() >= floor:
                result[codes] = best(truth[:, codes], probabilities[:, codes])
        return result
    if rule not in ("per_code", "shrunk"):
        raise ValueError(f"threshold rule {rule!r} is unknown: use one of {', '.join(RULES)}")
    for code in np.flatnonzero((positives >= floor) & (segment >= 0)):
        result[code] = best(truth[:, [code]], probabilities[:, [code]])
    if rule == "per_code":
        return result
    own = np.clip([result, np.full(n_codes, common)], 1e-12, 1 - 1e-7)
    share = positives / (positives + floor)
    return expit(share * logit(own[0]) + (1 - share) * logit(own[1]))


def best(truth: NDArray, probabilities: NDArray) -> float:
    """The threshold above 0 with the largest micro-F1 over all (notes, codes) pairs; ValueError without a positive."""
    if not truth.any():
        raise ValueError("validation has no positive label: no threshold can be chosen; use more notes")
    found = curve(truth, probabilities)
    f1 = np.where(found.scores > 0, found.f1, 0)
    score = found.scores[np.argmax(f1)]
    if not f1.any():
        return 1.0  # no threshold above 0 finds a positive
    # midway to the next lower score, so that rounding of the scores flips no prediction
    return float(max((score + next_below(probabilities, score)) / 2, np.finfo(np.float32).tiny))
