"""Classification heads: from the token states of a note to one logit per code. Attention in place of a mean is ours."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean over the tokens of each row, in float32: (rows, tokens, width) and mask (rows, tokens) to (rows, width)."""
    mask = mask.unsqueeze(-1).to(torch.float32)
    return (hidden.float() * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)


class Head(nn.Linear):
    """Linear classification head on the mean over the note's tokens."""

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (notes, tokens, width) and mask (notes, tokens) to logits (notes, codes)."""
        return super().forward(mean_pool(hidden, mask))


class AttentiveHead(Head):
    """Per-code attention over the tokens of a note: the few words about a rare code are not averaged away.

    logit_c = sum_t a_ct (w_c . h_t) + b_c with a_c = softmax_t(q_c . h_t / sqrt(width)). `forward` as in `Head`.
    Source: Mullenbach et al. 2018 (CAML), per-label attention. Dividing by sqrt(width) is ours. So are queries q that
    start at 0, where the head equals `Head` exactly. Not part of the method of Ray et al. 2023.
    """

    def __init__(self, width: int, n_codes: int) -> None:
        super().__init__(width, n_codes)
        self.query = nn.Parameter(torch.zeros(n_codes, width))

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        scores = hidden @ (self.query.T * hidden.shape[-1] ** -0.5)  # scaled here: fewer queries than scores
        attention = scores.masked_fill(~mask.bool().unsqueeze(-1), -torch.inf).softmax(dim=1)
        return (attention * (hidden @ self.weight.T)).sum(dim=1) + self.bias
