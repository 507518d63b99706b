"""Initialization of a segment's head. "prior" stands for the paper's; the other is our extension.

"prior": head bias at the codes' priors.
"label_embedding": the head's weights are the embeddings of the codes' descriptions. A code with a handful of notes is
then also recognised by its name.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, logit
from torch import nn

SAMPLE = 4096  # notes from which the scale in `description_head` is estimated


def description_head(
    notes: NDArray, descriptions: NDArray, labels: NDArray, prior: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight (codes, width) and bias (codes,) of a head that ranks notes by their likeness to the codes' descriptions.

    notes: (n, width), pooled by the frozen encoder. descriptions: (codes, width), of unit length. labels: (n, codes) of
    0 and 1. prior: (codes,), probabilities.
    The likeness, a dot product, is standardised per code over the notes. A logit is that of the prior plus likeness
    times a scale that all codes share. The scale has the largest likelihood over all pairs; it is 0 if likeness is
    uninformative.
    """
    likeness = notes @ descriptions.T
    mean, spread = likeness.mean(axis=0), np.maximum(likeness.std(axis=0), 1e-6)
    standard, base = (likeness - mean) / spread, logit(np.clip(prior, 1e-5, 1 - 1e-5))
    sign = 2 * labels - 1
    fitted = minimize_scalar(lambda k: -log_expit(sign * (base + k * standard)).sum(), bounds=(0, 5), method="bounded")
    scale = fitted.x / spread
    # the prior is the mean probability; the variance of the logits raises that mean, which training soon corrects
    return descriptions * scale[:, None], base - mean * scale


def set_head(net: nn.Module, weight: NDArray, bias: NDArray) -> None:
    """Copy `weight` (codes, width) and `bias` (codes,) into the head of `net`, in place."""
    with torch.no_grad():
        net.head.weight.copy_(torch.tensor(weight))
        net.head.bias.copy_(torch.tensor(bias))
