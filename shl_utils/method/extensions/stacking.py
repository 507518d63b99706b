"""Stacked ensemble: a final calibration of the segments' scores together with those of the single model. Our extension.

Each segment's model weighs negative notes in its own way, so the scores of segments may differ in scale. The single
model has one scale for all codes, but spends little on the rare ones. Three numbers per segment, fitted on validation,
combine both: logit p = own * (segment's logit) + other * (single model's logit) + shift.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

START = np.array([0.5, 0.5, 0.0])  # the mean of both logits; a segment without validation positives stays near it
RIDGE = 2.0  # L2 penalty on the distance to it, in nats per squared unit; it holds a segment of few notes there


def fit(
    own: NDArray[np.floating], other: NDArray[np.floating], truth: NDArray, segments: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(segments, 3): `own`, `other` and `shift` of every segment, by penalized maximum likelihood over its pairs.

    own, other: probabilities (notes, codes) of the segments' models and of the single model. truth: (notes, codes) of 0
    and 1. segments: (codes,), -1 for a code without a model.
    """
    mine, theirs, sign = _logits(own), _logits(other), 2 * np.asarray(truth, dtype=float) - 1
    result = []
    for k in range(segments.max() + 1):
        x, y, s = (part[:, segments == k].ravel() for part in (mine, theirs, sign))

        def cost(q, x=x, y=y, s=s):
            return -log_expit(s * (q[0] * x + q[1] * y + q[2])).sum() + RIDGE * ((q - START) ** 2).sum()

        result.append(minimize(cost, START, method="L-BFGS-B").x)
    return np.reshape(result, (-1, len(START)))  # also where no segment has a model


def stack(
    own: NDArray[np.floating], other: NDArray[np.floating], segments: NDArray[np.int64], fitted: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Ensemble probabilities (notes, codes) with the numbers of `fit`; `other` for a code without a segment's model."""
    joined = other.astype(np.float32)
    codes = np.flatnonzero(segments >= 0)
    a, b, shift = fitted[segments[codes]].T
    joined[:, codes] = expit(a * _logits(own[:, codes]) + b * _logits(other[:, codes]) + shift)
    return joined


def _logits(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    return logit(np.clip(probabilities.astype(float), 1e-6, 1 - 1e-6))
