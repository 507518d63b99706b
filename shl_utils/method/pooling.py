"""Mean pooling and the classification head: from the token states of a note to one vector, and to a logit per code."""

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
