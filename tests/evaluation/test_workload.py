"""Suggestions that a coder reads, by hand."""

import numpy as np
import pytest

from shl_utils.evaluation import workload

TRUTH = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [1, 0]])
SCORES = np.array([[0.9, 0.1], [0.8, 0.7], [0.6, 0.5], [0.2, 0.2], [0.3, 0.1]])


def test_thresholds_are_the_validations_and_the_rest_the_tests():
    # from the top: 1 1 1 0 1 1 and four wrong ones; five codes in all
    found = workload.table((TRUTH, SCORES), (TRUTH, SCORES))
    assert found.loc["find 50% of the codes", "threshold"] == 0.7
    assert found.loc["find 80% of the codes"].tolist() == pytest.approx([0.5, 0.8, 0.8, 1.0, 0.4])
    assert found.loc["find 95% of the codes"].tolist() == pytest.approx([0.3, 1.0, 5 / 6, 1.2, 0.2])
    assert found.loc["be right in 90% of the suggestions"].tolist() == pytest.approx([0.7, 0.6, 1.0, 0.6, 0.6])
    elsewhere = workload.table((TRUTH, SCORES), (TRUTH[:1], SCORES[:1]))
    assert elsewhere.loc["find 80% of the codes"].tolist() == pytest.approx([0.5, 1.0, 1.0, 1.0, 0.0])


def test_equal_probabilities_go_together_and_a_target_may_not_be_met():
    found = workload.table((TRUTH, np.full(TRUTH.shape, 0.5)), (TRUTH, SCORES))
    assert found.loc["find 50% of the codes", "threshold"] == 0.5
    assert found.loc["be right in 90% of the suggestions"].isna().all()
