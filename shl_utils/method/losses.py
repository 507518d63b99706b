"""Losses over (notes, codes): stateless functions of logits, targets and per-note weights. Each returns a scalar.

Losses are summed over codes and averaged over notes, so that a learning rate means about the same under each. Only
two_way and zlpr are no sums over codes; they say what they are. `gamma` is the focal exponent of every loss that takes
it, and 0 leaves the focal factor out. With gamma above 0, r_bce and ntr are R-FL and NTR-FL of Huang et al. 2021; at 0
they are plain R-BCE and NTR. All compute in float32 and by `logsigmoid`: `log(p + 1e-8)` overflows in half precision.

logits: (notes, codes), any floats. targets: (notes, codes) of 0 and 1. weights: (notes,), 1 unless stated otherwise.
`notes` divides the sum; 0 stands for the number of rows. A process that holds part of a batch passes its share.
A loss asks by name for what else it needs. Keyword arguments without a default are parameters of the run, or what
`loss_factory` derives from the training set. A parameter of its own is given in the decorator: see `declarations`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from shl_utils.declarations import Registry

LOSSES = Registry("loss")
T_POSITIVE, T_NEGATIVE = 4.0, 1.0  # temperatures of positives and negatives in two_way
SCALE = 2.0  # lambda of NTR: factor on the logits of negatives; the authors' value for text


@LOSSES.add()
def bce(logits: Tensor, targets: Tensor, weights: Tensor, *, notes: float = 0) -> Tensor:
    """Binary cross-entropy, -sum_c log q_c, q the probability given to the true state: p if the note has c, else 1 - p.

    Source: torch.nn.BCEWithLogitsLoss, with a sum over codes in place of its mean.
    """
    return _average(-_log_q(logits, targets), weights, notes)


@LOSSES.add()
def weighted_bce(logits: Tensor, targets: Tensor, weights: Tensor, *, positive: Tensor, notes: float = 0) -> Tensor:
    """BCE with positives weighted by w = `positive` (codes,): -sum_c (w_c t_c log p_c + (1 - t_c) log(1 - p_c)).

    Source: `pos_weight` of torch.nn.BCEWithLogitsLoss. The weights come from `loss_factory.positive_weights`, bounded.
    """
    scale = torch.where(targets > 0, positive, 1.0)
    return _average(-scale * _log_q(logits, targets), weights, notes)


@LOSSES.add()
def focal(logits: Tensor, targets: Tensor, weights: Tensor, *, gamma: float, notes: float = 0) -> Tensor:
    """Focal loss, BCE damped on codes that the model already gets right: -(1 - q)^gamma log q.

    Source: Lin et al. 2017, Eq. 4, without alpha. `gamma` is 0 (exactly `bce`) or at least 1. Between them the gradient
    is infinite where a logit saturates, and ValueError is raised.
    """
    return _average(_focused(logits, targets, gamma), weights, notes)


@LOSSES.add()
def class_balanced(
    logits: Tensor, targets: Tensor, weights: Tensor, *, code: Tensor, gamma: float, notes: float = 0
) -> Tensor:
    """Focal loss with codes weighted by w = `code` (codes,): -sum_c w_c (1 - q_c)^gamma log q_c.

    w_c is from `loss_factory.effective_number_weights`. Source: Cui et al. 2019, Eq. 9 to 11. There the weight of the
    one true class applies to all outputs; here each code has its own, for all pairs, as in Huang et al. 2021.
    """
    return _average(code * _focused(logits, targets, gamma), weights, notes)


@LOSSES.add()
def r_bce(
    logits: Tensor, targets: Tensor, weights: Tensor, *, rarity: Tensor, offset: float, gamma: float, notes: float = 0
) -> Tensor:
    """Focal loss with weights that undo co-occurrence: a code c weighs w_c = 0.1 + sigmoid(10 (r_c - offset)).

    r_c = rarity_c / sum of rarity over the note's codes, `rarity` (codes,); infinite where the note has none, which is
    our case, not theirs. Source: Wu et al. 2020; Huang et al. 2021 for text.
    """
    return _average(_rebalanced(targets, rarity, offset) * _focused(logits, targets, gamma), weights, notes)


@LOSSES.add()
def ntr(logits: Tensor, targets: Tensor, weights: Tensor, *, bias: Tensor, gamma: float, notes: float = 0) -> Tensor:
    """Focal loss with tolerance for negatives: positives FL(z_c + b_c), negatives FL(s (z_c + b_c)) / s.

    b = `bias` (codes,), s = SCALE, FL the focal loss of a logit (BCE at gamma 0). Source: Wu et al. 2020; Huang et al.
    2021, section 3, as printed. Their code leaves out the division by s where codes have no weights.
    """
    return _average(_tolerant(logits, targets, bias, gamma), weights, notes)


@LOSSES.add()
def cb_ntr(
    logits: Tensor, targets: Tensor, weights: Tensor, *, code: Tensor, bias: Tensor, gamma: float, notes: float = 0
) -> Tensor:
    """`ntr` with codes weighted as in `class_balanced`. Source: Huang et al. 2021, section 3."""
    return _average(code * _tolerant(logits, targets, bias, gamma), weights, notes)


@LOSSES.add()
def distribution_balanced(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    rarity: Tensor,
    offset: float,
    bias: Tensor,
    gamma: float,
    notes: float = 0,
) -> Tensor:
    """`ntr` with codes weighted as in `r_bce`. Source: Wu et al. 2020, Eq. 3 to 9; Huang et al. 2021 for text."""
    return _average(_rebalanced(targets, rarity, offset) * _tolerant(logits, targets, bias, gamma), weights, notes)


@LOSSES.add(
    parameters={
        "gamma_negative": (4.0, "asymmetric: focusing exponent of the negatives", {"ge": 1}),
        "negative_margin": (0.05, "asymmetric: probability margin; negatives below have no loss", {"ge": 0, "lt": 1}),
    }
)
def asymmetric(
    logits: Tensor, targets: Tensor, weights: Tensor, *, gamma_negative: float, negative_margin: float, notes: float = 0
) -> Tensor:
    """Positives as in BCE, -log p; negatives with a focal factor, and dropped where p is below a margin m:
    -p_m^gamma_negative log(1 - p_m), p_m = max(p - m, 0), m = `negative_margin`.

    Source: Ridnik et al. 2021, Eq. 7, with gamma+ fixed at 0, as in their train.py. The gradient flows through the
    focal factor too, as in the formula; their code stops it there.
    """
    p = logits.float().sigmoid()
    shifted = (p - negative_margin).clamp(min=0)
    # 1 - p from a sigmoid loses no digits, a difference would; the floor matters only for margin 0
    log_not = ((-logits.float()).sigmoid() + negative_margin).clamp(max=1, min=torch.finfo(torch.float32).tiny).log()
    negative = -(shifted**gamma_negative) * log_not
    return _average(torch.where(targets > 0, -logsigmoid(logits.float()), negative), weights, notes)


@LOSSES.add(whole_batch=True)
def two_way(logits: Tensor, targets: Tensor, weights: Tensor, *, notes: float = 0) -> Tensor:
    """Ranking loss: every positive above every negative, among the codes of a note and among the notes of a code.

    softplus(T_n LSE_neg(z / T_n) + T_p LSE_pos(-z / T_p)), the mean over notes with a code plus the mean over codes
    with a note in this batch. A note of weight w counts as w notes. Notes of a batch are compared with each other, so a
    batch must not be divided among processes; `notes` is not used. Source: Kobayashi 2023, Eq. 9 to 11.
    """
    z, held, w = logits.float(), targets > 0, weights.float().unsqueeze(1)
    parts = []
    for dim, mass in ((1, torch.ones_like(w)), (0, w)):
        log_mass = mass.log().expand_as(z)
        wrong = _lse(z / T_NEGATIVE + log_mass, ~held, dim) * T_NEGATIVE
        right = _lse(-z / T_POSITIVE + log_mass, held, dim) * T_POSITIVE
        seen = held.any(dim) & (~held).any(dim)
        scale = w.squeeze(1)[seen] if dim == 1 else 1.0
        parts.append((scale * softplus(wrong + right)[seen]).sum() / max(int(held.any(dim).sum()), 1))
    return sum(parts)


@LOSSES.add()
def zlpr(logits: Tensor, targets: Tensor, weights: Tensor, *, notes: float = 0) -> Tensor:
    """Codes of the note above 0, all others below: log(1 + sum_neg e^z) + log(1 + sum_pos e^-z).

    Source: Su et al. 2022. They predict z > 0; here the threshold is chosen on validation as for all losses.
    """
    z, held = logits.float(), targets > 0
    losses = softplus(_lse(z, ~held, 1)) + softplus(_lse(-z, held, 1))
    return _average(losses.unsqueeze(1), weights, notes)


@LOSSES.add(harmonic=True)
def sh(logits: Tensor, targets: Tensor, weights: Tensor, *, notes: float = 0) -> Tensor:
    """Segmented Harmonic Loss, -(1/beta) sum_c log q_c, with 1/beta in `weights` (see `harmonic_weights.weights`).

    Source: Ray et al. 2023, SH(q_r). The formula is that of `bce`: only the weights of negative notes are new. That
    notes with a code of the segment weigh 1 is our reading.
    """
    return bce(logits, targets, weights, notes=notes)


@LOSSES.add(harmonic=True)
def sh_focal(logits: Tensor, targets: Tensor, weights: Tensor, *, gamma: float, notes: float = 0) -> Tensor:
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


def _rebalanced(targets: Tensor, rarity: Tensor, offset: float) -> Tensor:
    """(notes, codes): weights of R-BCE."""
    total = (targets.float() * rarity).sum(dim=1, keepdim=True)
    share = torch.where(total > 0, rarity / total.clamp(min=1e-30), torch.inf)
    return 0.1 + torch.sigmoid(10 * (share - offset))


def _tolerant(logits: Tensor, targets: Tensor, bias: Tensor, gamma: float) -> Tensor:
    """(notes, codes): NTR without weights of codes."""
    moved = logits.float() + bias
    negative = targets == 0
    losses = _focused(torch.where(negative, SCALE * moved, moved), targets, gamma)
    return torch.where(negative, losses / SCALE, losses)


def _lse(values: Tensor, where: Tensor, dim: int) -> Tensor:
    """log-sum-exp along `dim` of the values that `where` picks; a large negative number where it picks none."""
    # -inf would give the gradient 0 * inf where none is picked
    return torch.logsumexp(values.masked_fill(~where, -1e4), dim=dim)


def _average(losses: Tensor, weights: Tensor, notes: float) -> Tensor:
    return (losses.sum(dim=1) * weights.float()).sum() / (notes or len(losses))
