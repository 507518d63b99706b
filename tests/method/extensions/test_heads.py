"""What of a note a code looks at: values worked out by hand, and what padding must not do."""

import math

import pytest
import torch

from shl_utils.method.extensions.heads import AttentiveHead, Head
from shl_utils.training.segment_model import pooling_of

# one note of two tokens and a pad; width 4, so that the scores are halved
HIDDEN = torch.tensor([[[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [9.0, 9.0, 9.0, 9.0]]])
MASK = torch.tensor([[1, 1, 0]])


def head_of(kind, query=None):
    torch.manual_seed(0)
    head = kind(4, 1)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[2.0, 4.0, 0.0, 0.0]]))
        head.bias.fill_(0.5)
        if query is not None:
            head.query.copy_(torch.tensor([query]))
    return head


def test_the_mean_over_tokens_by_hand():
    assert head_of(Head)(HIDDEN, MASK).item() == pytest.approx((2 + 4) / 2 + 0.5)


def test_attention_by_hand():
    # scores 2 ln 3 / 2 and 0 give weights 3/4 and 1/4 to tokens that are worth 2 and 4
    head = head_of(AttentiveHead, [2 * math.log(3), 0.0, 0.0, 0.0])
    assert head(HIDDEN, MASK).item() == pytest.approx(0.75 * 2 + 0.25 * 4 + 0.5)


def test_attention_starts_as_the_mean():
    hidden, mask = torch.randn(3, 7, 4), torch.arange(7) < torch.tensor([[7], [3], [1]])
    fresh = AttentiveHead(4, 5)
    plain = Head(4, 5)
    plain.load_state_dict({k: v for k, v in fresh.state_dict().items() if k != "query"})
    torch.testing.assert_close(fresh(hidden, mask), plain(hidden, mask))


def test_padding_changes_neither_logits_nor_gradients():
    found = []
    for pads in (0, 5):
        head = head_of(AttentiveHead, [0.3, -0.2, 0.1, 0.0])
        hidden = torch.cat([HIDDEN[:, :2], torch.full((1, pads, 4), 1e4)], dim=1)
        logits = head(hidden, torch.tensor([[1, 1] + [0] * pads]))
        logits.sum().backward()
        found.append((logits.item(), head.query.grad.tolist(), head.weight.grad.tolist()))
    assert found[0] == found[1]


def test_a_query_learns_which_token_speaks():
    """Codes told by one token among many noisy ones: the mean drowns it, attention finds it."""
    torch.manual_seed(0)
    truth = (torch.arange(200) % 2).float()
    hidden = torch.randn(200, 30, 8)
    hidden[:, 11, 0], hidden[:, 11, 1] = 6.0, truth * 4 - 2
    mask = torch.ones(200, 30)
    losses = {}
    for kind in (Head, AttentiveHead):
        head = kind(8, 1)
        optimizer = torch.optim.AdamW(head.parameters(), lr=0.05)
        for _ in range(150):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(head(hidden, mask)[:, 0], truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[kind] = loss.item()
    assert losses[AttentiveHead] < 0.5 * losses[Head]


def test_a_saved_head_says_what_it_is():
    assert pooling_of(Head(4, 2).state_dict()) == "mean"
    assert pooling_of(AttentiveHead(4, 2).state_dict()) == "attention"
