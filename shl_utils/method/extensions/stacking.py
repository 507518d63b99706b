"""A last joint calibration of the segments' scores, together with those of one model of all codes. Ours, not the
paper's.

A segment's model weighs the notes of others its own way, so its scores may be out of step with theirs; one model of all
codes has one scale, but spends little on the rare ones. Three numbers a segment, fitted on validation, weigh the two:
logit p = own * (segment's logit) + other * (one model's logit) + shift.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

START = np.array([0.5, 0.5, 0.0])  # the mean of both logits: what a segment without validation positives stays near
RIDGE = 2.0  # how hard a segment of few validation notes is held there, in nats a squared unit


def fit(own: NDArray, other: NDArray, truth: NDArray, segments: NDArray[np.int64]) -> NDArray[np.float64]:
    """(segments, 3): `own`, `other` and `shift` of every segment, by the largest likelihood over its pairs.

    own, other: probabilities (notes, codes). truth: (notes, codes) of 0 and 1. segments: (codes,), -1 for a code
    without a model.
    """
    mine, theirs, sign = _logits(own), _logits(other), 2 * np.asarray(truth, dtype=float) - 1
    result = []
    for k in range(segments.max() + 1):
        x, y, s = (part[:, segments == k].ravel() for part in (mine, theirs, sign))

        def cost(q, x=x, y=y, s=s):
            return -log_expit(s * (q[0] * x + q[1] * y + q[2])).sum() + RIDGE * ((q - START) ** 2).sum()

        result.append(minimize(cost, START, method="L-BFGS-B").x)
    return np.array(result)


def stack(own: NDArray, other: NDArray, segments: NDArray[np.int64], fitted: NDArray) -> NDArray[np.float32]:
    """Probabilities (notes, codes) with what `fit` found; of a code without a model in a segment, `other`."""
    a, b, shift = fitted[segments].T
    joined = expit(a * _logits(own) + b * _logits(other) + shift)
    return np.where(segments >= 0, joined, other).astype(np.float32)


def _logits(probabilities: NDArray) -> NDArray[np.float64]:
    return logit(np.clip(probabilities.astype(float), 1e-6, 1 - 1e-6))
