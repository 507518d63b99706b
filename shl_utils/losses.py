"""Losses over (notes, codes): stateless functions of logits, targets and per-note weights.

All follow one convention, so that a learning rate means the same under each: codes sum, notes average, in float32 from
logits through `logsigmoid`, which stays finite where `log(p + 1e-8)` overflows half precision.

logits: (notes, codes), any float type. targets: (notes, codes) of 0 and 1. weights: (notes,), 1 where nothing is said.
`notes` divides the sum; it defaults to the number of rows, and a process that holds part of a batch passes its share.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import logsigmoid


def bce(logits: Tensor, targets: Tensor, weights: Tensor, *, notes: float | None = None) -> Tensor:
    """Binary cross-entropy, -sum_c log q_c, q the probability given to the true state."""
    return _average(-_log_q(logits, targets), weights, notes)


def focal(logits: Tensor, targets: Tensor, weights: Tensor, *, gamma: float, notes: float | None = None) -> Tensor:
    """BCE damped on codes that the model already gets right: -(1 - q)^gamma log q.

    Source: Lin et al. 2017, Eq. 4, without alpha. `gamma` is 0 (exactly `bce`) or at least 1: between them the gradient
    is infinite where a logit saturates.
    """
    if gamma != 0 and gamma < 1:
        raise ValueError(f"gamma must be 0 or at least 1, got {gamma}")
    log_q = _log_q(logits, targets)
    if gamma == 0:
        return _average(-log_q, weights, notes)
    # 1 - q as a sigmoid of its own: 1 - exp(log q) would cancel where q is near 1
    miss = ((1 - 2 * targets.float()) * logits.float()).sigmoid()
    return _average(-(miss**gamma) * log_q, weights, notes)


def sh(logits: Tensor, targets: Tensor, weights: Tensor, *, notes: float | None = None) -> Tensor:
    """Segmented Harmonic Loss, -(1/beta) sum_c log q_c, with 1/beta in `weights` (see `harmonic.weights`).

    Source: Ray et al. 2023, SH(q_r). The formula is that of `bce`: all that is new lies in the weights of the notes
    without a code of the segment. That notes with one weigh 1 is our reading.
    """
    return bce(logits, targets, weights, notes=notes)


def sh_focal(logits: Tensor, targets: Tensor, weights: Tensor, *, gamma: float, notes: float | None = None) -> Tensor:
    """Segmented Harmonic Focal Loss, -(1/beta) sum_c (1 - q_c)^gamma log q_c, with 1/beta in `weights`.

    Source: Ray et al. 2023, SH-Focal(q_r).
    """
    return focal(logits, targets, weights, gamma=gamma, notes=notes)


def choose(name: str, *, gamma: float) -> Callable[..., Tensor]:
    """The loss called `name` as a function of (logits, targets, weights)."""
    if name in ("focal", "sh_focal"):
        function = focal if name == "focal" else sh_focal
        return lambda *args, **kwargs: function(*args, gamma=gamma, **kwargs)
    if name in ("bce", "sh"):
        return bce if name == "bce" else sh
    raise ValueError(f"loss {name!r} is unknown: use bce, focal, sh or sh_focal")


def is_harmonic(name: str) -> bool:
    return name in ("sh", "sh_focal")


def _log_q(logits: Tensor, targets: Tensor) -> Tensor:
    return logsigmoid((2 * targets.float() - 1) * logits.float())


def _average(losses: Tensor, weights: Tensor, notes: float | None) -> Tensor:
    return (losses.sum(dim=1) * weights.float()).sum() / (notes or len(losses))
