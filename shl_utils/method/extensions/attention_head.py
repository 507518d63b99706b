"""Attention head: from the token states of a note to one logit per code. Each code weighs the tokens in its own way."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shl_utils.method.pooling import Head


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
