"""What losses take from the training labels, against values worked out by hand."""

import numpy as np
import pytest
import torch
from scipy import sparse

from shl_utils import losses, parameters, rebalancing
from shl_utils.parameters import check

# 4 notes, 3 codes with 3, 2 and 1 notes
LABELS = sparse.csr_array(np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0]], dtype=np.float32))
COUNTS = np.array([3.0, 2.0, 1.0])


def test_positive_weights_are_clipped():
    assert rebalancing.positive_weights(np.array([1.0, 50.0, 100.0]), 100, largest=10).tolist() == [10, 1, 0]


def test_effective_numbers():
    # beta 0.5: effective numbers 1, 1.5, 1.75; their inverses scaled to mean 1
    inverse = np.array([1, 1 / 1.5, 1 / 1.75])
    weights = rebalancing.effective_number_weights(np.array([1.0, 2.0, 3.0]), beta=0.5)
    assert weights == pytest.approx(inverse / inverse.mean())
    derived = rebalancing.effective_number_weights(np.array([1.0, 10.0, 1000.0]))
    assert derived[0] / derived[1] == pytest.approx(10, rel=0.01), "rare codes: nearly the inverse frequency"
    assert derived[1] / derived[2] == pytest.approx(100 * (1 - np.exp(-1)), rel=0.01), "the head saturates"


def test_map_offset_is_the_median_share():
    # rarity 1/3, 1/2, 1; shares: note 0: .4, .6; note 1: 2/11, 3/11, 6/11; note 2: 1
    assert rebalancing.map_offset(LABELS) == pytest.approx(np.median([0.4, 0.6, 2 / 11, 3 / 11, 6 / 11, 1]))


def test_prior_bias_is_finite_for_a_code_of_every_note():
    bias = rebalancing.prior_bias(np.array([2.0, 4.0]), 4)
    assert bias[0] == 0
    assert bias[1] == pytest.approx(0.05 * np.log(7))


@pytest.mark.parametrize("name", losses.NAMES)
def test_every_loss_is_fitted_to_the_labels(name):
    loss = rebalancing.fitted(name, LABELS, check({}))
    logits = torch.zeros(4, 3, requires_grad=True)
    value = loss(logits, torch.tensor(LABELS.toarray()), torch.ones(4))
    value.backward()
    assert value > 0
    assert logits.grad.abs().sum() > 0


def test_parameters_name_the_same_losses():
    assert set(losses.NAMES) == set(parameters.Parameters.model_fields["loss"].annotation.__args__)


def test_an_unknown_loss_is_named():
    with pytest.raises(ValueError, match="'dice' is unknown"):
        rebalancing.fitted("dice", LABELS, check({}))
