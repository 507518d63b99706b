"""Ranking and calibration: values worked out by hand, scikit-learn as the reference of the averages."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from shl_utils.evaluation import score_metrics
from shl_utils.method import score_counts

TRUTH = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
PROBABILITIES = np.array([[0.9, 0.8, 0.7, 0.1], [0.2, 0.6, 0.5, 0.1], [0.3, 0.1, 0.1, 0.1]])


def test_by_hand():
    s = score_metrics.scores(TRUTH, PROBABILITIES)
    assert set(s) == set(score_metrics.DEFINITIONS)
    # codes 0, 1, 2 have a positive; code 1 ranks its one second of three (0.8 above 0.6)
    assert s["macro_auc"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert s["map"] == pytest.approx((1 + 0.5 + 1) / 3)
    # first note: 1 of its first 2 right; second: its first is right; the third has no code
    assert s["r_precision"] == pytest.approx((0.5 + 1) / 2)
    assert s["precision_at_5"] == pytest.approx((2 / 5 + 1 / 5 + 0) / 3)
    assert s["expected_over_found"] == pytest.approx(PROBABILITIES.sum() / 3)
    assert s["brier"] == pytest.approx(((PROBABILITIES - TRUTH) ** 2).mean())


def test_averages_equal_scikit_learn():
    rng = np.random.default_rng(0)
    truth, probabilities = np.vstack([np.eye(6, dtype=int)] * 4), rng.random((24, 6))
    s = score_metrics.scores(truth, probabilities)
    for average, auc, precision in (("micro", "micro_auc", "micro_ap"), ("macro", "macro_auc", "map")):
        assert s[auc] == pytest.approx(roc_auc_score(truth, probabilities, average=average))
        assert s[precision] == pytest.approx(average_precision_score(truth, probabilities, average=average))


def test_precision_among_the_first_codes_by_hand():
    probabilities = np.linspace(0.9, 0.1, 17)[None, :].repeat(2, axis=0)
    truth = np.zeros((2, 17), int)
    truth[0, [0, 4, 5, 7, 8, 14, 15]] = 1  # 2 of the first 5, 4 of the first 8, 6 of the first 15
    truth[1, 16] = 1
    s = score_metrics.scores(truth, probabilities)
    assert [s[f"precision_at_{k}"] for k in (5, 8, 15)] == pytest.approx([2 / 5 / 2, 4 / 8 / 2, 6 / 15 / 2])


def test_calibration_error_by_hand():
    truth = np.array([[0, 1, 1], [0, 0, 1]])
    probabilities = np.array([[0.1, 0.1, 0.9], [0.1, 0.1, 0.92]])
    # four pairs at 0.1 of which a quarter is right, two at 0.91 on average that both are
    expected = (4 * (0.25 - 0.1) + 2 * (1 - 0.91)) / 6
    assert score_metrics.scores(truth, probabilities)["calibration_error"] == pytest.approx(expected)


def test_a_test_without_a_code_is_refused_and_codes_of_all_notes_leave_areas_open():
    with pytest.raises(ValueError, match="there is no positive"):
        score_metrics.scores(np.zeros((3, 2), int), np.ones((3, 2)))
    s = score_metrics.scores(np.ones((3, 2), int), np.full((3, 2), 0.5))
    assert np.isnan(s.pop("macro_auc"))
    assert np.isnan(s.pop("micro_auc"))
    assert np.isfinite(list(s.values())).all()
    s = score_metrics.scores(np.array([[1, 0], [1, 0]]), np.array([[0.9, 0.2], [0.8, 0.3]]))
    assert np.isnan(s.pop("macro_auc"))
    assert np.isfinite(list(s.values())).all()


@given(st.integers(0, 1000), st.sampled_from([1, 3, 1000]), st.sampled_from([7, 1 << 22]))
def test_curves_are_those_of_scikit_learn_whatever_the_ties_and_blocks(seed, levels, block):
    rng = np.random.default_rng(seed)
    truth = (rng.random((15, 4)) < 0.3).astype(np.int8)
    truth[0] = [0, 0, 1, 1]
    scores = (np.ceil(rng.random(truth.shape) * levels) / levels).astype(np.float32)
    with mock.patch.object(score_counts, "BLOCK", block):
        found = score_counts.curve(truth, scores)
        below = score_counts.next_below(scores, found.scores[-1])
    assert found.average_precision == pytest.approx(average_precision_score(truth.ravel(), scores.ravel()))
    assert found.roc_auc == pytest.approx(roc_auc_score(truth.ravel(), scores.ravel()))
    assert below == max([0, *scores[scores < found.scores[-1]]])
    reached = [f1_score(truth.ravel(), scores.ravel() >= score) for score in found.scores]
    assert found.f1 == pytest.approx(reached)


def test_a_curve_needs_a_positive_and_numbers():
    with pytest.raises(ValueError, match="there is no positive"):
        score_counts.curve(np.zeros(3), np.ones(3))
    with pytest.raises(ValueError, match="a probability is not a number"):
        score_counts.curve(np.array([1, 0]), np.array([0.5, np.nan]))
