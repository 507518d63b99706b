"""Losses over (notes, codes): stateless functions of logits, targets and per-note weights. Each returns a scalar.

Losses are summed over codes and averaged over notes, so that a learning rate means about the same under each. Only
two_way and zlpr are no sums over codes; they say what they are. `gamma` is the focal exponent of every loss of FOCUSED,
and 0 leaves the focal factor out. With gamma above 0, r_bce and ntr are R-FL and NTR-FL of Huang et al. 2021; at 0 they
are plain R-BCE and NTR. All compute in float32 and by `logsigmoid`: `log(p + 1e-8)` overflows in half precision.

logits: (notes, codes), any float type. targets: (notes, codes) of 0 and 1. weights: (notes,), 1 unless said otherwise.
`notes` divides the sum; it defaults to the number of rows. A process that holds part of a batch passes its share. What
a loss needs of the training set, such as frequencies, comes from `loss_factory`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

HARMONIC = ("sh", "sh_focal")
FOCUSED = ("focal", "class_balanced", "r_bce", "ntr", "cb_ntr", "distribution_balanced", "sh_focal")
NAMES = ("bce", "weighted_bce", "asymmetric", "two_way", "zlpr", "sh", *FOCUSED)


def bce(logits: Tensor, targets: Tensor, weights: Tensor, *, notes: float | None = None) -> Tensor:
    """Binary cross-entropy, -sum_c log q_c, q the probability given to the true state: p if the note has c, else 1 - p.

    Source: torch.nn.BCEWithLogitsLoss, with a sum over codes in place of its mean.
    """
    return _average(-_log_q(logits, targets), weights, notes)


def weighted_bce(
    logits: Tensor, targets: Tensor, weights: Tensor, *, positive: Tensor, notes: float | None = None
) -> Tensor:
    """BCE with positives weighted by w = `positive` (codes,): -sum_c (w_c t_c log p_c + (1 - t_c) log(1 - p_c)).

    Source: `pos_weight` of torch.nn.BCEWithLogitsLoss. The weights come from `loss_factory.positive_weights`, bounded.
    """
    scale = torch.where(targets > 0, positive.to(logits.device), 1.0)
    return _average(-scale * _log_q(logits, targets), weights, notes)


def focal(logits: Tensor, targets: Tensor, weights: Tensor, *, gamma: float, notes: float | None = None) -> Tensor:
    """Focal loss, BCE damped on codes that the model already gets right: -(1 - q)^gamma log q.

    Source: Lin et al. 2017, Eq. 4, without alpha. `gamma` is 0 (exactly `bce`) or at least 1. Between them the gradient
    is infinite where a logit saturates, and ValueError is raised.
    """
    return _average(_focused(logits, targets, gamma), weights, notes)


def class_balanced(
    logits: Tensor, targets: Tensor, weights: Tensor, *, code: Tensor, gamma: float, notes: float | None = None
) -> Tensor:
    """Focal loss with codes weighted by w = `code` (codes,): -sum_c w_c (1 - q_c)^gamma log q_c.

    w_c is the inverse of the code's effective number of notes, (1 - beta) / (1 - beta^n_c), scaled to mean 1: see
    `loss_factory.effective_number_weights`. Source: Cui et al. 2019, Eq. 9 to 11. There the weight of the one true
    class applies to all outputs; here each code has its own, for positives and negatives, as in Huang et al. 2021.
    """
    return _average(code.to(logits.device) * _focused(logits, targets, gamma), weights, notes)


def distribution_balanced(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    rarity: Tensor,
    offset: float,
    bias: Tensor,
    scale: float,
    gamma: float,
    notes: float | None = None,
) -> Tensor:
    """Focal loss with weights that undo co-occurrence (R-BCE), and with tolerance for negatives (NTR).

    R-BCE: a code c weighs 0.1 + sigmoid(10 (r_c - offset)) with r_c = rarity_c / sum of rarity over the note's codes.
    Where the note has none, r_c is infinite. `rarity` is (codes,). NTR: logits are shifted by `bias` (codes,); those of
    negatives are then multiplied by `scale` and their loss divided by it. `scale` 1 and `bias` 0 leave NTR out.
    Source: Wu et al. 2020, Eq. 3 to 9; Huang et al. 2021 for text. A note without a code is our case, not theirs.
    """
    rarity = rarity.to(logits.device)
    asked = (targets.float() * rarity).sum(dim=1, keepdim=True)
    share = torch.where(asked > 0, rarity / asked.clamp(min=1e-30), torch.inf)
    rebalanced = 0.1 + torch.sigmoid(10 * (share - offset))
    return _average(rebalanced * _tolerant(logits, targets, bias, scale, gamma), weights, notes)


def negative_tolerant(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    code: Tensor,
    bias: Tensor,
    scale: float,
    gamma: float,
    notes: float | None = None,
) -> Tensor:
    """The NTR part of `distribution_balanced`, codes weighted by w = `code` (codes,): 1 in NTR, balanced in CB-NTR.

    Positives w_c FL(z_c + b_c), negatives w_c FL(s (z_c + b_c)) / s, b = `bias`, s = `scale`, FL the focal loss of a
    logit (BCE at gamma 0). Source: Wu et al. 2020; Huang et al. 2021, section 3, as printed. Their code leaves out the
    division by s where codes have no weights (NTR-FL).
    """
    return _average(code.to(logits.device) * _tolerant(logits, targets, bias, scale, gamma), weights, notes)


def asymmetric(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    gamma_negative: float,
    margin: float,
    notes: float | None = None,
) -> Tensor:
    """Positives as in BCE, -log p; negatives with a focal factor, and dropped where p is below `margin`:
    -p_m^gamma_negative log(1 - p_m), p_m = max(p - margin, 0).

    Source: Ridnik et al. 2021, Eq. 7, with gamma+ fixed at 0, as in their train.py. The gradient flows through the
    focal factor too, as in the formula; their code stops it there.
    """
    p = logits.float().sigmoid()
    shifted = (p - margin).clamp(min=0)
    # 1 - p from a sigmoid loses no digits, a difference would; the floor matters only for margin 0
    log_not = ((-logits.float()).sigmoid() + margin).clamp(max=1, min=torch.finfo(torch.float32).tiny).log()
    negative = -(shifted**gamma_negative) * log_not
    return _average(torch.where(targets > 0, -logsigmoid(logits.float()), negative), weights, notes)


def two_way(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    positive_temperature: float = 4.0,
    negative_temperature: float = 1.0,
    notes: float | None = None,
) -> Tensor:
    """Ranking loss: every positive above every negative, among the codes of a note and among the notes of a code.

    softplus(T_n LSE_neg(z / T_n) + T_p LSE_pos(-z / T_p)), the mean over notes with a code plus the mean over codes
    with a note in this batch. A note of weight w counts as w notes. Notes of a batch are compared with each other, so a
    batch must not be divided among processes; `notes` is accepted and not used.
    Source: Kobayashi 2023, Eq. 9 to 11.
    """
    z, held, w = logits.float(), targets > 0, weights.float().unsqueeze(1)
    parts = []
    for dim, mass in ((1, torch.ones_like(w)), (0, w)):
        log_mass = mass.log().expand_as(z)
        wrong = _lse(z / negative_temperature + log_mass, ~held, dim) * negative_temperature
        right = _lse(-z / positive_temperature + log_mass, held, dim) * positive_temperature
        seen = held.any(dim) & (~held).any(dim)
        scale = w.squeeze(1)[seen] if dim == 1 else 1.0
        parts.append((scale * softplus(wrong + right)[seen]).sum() / max(int(held.any(dim).sum()), 1))
    return sum(parts)


def zlpr(logits: Tensor, targets: Tensor, weights: Tensor, *, notes: float | None = None) -> Tensor:
    """Codes of the note above 0, all others below: log(1 + sum_neg e^z) + log(1 + sum_pos e^-z).

    Source: Su et al. 2022. They predict z > 0; here the threshold is chosen on validation as for all losses.
    """
    z, held = logits.float(), targets > 0
    losses = softplus(_lse(z, ~held, 1)) + softplus(_lse(-z, held, 1))
    return _average(losses.unsqueeze(1), weights, notes)


def sh(logits: Tensor, targets: Tensor, weights: Tensor, *, notes: float | None = None) -> Tensor:
    """Segmented Harmonic Loss, -(1/beta) sum_c log q_c, with 1/beta in `weights` (see `harmonic_weights.weights`).

    Source: Ray et al. 2023, SH(q_r). The formula is that of `bce`: only the weights of negative notes are new. That
    notes with a code of the segment weigh 1 is our reading.
    """
    return bce(logits, targets, weights, notes=notes)


def sh_focal(logits: Tensor, targets: Tensor, weights: Tensor, *, gamma: float, notes: float | None = None) -> Tensor:
    """`sh` with the focal factor: -(1/beta) sum_c (1 - q_c)^gamma log q_c. Source: Ray et al. 2023, SH-Focal(q_r)."""
    return focal(logits, targets, weights, gamma=gamma, notes=notes)


def _log_q(logits: Tensor, targets: Tensor) -> Tensor:
    return logsigmoid((2 * targets.float() - 1) * logits.float())


def _focused(logits: Tensor, targets: Tensor, gamma: float) -> Tensor:
    """(notes, codes): -(1 - q)^gamma log q."""
    if gamma != 0 and gamma < 1:
        raise ValueError(f"gamma must be 0 or at least 1, got {gamma}")
    log_q = _log_q(logits, targets)
    if gamma == 0:
        return -log_q
    # 1 - q from a sigmoid: 1 - exp(log q) would cancel where q is near 1
    miss = ((1 - 2 * targets.float()) * logits.float()).sigmoid()
    return -(miss**gamma) * log_q


def _tolerant(logits: Tensor, targets: Tensor, bias: Tensor, scale: float, gamma: float) -> Tensor:
    moved = logits.float() + bias.to(logits.device)
    negative = targets == 0
    losses = _focused(torch.where(negative, scale * moved, moved), targets, gamma)
    return torch.where(negative, losses / scale, losses)


def _lse(values: Tensor, where: Tensor, dim: int) -> Tensor:
    """log-sum-exp along `dim` of the values that `where` picks; a large negative number where it picks none."""
    # -inf would give the gradient 0 * inf where none is picked
    return torch.logsumexp(values.masked_fill(~where, -1e4), dim=dim)


def _average(losses: Tensor, weights: Tensor, notes: float | None) -> Tensor:
    return (losses.sum(dim=1) * weights.float()).sum() / (notes or len(losses))
