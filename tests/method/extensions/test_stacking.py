"""Joint calibration of two models: what is known of the answer, and what must not change."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit

from shl_utils.data.corpus import Corpus
from shl_utils.evaluation.predictions import Predictions
from shl_utils.experiments import measure
from shl_utils.method.extensions import stacking

RNG = np.random.default_rng(0)
SEGMENTS = np.array([0, 0, 1, -1])


def drawn(logits):
    return (RNG.random(logits.shape) < expit(logits)).astype(int)


def test_the_model_that_knows_gets_the_weight():
    knows, noise = RNG.normal(0, 2, (3000, 3)), RNG.normal(0, 2, (3000, 3))
    truth = drawn(knows)
    fitted = stacking.fit(expit(knows), expit(noise), truth, SEGMENTS[:3])
    assert fitted[:, 0] == pytest.approx([1, 1], abs=0.15)
    assert fitted[:, 1:].ravel() == pytest.approx([0] * 4, abs=0.15)


def test_an_offset_of_one_segment_is_undone():
    knows = RNG.normal(-1, 2, (4000, 3))
    truth = drawn(knows)
    shifted = knows + np.array([3, 3, 0])  # as if the segment's negatives had weighed a twentieth
    same = np.full_like(knows, 0.5)  # says nothing
    fitted = stacking.fit(expit(shifted), same, truth, SEGMENTS[:3])
    joined = stacking.stack(expit(shifted), same, SEGMENTS[:3], fitted)
    assert joined == pytest.approx(expit(knows), abs=0.1)


def test_a_segment_without_positives_stays_near_the_mean_of_the_logits():
    likely, rare = np.full((20, 4), 0.1), np.full((20, 4), 0.001)
    fitted = stacking.fit(likely, rare, np.zeros((20, 4)), SEGMENTS)
    joined = stacking.stack(likely, rare, SEGMENTS, fitted)
    assert np.isfinite(fitted).all()
    assert (joined[:, :3] > 0).all()
    assert (joined[:, :3] < 0.1).all()


def test_a_code_without_a_model_is_taken_from_the_other():
    own, other = np.zeros((2, 4)), np.array([[0.2, 0.3, 0.4, 0.9]] * 2)
    joined = stacking.stack(own, other, SEGMENTS, np.array([stacking.START] * 2))
    assert joined[:, 3].tolist() == pytest.approx([0.9, 0.9])


def test_labels_of_test_notes_change_nothing():
    splits = ["train"] * 2 + ["validation"] * 20 + ["test"] * 20
    names = [str(i) for i in range(42)]
    labels = [["a"] if i % 2 else ["b"] for i in range(42)]
    notes = pd.DataFrame({"note": names, "group": names, "split": splits, "text": "", "codes": labels})
    whole = Corpus(notes, pd.DataFrame({"code": ["a", "b"], "description": ["a", "b"]}))
    rows = np.arange(2, 42)
    found, other = (Predictions(rows, RNG.random((40, 2)).astype(np.float32), np.array([0, 1])) for _ in range(2))
    gold = whole.labels
    without = gold.toarray() * ~np.isin(np.arange(42), whole.rows("test"))[:, None]
    joined = [measure.stack(whole, part, found, other).probabilities for part in (gold, sparse.csr_array(without))]
    assert np.array_equal(*joined)
    without[whole.rows("validation")] = 1 - without[whole.rows("validation")]
    assert not np.array_equal(joined[0], measure.stack(whole, sparse.csr_array(without), found, other).probabilities)


def test_order_within_a_code_is_kept_where_both_agree():
    own = np.linspace(0.01, 0.9, 30)[:, None]
    truth = (RNG.random((30, 1)) < own).astype(int)
    fitted = stacking.fit(own, own, truth, np.array([0]))
    joined = stacking.stack(own, own, np.array([0]), fitted)
    assert (np.diff(joined[:, 0]) > 0).all()


def test_without_any_segment_model_the_ensemble_is_the_other():
    other, none = RNG.random((5, 3)), np.full(3, -1)
    fitted = stacking.fit(np.zeros((5, 3)), other, np.ones((5, 3)), none)
    assert fitted.shape == (0, 3)
    assert stacking.stack(np.zeros((5, 3)), other, none, fitted) == pytest.approx(other)
