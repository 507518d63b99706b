"""The permutation test and Holm's correction."""

import numpy as np
import pytest

from shl_utils.evaluation import label_metrics, resampling


def noisy(truth, rate, seed):
    return np.where(np.random.default_rng(seed).random(truth.shape) < rate, 1 - truth, truth)


@pytest.fixture
def truth():
    truth = (np.random.default_rng(0).random((120, 10)) < 0.2).astype(int)
    truth[0] = 1
    return truth


def test_a_better_model_is_found_and_an_equal_one_is_not(truth):
    good, bad, as_bad = noisy(truth, 0.02, 1), noisy(truth, 0.1, 2), noisy(truth, 0.1, 3)
    assert resampling.permutation_test(truth, [bad], [good], times=500, seed=0)["micro_f1"] < 0.01
    assert resampling.permutation_test(truth, [bad], [as_bad], times=500, seed=0)["micro_f1"] > 0.05
    assert resampling.permutation_test(truth, [bad], [bad], times=500, seed=0)["macro_f1_present"] == 1


def test_a_swapped_note_counts_as_scikit_learn_counts_it(truth):
    a, b = noisy(truth, 0.1, 1), noisy(truth, 0.1, 2)
    swaps = (np.random.default_rng(3).random((4, len(truth))) < 0.5).astype(np.float32)
    ours = resampling._swapped(truth, a, b, swaps)
    for i, swap in enumerate(swaps):
        expected = label_metrics.scores(truth, np.where(swap[:, None] > 0, b, a))
        for metric in ours:
            assert ours[metric][i] == pytest.approx(expected[metric], rel=1e-5)


def test_p_is_uniform_where_nothing_differs(truth):
    values = [
        resampling.permutation_test(
            truth, [noisy(truth, 0.1, 2 * i)], [noisy(truth, 0.1, 2 * i + 1)], times=99, seed=i
        )["micro_f1"]
        for i in range(100)
    ]
    assert 0.3 < np.mean(values) < 0.7
    assert np.mean(np.array(values) <= 0.1) < 0.22


def test_seeds_are_averaged_and_one_model_may_stand_against_several(truth):
    seeds = [noisy(truth, 0.1, i) for i in range(3)]
    result = resampling.permutation_test(truth, seeds, [noisy(truth, 0.02, 9)], times=200, seed=0)
    assert result["micro_f1"] < 0.02
    with pytest.raises(ValueError, match="2 and 3 seeds"):
        resampling.permutation_test(truth, seeds[:2], seeds, times=10, seed=0)


def test_notes_of_one_patient_weigh_and_swap_together(truth):
    patients = np.repeat(np.arange(40), 3)
    draws = resampling.resamples(120, 10, times=50, seed=0, patients=patients)
    assert (draws.notes.reshape(50, 40, 3) == draws.notes[:, ::3, None]).all()
    alone = resampling.resamples(120, 10, times=50, seed=0)
    assert (alone.notes == resampling.resamples(120, 10, times=50, seed=0, patients=np.arange(120)).notes).all()
    # three copies of each note are worth no more than one
    one, copies = noisy(truth[:40], 0.1, 1), np.repeat(truth[:40], 3, axis=0)
    thrice = resampling.permutation_test(
        copies, [copies], [np.repeat(one, 3, axis=0)], times=300, seed=0, patients=patients
    )
    assert thrice == resampling.permutation_test(truth[:40], [truth[:40]], [one], times=300, seed=0)


def test_holm_by_hand():
    assert resampling.holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert resampling.holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert resampling.holm({}) == {}
