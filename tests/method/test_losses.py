"""Losses: values worked out by hand, the printed formulas in float64, and half precision."""

from functools import partial
from math import exp, log

import pytest
import torch
from formulas import printed

from shl_utils.method import losses
from shl_utils.method.losses import LOSSES

RARITY = torch.tensor([1.0, 0.5, 0.1, 0.1, 0.02, 0.004, 0.2])
CODE = torch.tensor([2.0, 1.5, 1.0, 1.0, 0.5, 0.2, 0.8])
BIAS = torch.tensor([-0.3, -0.25, -0.2, -0.2, -0.1, 0.05, -0.2])
SETTINGS = {
    "bce": {},
    "sh": {},
    "focal": {"gamma": 2.0},
    "sh_focal": {"gamma": 1.0},
    "weighted_bce": {"positive": 10 * CODE},
    "class_balanced": {"code": CODE, "gamma": 2.0},
    "r_bce": {"rarity": RARITY, "offset": 0.3, "gamma": 2.0},
    "distribution_balanced": {"rarity": RARITY, "offset": 0.3, "bias": BIAS, "gamma": 2.0},
    "ntr": {"bias": BIAS, "gamma": 0.0},
    "cb_ntr": {"code": CODE, "bias": BIAS, "gamma": 2.0},
    "asymmetric": {"gamma_negative": 4.0, "negative_margin": 0.05},
    "two_way": {},
    "zlpr": {},
}


def ours(name):
    return partial(LOSSES[name], **SETTINGS[name])


def test_at_zero_logits():
    zeros, ones = torch.zeros(2, 3), torch.ones(2)
    targets = torch.tensor([[1.0, 0, 1], [0, 0, 0]])
    assert losses.bce(zeros, targets, ones).item() == pytest.approx(3 * log(2))
    assert losses.focal(zeros, targets, ones, gamma=2.0).item() == pytest.approx(3 * log(2) / 4)
    assert losses.sh_focal(zeros, targets, ones, gamma=1.0).item() == pytest.approx(3 * log(2) / 2)
    # two positives of weight 4 among six pairs, in two notes
    assert losses.weighted_bce(zeros, targets, ones, positive=torch.full((3,), 4.0)).item() == pytest.approx(6 * log(2))
    # the first note has one code absent and two present, the second three absent
    assert losses.zlpr(zeros, targets, ones).item() == pytest.approx((log(2) + log(3) + log(4)) / 2)


def test_two_way_on_one_note():
    # one positive 4 above the one negative: softplus(4 * (-0 / 4) - 4); either code alone has one note, so no pair
    value = losses.two_way(torch.tensor([[0.0, -4.0]]), torch.tensor([[1.0, 0.0]]), torch.ones(1))
    assert value.item() == pytest.approx(log(1 + exp(-4)))


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "two_way"])
def test_a_share_of_a_batch_adds_up_to_the_whole(name):
    generator = torch.Generator().manual_seed(0)
    logits, weights = torch.randn(4, 7, generator=generator), torch.rand(4, generator=generator)
    targets = (torch.rand(4, 7, generator=generator) < 0.3).float()
    whole = ours(name)(logits, targets, weights)
    parts = [ours(name)(logits[i::2], targets[i::2], weights[i::2], notes=4) for i in (0, 1)]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
def test_value_and_gradient_equal_the_printed_formula(name):
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(6, 7, generator=generator)).double().requires_grad_()
    targets = (torch.rand(6, 7, generator=generator) < 0.3).double()
    targets[0] = 0  # a negative of the segment
    weights = torch.rand(6, generator=generator)
    expected = printed(name, SETTINGS[name], logits, targets, weights.double())
    (slope,) = torch.autograd.grad(expected, logits)
    loss = ours(name)(logits, targets, weights)
    (our_slope,) = torch.autograd.grad(loss, logits)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(our_slope, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", SETTINGS)
def test_half_precision_stays_finite(name):
    row = [60.0, -60.0, 0.0, 60.0, -60.0, 0.0, 60.0]
    logits = torch.tensor([row, row, row], dtype=torch.float16, requires_grad=True)
    targets = torch.stack([torch.ones(7), torch.zeros(7), torch.tensor([1.0, 1, 1, 0, 0, 0, 0])])
    loss = ours(name)(logits, targets, torch.ones(3))
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[2, 1] < 0, "a positive that is missed by far still pulls"
    if name != "asymmetric":
        assert logits.grad[2, 3] > 0, "a false alarm still pushes"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_batch_of_negatives_alone_is_finite(name):
    logits = torch.zeros(3, 7, requires_grad=True)
    loss = ours(name)(logits, torch.zeros(3, 7), torch.ones(3))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_focal_keeps_its_digits_where_the_model_is_right():
    # (1 - q)^2 * -log q at q near 1: 1 - exp(log q) would have cancelled to 0
    value = losses.focal(torch.tensor([[20.0]]), torch.ones(1, 1), torch.ones(1), gamma=2.0)
    assert value.item() == pytest.approx(exp(-60), rel=1e-4)


def test_gamma_between_0_and_1_is_refused():
    with pytest.raises(ValueError, match="gamma must be 0 or at least 1"):
        losses.focal(torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1), gamma=0.5)


def test_every_loss_is_tested():
    assert set(LOSSES) == set(SETTINGS)
