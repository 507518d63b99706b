"""Label metrics: hand-worked tables, scikit-learn as the reference of the bootstrap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from shl_utils.evaluation import label_metrics, resampling

TRUTH = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [1, 0, 0]])
PREDICTED = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 0], [0, 0, 0]])


def test_scores_by_hand():
    s = label_metrics.scores(TRUTH, PREDICTED)
    assert set(s) == set(label_metrics.DEFINITIONS)
    # 2 true positives, 2 false alarms, 2 misses; code 0: 2/(2+.5*(1+1)), code 1: 0, code 2 absent with one false alarm
    assert s["micro_f1"] == pytest.approx(0.5)
    assert s["macro_f1_present"] == pytest.approx((2 / 3 + 0) / 2)
    assert s["macro_f1_all"] == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert (s["codes_present"], s["codes_all"], s["positives"], s["predicted_on_absent_codes"]) == (2, 3, 4, 1)
    assert s["false_positives"] == 2


@given(st.integers(0, 1000))
def test_scores_equal_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = ((rng.random((9, 4)) < 0.3).astype(int) for _ in range(2))
    truth[0, 0], truth[:, 3], predicted[0, 3] = 1, 0, 1  # code 3 is absent, with a false alarm
    s = label_metrics.scores(truth, predicted)
    options = {"zero_division": 0}
    assert s["micro_f1"] == pytest.approx(f1_score(truth, predicted, average="micro", **options))
    assert s["macro_f1_all"] == pytest.approx(f1_score(truth, predicted, average="macro", **options))
    assert s["weighted_f1"] == pytest.approx(f1_score(truth, predicted, average="weighted", **options))
    assert s["exact_match"] == pytest.approx(accuracy_score(truth, predicted))
    assert s["micro_precision"] == pytest.approx(precision_score(truth, predicted, average="micro", **options))
    assert s["micro_recall"] == pytest.approx(recall_score(truth, predicted, average="micro", **options))
    options |= {"average": "macro", "labels": np.flatnonzero(truth.any(axis=0))}
    assert s["macro_f1_present"] == pytest.approx(f1_score(truth, predicted, **options))
    assert s["macro_precision"] == pytest.approx(precision_score(truth, predicted, **options))
    assert s["macro_recall"] == pytest.approx(recall_score(truth, predicted, **options))


def test_a_single_code_is_not_taken_for_two_classes():
    truth, predicted = np.array([[1], [0], [0], [0]]), np.array([[0], [0], [0], [0]])
    s = label_metrics.scores(truth, predicted)
    assert (s["micro_f1"], s["macro_f1_present"]) == (0, 0)  # the accuracy would be 0.75


def test_macro_is_the_mean_of_f1_and_not_the_f1_of_means():
    s = label_metrics.scores(np.array([[1, 0, 1], [0, 1, 1]]), np.array([[1, 1, 1], [0, 0, 0]]))
    # F1 of the codes: 1, 0, 2/3. Mean precision and mean recall are 2/3 and 1/2, their F1 0.571
    assert s["macro_f1_present"] == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert s["macro_f1_harmonic"] == pytest.approx(2 * 2 / 3 * 1 / 2 / (2 / 3 + 1 / 2))


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_bootstrap_equals_scikit_learn_under_every_draw(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = ((rng.random((20, 6)) < 0.35).astype(int) for _ in range(2))
    truth[0] = 1
    draws = resampling.resamples(20, 6, times=3, seed=seed)
    ours = resampling.bootstrap(truth, predicted, draws)
    for i, (weights, codes) in enumerate(zip(draws.notes, draws.codes)):
        options = {"zero_division": 0, "sample_weight": weights}
        per_code = f1_score(truth, predicted, average=None, **options)
        assert ours["macro_f1_present"][i] == pytest.approx(np.average(per_code, weights=codes), rel=1e-4)
        assert ours["micro_f1"][i] == pytest.approx(f1_score(truth, predicted, average="micro", **options), rel=1e-4)


@given(st.integers(1, 3000), st.integers(1, 100_000))
def test_blocks_have_every_draw_once_and_fit_into_memory(times, n_codes):
    draws = np.arange(times)
    parts = [draws[block] for block in resampling.blocks(times, n_codes)]
    assert np.concatenate(parts).tolist() == draws.tolist()
    assert max(map(len, parts)) * n_codes <= 10_000_000


def test_draws_of_many_codes_are_the_same_taken_one_by_one():
    rng = np.random.default_rng(0)
    truth, predicted = ((rng.random((6, 20_000)) < 0.1).astype(np.int8) for _ in range(2))
    draws = resampling.resamples(6, 20_000, times=501, seed=0)  # the last one is in a block of its own
    together = resampling.bootstrap(truth, predicted, draws)
    for i in (0, 499, 500):
        alone = resampling.bootstrap(truth, predicted, resampling.Draws(draws.notes[[i]], draws.codes[[i]]))
        for metric, values in together.items():
            assert len(values) == 501
            assert values[i] == pytest.approx(alone[metric][0], rel=1e-5)


def test_an_interval_holds_its_estimate_also_with_rare_codes():
    truth = np.zeros((200, 30), int)
    truth[np.arange(60), np.repeat(np.arange(30), 2)] = 1  # two notes per code
    predicted = truth.copy()
    predicted[::3] = 0
    values = resampling.bootstrap(truth, predicted, resampling.resamples(200, 30, times=1000, seed=0))
    scores = label_metrics.scores(truth, predicted)
    for metric, draws in values.items():
        low, high = resampling.interval(draws)
        assert low < scores[metric] < high
        assert np.mean(draws) == pytest.approx(scores[metric], abs=0.05)


def test_the_interval_of_macro_f1_knows_that_rare_codes_are_found_by_luck():
    # one note per code, each found with chance 1/2: the mean over 60 codes has deviation sqrt(1/4 / 60)
    truth = np.eye(60, dtype=int)
    predicted = np.diag((np.arange(60) % 2).astype(int))
    values = resampling.bootstrap(truth, predicted, resampling.resamples(60, 60, times=2000, seed=0))
    assert values["macro_f1_present"].std() == pytest.approx((0.25 / 60) ** 0.5, rel=0.1)


def test_frequency_bins():
    bins = label_metrics.frequency_bin(np.array([1, 4, 5, 9, 10, 49, 50, 99, 100, 5000]))
    assert bins.tolist() == ["1-4"] * 2 + ["5-9"] * 2 + ["10-49"] * 2 + ["50-99"] * 2 + ["100+"] * 2
    assert "0" not in bins.cat.categories
    bins = label_metrics.frequency_bin(np.array([0, 1, 5, 0]))  # a published split may leave a code no training note
    assert bins.tolist() == ["0", "1-4", "5-9", "0"]
    assert bins.min() == "0"


def test_the_accuracy_illusion():
    truth = np.zeros((100, 50), int)
    truth[:, 0] = 1
    table = label_metrics.trivial_baselines(truth)
    assert table.loc["no code, ever", "accuracy"] == pytest.approx(0.98)
    assert table.loc["no code, ever", "micro-F1"] == 0
    assert table.loc["the most frequent, always", "micro-F1"] == 1
