"""Losses: values worked out by hand, formulas written anew in float64, and half precision."""

from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shl_utils import losses

ALL = [("bce", 2.0), ("focal", 2.0), ("sh", 2.0), ("sh_focal", 2.0), ("sh_focal", 1.0), ("focal", 0.0)]


def plain(name, logits, targets, weights, gamma):
    """The formulas as printed, with sigmoid and log, in float64."""
    p = torch.sigmoid(logits.double())
    q = torch.where(targets == 1, p, 1 - p)
    loss = -torch.log(q) * ((1 - q) ** gamma if "focal" in name else 1)
    return (loss.sum(dim=1) * weights.double()).mean()


def test_at_zero_logits():
    zeros, ones = torch.zeros(2, 3), torch.ones(2)
    targets = torch.tensor([[1.0, 0, 1], [0, 0, 0]])
    assert losses.bce(zeros, targets, ones).item() == pytest.approx(3 * log(2))
    assert losses.focal(zeros, targets, ones, gamma=2.0).item() == pytest.approx(3 * log(2) / 4)
    assert losses.sh_focal(zeros, targets, ones, gamma=1.0).item() == pytest.approx(3 * log(2) / 2)


def test_weights_act_on_whole_notes():
    zeros, targets = torch.zeros(2, 3), torch.zeros(2, 3)
    assert losses.sh(zeros, targets, torch.tensor([1.0, 0.5])).item() == pytest.approx(3 * log(2) * 0.75)


def test_a_share_of_a_batch_adds_up_to_the_whole():
    logits, targets, weights = torch.randn(4, 5), torch.ones(4, 5), torch.rand(4)
    whole = losses.bce(logits, targets, weights)
    parts = [losses.bce(logits[i::2], targets[i::2], weights[i::2], notes=4) for i in (0, 1)]
    assert sum(parts).item() == pytest.approx(whole.item(), rel=1e-6)


@pytest.mark.parametrize(("name", "gamma"), ALL)
def test_value_and_gradient_equal_the_printed_formula(name, gamma):
    generator = torch.Generator().manual_seed(0)
    logits = (4 * torch.randn(6, 7, generator=generator)).double().requires_grad_()
    targets = (torch.rand(6, 7, generator=generator) < 0.3).double()
    weights = torch.rand(6, generator=generator)
    expected = plain(name, logits, targets, weights, gamma)
    (slope,) = torch.autograd.grad(expected, logits)
    ours = losses.choose(name, gamma=gamma)(logits, targets, weights)
    (our_slope,) = torch.autograd.grad(ours, logits)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(our_slope, slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "gamma"), ALL)
def test_half_precision_stays_finite(name, gamma):
    logits = torch.tensor([[60.0, -60.0, 0.0], [60.0, -60.0, 0.0]], dtype=torch.float16, requires_grad=True)
    targets = torch.tensor([[1.0, 1, 1], [0, 0, 0]])
    loss = losses.choose(name, gamma=gamma)(logits, targets, torch.ones(2))
    loss.backward()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 1] < -0.4, "a positive that is missed by far still pulls"
    assert logits.grad[1, 0] > 0.4, "a false alarm still pushes"


@given(st.floats(-30, 30), st.booleans(), st.sampled_from([1.0, 2.0, 5.0]))
def test_focal_never_exceeds_bce(logit, positive, gamma):
    args = torch.tensor([[logit]]), torch.tensor([[float(positive)]]), torch.ones(1)
    assert 0 <= losses.focal(*args, gamma=gamma) <= losses.bce(*args) + 1e-6


def test_focal_keeps_its_digits_where_the_model_is_right():
    # (1 - q)^2 * -log q at q near 1: 1 - exp(log q) would have cancelled to 0
    value = losses.focal(torch.tensor([[20.0]]), torch.ones(1, 1), torch.ones(1), gamma=2.0)
    assert value.item() == pytest.approx(exp(-60), rel=1e-4)


def test_gamma_between_0_and_1_is_refused():
    with pytest.raises(ValueError, match="gamma must be 0 or at least 1"):
        losses.focal(torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1), gamma=0.5)


def test_an_unknown_loss_is_named():
    with pytest.raises(ValueError, match="'dice' is unknown"):
        losses.choose("dice", gamma=2.0)
