"""Ranking and calibration, on values worked out by hand."""

import numpy as np
import pytest

from shl_utils import ranking

TRUTH = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
PROBABILITIES = np.array([[0.9, 0.8, 0.7, 0.1], [0.2, 0.6, 0.5, 0.1], [0.3, 0.1, 0.1, 0.1]])


def test_by_hand():
    s = ranking.scores(TRUTH, PROBABILITIES)
    # codes 0, 1, 2 have a positive; code 1 ranks its one second of three (0.8 above 0.6)
    assert s["macro_auc"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert s["map"] == pytest.approx((1 + 0.5 + 1) / 3)
    # first note: 1 of its first 2 right; second: its first is right; the third has no code
    assert s["r_precision"] == pytest.approx((0.5 + 1) / 2)
    assert s["precision_at_5"] == pytest.approx((2 / 5 + 1 / 5 + 0) / 3)
    assert s["expected_over_found"] == pytest.approx(PROBABILITIES.sum() / 3)
    assert s["brier"] == pytest.approx(((PROBABILITIES - TRUTH) ** 2).mean())


def test_a_calibrated_model_has_no_calibration_error():
    rng = np.random.default_rng(0)
    probabilities = rng.random((2000, 50))
    truth = (rng.random((2000, 50)) < probabilities).astype(int)
    assert ranking.scores(truth, probabilities)["calibration_error"] < 0.01
    assert ranking.scores(truth, probabilities**3)["calibration_error"] > 0.1


def test_every_figure_has_a_definition():
    assert set(ranking.scores(TRUTH, PROBABILITIES)) == set(ranking.DEFINITIONS)


def test_one_class_only_is_refused():
    with pytest.raises(ValueError, match="one class only"):
        ranking.scores(np.zeros((3, 2), int), np.ones((3, 2)))
