"""What losses take from the training set: code frequencies turned into weights, biases and offsets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from shl_utils.method import losses
from shl_utils.parameters import Parameters

# losses that use each parameter; models of other losses need no new training when it changes
USED_BY = {
    "gamma": losses.FOCUSED,
    "beta": losses.HARMONIC,
    "max_negative_weight": losses.HARMONIC,
    "max_positive_weight": ("weighted_bce",),
    "gamma_negative": ("asymmetric",),
    "negative_margin": ("asymmetric",),
}
# losses that share a function of `losses`
SHARED = {"r_bce": "distribution_balanced", "ntr": "negative_tolerant", "cb_ntr": "negative_tolerant"}
TOLERANT = ("ntr", "cb_ntr", "distribution_balanced")
BIAS = 0.05  # kappa of NTR: how far the prior of a code shifts its logit; the authors' value on every data set
SCALE = 2.0  # lambda of NTR: factor on the logits of negatives; the authors' value for text


def positive_weights(counts: NDArray, n: int, *, largest: float) -> NDArray[np.float64]:
    """(codes,): negatives / positives of each code among n notes, at most `largest`. counts: (codes,), notes per code.

    Without the bound, a code with one note in ten thousand weighs ten thousand, and the model collapses. Source: the
    ratio is what torch.nn.BCEWithLogitsLoss suggests as `pos_weight`; the bound is ours.
    """
    return np.clip((n - counts) / np.maximum(counts, 1), 0, largest)


def effective_number_weights(counts: NDArray) -> NDArray[np.float64]:
    """(codes,): (1 - beta) / (1 - beta^n_c), scaled to mean 1; n_c are the `counts` (codes,).

    beta is 1 - 1 / (largest count). A code counts as saturated from 1 / (1 - beta) notes, which is then the largest
    count. Source: Cui et al. 2019, who choose beta by hand from 0.9 to 0.9999.
    """
    beta = 1 - 1 / max(counts.max(), 2)
    weights = (1 - beta) / (1 - beta ** np.maximum(counts, 1))
    return weights / weights.mean()


def rarity(counts: NDArray) -> NDArray[np.float64]:
    """(codes,): 1 / n_c, where n_c is at least 1."""
    return 1 / np.maximum(counts, 1)


def map_offset(labels: sparse.csr_array) -> float:
    """Offset where the R-BCE weight turns from low to high: the median of r over all training labels, at most 0.9.

    labels: (notes, codes). r of a label is the rarity of its code over the sum of rarity of the note's codes. The
    authors set the offset by hand: 0.9 on Reuters, where most notes have one code (r = 1), 0.05 on PubMed, where they
    have fifteen. At 1 a note's only code would weigh less than the codes that the note lacks.
    """
    coo = labels.tocoo()
    rare = rarity(np.bincount(coo.col, minlength=labels.shape[1]))
    asked = np.bincount(coo.row, weights=rare[coo.col], minlength=labels.shape[0])
    return min(float(np.median(rare[coo.col] / asked[coo.row])), 0.9)


def prior_bias(counts: NDArray, n: int) -> NDArray[np.float64]:
    """(codes,): shift of each logit, -kappa log(n / n_c - 1). Source: Wu et al. 2020, Eq. 7."""
    share = np.clip(counts / n, 1 / (2 * n), 1 - 1 / (2 * n))  # a code in every note has no finite bias
    return -BIAS * np.log(1 / share - 1)


# losses that take each of these from the training labels
DERIVED = {
    positive_weights: ("weighted_bce",),
    effective_number_weights: ("class_balanced", "cb_ntr"),
    rarity: ("r_bce", "distribution_balanced"),
    map_offset: ("r_bce", "distribution_balanced"),
    prior_bias: TOLERANT,
}


def derived(name: str, labels: sparse.csr_array, parameters: Parameters) -> dict[str, NDArray[np.float64] | float]:
    """Arguments of the loss called `name` that come from the training labels (notes, codes), by their names."""
    n, counts = labels.shape[0], np.asarray(labels.sum(axis=0))
    found: dict[str, NDArray[np.float64] | float] = {}
    if name in DERIVED[positive_weights]:
        found["positive"] = positive_weights(counts, n, largest=parameters.max_positive_weight)
    if name in DERIVED[effective_number_weights]:
        found["code"] = effective_number_weights(counts)
    if name in DERIVED[map_offset]:
        found |= {"rarity": rarity(counts), "offset": map_offset(labels)}
    if name in DERIVED[prior_bias]:
        found["bias"] = prior_bias(counts, n)
    return found


def fitted(name: str, labels: sparse.csr_array, parameters: Parameters) -> Callable[..., Tensor]:
    """The loss called `name` as a function of (logits, targets, weights); labels (notes, codes) give the rest."""
    if name not in losses.NAMES:
        raise ValueError(f"loss {name!r} is unknown: use one of {', '.join(losses.NAMES)}")
    settings: dict[str, Any] = {"gamma": parameters.gamma} if name in losses.FOCUSED else {}
    if name in TOLERANT:
        settings["scale"] = SCALE
    if name == "ntr":
        settings["code"] = torch.ones(labels.shape[1])
    if name == "r_bce":  # without the NTR part
        settings |= {"bias": torch.zeros(labels.shape[1]), "scale": 1.0}
    if name == "asymmetric":
        settings |= {"gamma_negative": parameters.gamma_negative, "margin": parameters.negative_margin}
    for key, value in derived(name, labels, parameters).items():
        settings[key] = value if isinstance(value, float) else torch.tensor(value, dtype=torch.float32)
    return partial(function(name), **settings)


def function(name: str) -> Callable[..., Tensor]:
    """The function of `losses` that computes the loss called `name`."""
    return getattr(losses, SHARED.get(name, name))
