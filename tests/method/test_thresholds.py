"""Thresholds: the best one by search, and what becomes of codes with too few positives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import precision_recall_curve

from shl_utils.evaluation import label_metrics
from shl_utils.method import thresholds

# 10 notes. Code 0 is well ranked on a high scale, code 1 on a low one, code 2 has one positive, code 3 no model
TRUTH = np.zeros((10, 4), int)
TRUTH[:4, 0] = TRUTH[:4, 1] = TRUTH[0, 2] = 1
PROBABILITIES = np.zeros((10, 4), np.float32)
PROBABILITIES[:, 0] = [0.9] * 4 + [0.6] * 6
PROBABILITIES[:, 1] = [0.3] * 4 + [0.1] * 6
PROBABILITIES[:, 2] = [0.2] * 10
SEGMENT = np.array([1, 0, 0, -1])


def choose(rule, floor=2):
    return thresholds.choose(rule, thresholds.Validation(TRUTH, PROBABILITIES, SEGMENT, floor))


def f1(limits):
    return label_metrics.scores(TRUTH, (limits <= PROBABILITIES).astype(int))["micro_f1"]


def test_rules_by_hand():
    assert choose("half").tolist() == [0.5] * 4
    assert len(set(choose("global"))) == 1
    own = choose("per_code")
    assert own[0] == pytest.approx(0.75)
    assert own[1] == pytest.approx(0.2)
    assert own[2] == choose("global")[0], "one positive is below the floor"
    segment = choose("segment")
    assert segment[0] == pytest.approx(0.75)
    assert segment[1] == segment[2] == pytest.approx(0.25), "the segment's codes share one"
    assert f1(choose("global")) < f1(segment)


def test_shrunk_lies_between_by_support():
    common, own, shrunk = choose("global")[0], choose("per_code", floor=4), choose("shrunk", floor=4)
    # 4 positives against a floor of 4: half way on the logit scale
    assert shrunk[0] == pytest.approx(expit((logit(own[0]) + logit(common)) / 2), rel=1e-4)
    assert shrunk[2] == pytest.approx(common, rel=1e-4)


@pytest.mark.parametrize("rule", thresholds.RULES)
def test_a_code_without_a_model_is_never_predicted(rule):
    limits = choose(rule, floor=1)
    assert (limits > 0).all()
    assert not (limits <= PROBABILITIES)[:, 3].any()


@pytest.mark.parametrize("rule", ["per_code", "shrunk", "segment"])
def test_a_code_without_a_positive_is_not_predicted_everywhere(rule):
    truth = TRUTH.copy()
    truth[0, 2] = 0
    limits = thresholds.choose(rule, thresholds.Validation(truth, PROBABILITIES, np.array([1, 0, 2, -1]), 2))
    assert limits[2] == pytest.approx(choose("global")[0], rel=1e-4)


def test_an_unknown_rule_is_named():
    with pytest.raises(ValueError, match="'best' is unknown"):
        choose("best")


@given(st.integers(0, 1000), st.sampled_from([3, 1000]))
def test_best_threshold_is_that_of_the_whole_curve(seed, levels):
    rng = np.random.default_rng(seed)
    truth = (rng.random((15, 4)) < 0.3).astype(np.int8)
    truth[0, 0] = 1
    scores = (np.ceil(rng.random(truth.shape) * levels) / levels).astype(np.float32)
    precision, recall, lines = precision_recall_curve(truth.ravel(), scores.ravel())
    f1 = (2 * precision * recall / np.maximum(precision + recall, 1e-12))[:-1]
    lower = np.append(0, lines)
    equals = [(lines[top] + lower[top]) / 2 for top in np.flatnonzero(f1 > f1.max() - 1e-9)]
    assert np.isclose(thresholds.best(truth, scores), equals).any()


def test_a_threshold_lies_between_neighbours():
    scores = np.array([[np.nextafter(np.float32(0.5), np.float32(1)), 0.5]], dtype=np.float32)
    assert (scores >= np.array([thresholds.best(np.array([[1, 0]]), scores)])).tolist() == [[True, False]]


def test_a_threshold_needs_positives():
    with pytest.raises(ValueError, match="validation has no positive label"):
        thresholds.best(np.zeros((3, 2), int), np.ones((3, 2)))


def test_codes_without_a_model_are_never_predicted():
    truth = np.array([[1, 1], [1, 1]])  # even where predicting everything would be best
    probabilities = np.array([[0.9, 0.0], [0.8, 0.0]], dtype=np.float32)
    assert (probabilities >= thresholds.best(truth, probabilities))[:, 1].sum() == 0
