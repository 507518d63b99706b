"""Shares of loss and gradient by origin of the notes, by hand."""

import numpy as np
import pytest
from made_up import invented_plan

from shl_utils.evaluation import loss_balance, resampling


@pytest.mark.parametrize("block", [3, 100])
def test_shares_by_hand(monkeypatch, block):
    """Segment 0 has code 0; of ten notes two have it, six code 1 of segment 1, one both others, one none."""
    monkeypatch.setattr(resampling, "blocks", lambda n, codes: [slice(i, i + block) for i in range(0, n, block)])
    labels = np.zeros((10, 3), dtype=np.float32)
    labels[:2, 0] = 1
    labels[2:9, 1] = 1
    labels[8, 2] = 1
    plan = invented_plan(labels, np.array([0, 1, 2]), np.arange(10), beta="R1")
    table = loss_balance.shares(plan, 0, losses=["bce", "sh"])
    origins = ["positives", "segment 1", "several segments", "no code"]
    assert table.loc["bce"].index.tolist() == origins
    assert table.loc["bce", "notes"].tolist() == pytest.approx([0.2, 0.6, 0.1, 0.1])
    p = 0.2  # the prior under BCE
    own, other = -np.log(p), -np.log(1 - p)
    whole = 2 * own + 8 * other
    assert table.loc["bce", "loss"].tolist() == pytest.approx(
        [2 * own / whole, 6 * other / whole, other / whole, other / whole]
    )
    assert table.loc["bce", "gradient"].tolist() == pytest.approx([0.5, 0.375, 0.0625, 0.0625]), "of 1.6 and 1.6"
    # R1: N_s = 2; a note of segment 1 weighs 2/7, of segments 1 and 2 the mean of 2/7 and 2/1, without code 2/1
    weights = np.array([2 / 7, (2 / 7 + 2) / 2, 2.0])
    mass = np.array([2.0, 6 * weights[0], weights[1], weights[2]])
    p = 2 / mass.sum()
    pull = mass * [1 - p, p, p, p]
    assert table.loc["sh", "gradient"].tolist() == pytest.approx((pull / pull.sum()).tolist())
