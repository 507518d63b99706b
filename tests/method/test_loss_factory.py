"""What losses take from the training labels, against values worked out by hand."""

import numpy as np
import pytest
import torch
from formulas import printed
from scipy import sparse

from shl_utils.method import loss_factory
from shl_utils.method.losses import LOSSES
from shl_utils.parameters import check

# 4 notes, 3 codes with 3, 2 and 1 notes
LABELS = sparse.csr_array(np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0]], dtype=np.float32))
ASKED = {"gamma": 3.0, "max_positive_weight": 2.0, "gamma_negative": 2.0, "negative_margin": 0.2}  # no defaults

# by hand, from 3, 2 and 1 notes of 4
POSITIVE = torch.tensor([1 / 3, 1, 2])  # the last would be 3: clipped
EFFECTIVE = torch.tensor([9 / 19, 3 / 5, 1])  # (1 - beta) / (1 - beta^n), beta = 1 - 1/3, before the mean becomes 1
CODE = EFFECTIVE / EFFECTIVE.mean()
RARITY = torch.tensor([1 / 3, 1 / 2, 1])
OFFSET = (0.4 + 6 / 11) / 2  # shares: note 0: .4, .6; note 1: 2/11, 3/11, 6/11; note 2: 1
BIAS = 0.05 * torch.tensor([np.log(3), 0, -np.log(3)])
FITTED = {
    "bce": {},
    "sh": {},
    "zlpr": {},
    "two_way": {},
    "weighted_bce": {"positive": POSITIVE},
    "asymmetric": {"gamma_negative": 2.0, "negative_margin": 0.2},
    "focal": {"gamma": 3.0},
    "sh_focal": {"gamma": 3.0},
    "class_balanced": {"code": CODE, "gamma": 3.0},
    "ntr": {"gamma": 3.0, "bias": BIAS},
    "cb_ntr": {"code": CODE, "gamma": 3.0, "bias": BIAS},
    "r_bce": {"rarity": RARITY, "offset": OFFSET, "gamma": 3.0},
    "distribution_balanced": {"rarity": RARITY, "offset": OFFSET, "gamma": 3.0, "bias": BIAS},
}


def counted(counts, n):
    """(n, codes): labels of which each code has that many."""
    return sparse.csr_array((np.arange(n)[:, None] < counts).astype(np.float32))


def test_positive_weights_are_clipped():
    labels = counted([1, 50, 100], 100)
    assert loss_factory.positive_weights(labels, max_positive_weight=10).tolist() == [10, 1, 0]


def test_effective_numbers():
    # beta 0.75: effective numbers 1, 1.75, 2.734375; their inverses scaled to mean 1
    inverse = np.array([1, 1 / 1.75, 1 / 2.734375])
    weights = loss_factory.effective_number_weights(counted([1, 2, 4], 4))
    assert weights == pytest.approx(inverse / inverse.mean())
    derived = loss_factory.effective_number_weights(counted([1, 10, 1000], 1000))
    assert derived[0] / derived[1] == pytest.approx(10, rel=0.01), "rare codes: nearly the inverse frequency"
    assert derived[1] / derived[2] == pytest.approx(100 * (1 - np.exp(-1)), rel=0.01), "the head saturates"


def test_prior_bias_is_finite_for_a_code_of_every_note():
    bias = loss_factory.prior_bias(counted([2, 4], 4))
    assert bias[0] == 0
    assert bias[1] == pytest.approx(0.05 * np.log(7))


@pytest.mark.parametrize("name", LOSSES)
def test_a_fitted_loss_is_the_printed_formula_at_what_the_counts_give(name):
    generator = torch.Generator().manual_seed(0)
    logits, weights = 2 * torch.randn(4, 3, generator=generator), torch.tensor([1.0, 0.5, 2.0, 1.5])
    targets = torch.tensor(LABELS.toarray())
    expected = printed(name, FITTED[name], logits.double(), targets.double(), weights.double())
    loss = loss_factory.fitted(name, LABELS, check(ASKED))
    assert loss(logits, targets, weights).item() == pytest.approx(expected.item(), rel=1e-5)


def test_an_unknown_loss_is_named():
    with pytest.raises(ValueError, match="'dice' is unknown"):
        loss_factory.fitted("dice", LABELS, check({}))
