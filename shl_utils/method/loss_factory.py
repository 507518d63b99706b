"""What losses take from the training set: code frequencies turned into weights, biases and offsets.

Each takes labels (notes, codes), and by name the parameters it needs. DERIVED calls it as the losses' argument.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from shl_utils import declarations
from shl_utils.method.losses import LOSSES
from shl_utils.parameters import Parameters

DERIVED = declarations.Registry("derived value")
BIAS = 0.05  # kappa of NTR: how far the prior of a code shifts its logit; the authors' value on every data set


@DERIVED.add(
    "positive",
    label="weight of a positive",
    parameters={"max_positive_weight": (10.0, "weighted_bce: upper bound on the weight of a positive", {"gt": 0})},
)
def positive_weights(labels: sparse.csr_array, *, max_positive_weight: float) -> NDArray[np.float64]:
    """(codes,): notes without / notes with each code, at most `max_positive_weight`.

    Without the bound, a code with one note in ten thousand weighs ten thousand, and the model collapses. Source: the
    ratio is what torch.nn.BCEWithLogitsLoss suggests as `pos_weight`; the bound is ours.
    """
    counts = labels.sum(axis=0)
    return np.clip((labels.shape[0] - counts) / np.maximum(counts, 1), 0, max_positive_weight)


@DERIVED.add("code", label="weight of a code")
def effective_number_weights(labels: sparse.csr_array) -> NDArray[np.float64]:
    """(codes,): (1 - beta) / (1 - beta^n_c), scaled to mean 1; n_c is the number of notes with code c.

    beta is 1 - 1 / (largest count). A code counts as saturated from 1 / (1 - beta) notes, which is then the largest
    count. Source: Cui et al. 2019, who choose beta by hand from 0.9 to 0.9999.
    """
    counts = labels.sum(axis=0)
    beta = 1 - 1 / max(counts.max(), 2)
    weights = (1 - beta) / (1 - beta ** np.maximum(counts, 1))
    return weights / weights.mean()


@DERIVED.add(label="1 / notes of a code")
def rarity(labels: sparse.csr_array) -> NDArray[np.float64]:
    """(codes,): 1 / n_c, where n_c, the number of notes with code c, is at least 1."""
    return 1 / np.maximum(labels.sum(axis=0), 1)


@DERIVED.add("offset", label="offset of R-BCE")
def map_offset(labels: sparse.csr_array) -> float:
    """Offset where the R-BCE weight turns from low to high: the median of r over all training labels, at most 0.9.

    r of a label is the rarity of its code over the sum of rarity of the note's codes. The authors set the offset by
    hand: 0.9 on Reuters, where most notes have one code (r = 1), 0.05 on PubMed, where they have fifteen. At 1 a note's
    only code would weigh less than the codes that the note lacks.
    """
    coo = labels.tocoo()
    rare = 1 / np.maximum(np.bincount(coo.col, minlength=labels.shape[1]), 1)
    total = np.bincount(coo.row, weights=rare[coo.col], minlength=labels.shape[0])
    return min(float(np.median(rare[coo.col] / total[coo.row])), 0.9)


@DERIVED.add("bias", label="shift of a logit")
def prior_bias(labels: sparse.csr_array) -> NDArray[np.float64]:
    """(codes,): shift of each logit, -kappa log(n / n_c - 1), for n notes. Source: Wu et al. 2020, Eq. 7."""
    n = labels.shape[0]
    share = np.clip(labels.sum(axis=0) / n, 1 / (2 * n), 1 - 1 / (2 * n))  # a code in every note has no finite bias
    return -BIAS * np.log(1 / share - 1)


def derived(name: str, labels: sparse.csr_array, parameters: Parameters) -> dict[str, NDArray[np.float64] | float]:
    """Arguments of the loss called `name` that come from the training labels (notes, codes), by their names."""
    wanted = {argument: declarations.DERIVED[argument].takes for argument in declarations.LOSSES[name].derived}
    return {argument: DERIVED[argument](labels, **_settings(takes, parameters)) for argument, takes in wanted.items()}


def fitted(
    name: str, labels: sparse.csr_array, parameters: Parameters, *, device: torch.device | str = "cpu"
) -> Callable[..., Tensor]:
    """The loss called `name` as a function of (logits, targets, weights), all on `device`.

    labels: (training notes, codes), from which the rest is derived.
    """
    settings = _settings(declarations.LOSSES[name].takes, parameters)
    for key, value in derived(name, labels, parameters).items():
        settings[key] = value if isinstance(value, float) else torch.tensor(value, dtype=torch.float32, device=device)
    return partial(LOSSES[name], **settings)


def _settings(names: tuple[str, ...], parameters: Parameters) -> dict[str, float]:
    return {name: getattr(parameters, name) for name in names if name not in DERIVED}
