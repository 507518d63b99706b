"""Harmonic weights: a corpus of seven notes by hand, and what R1 promises for any corpus."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from shl_utils.method import harmonic_weights

# codes a, b in segment 0; c in 1; d in 2
SEGMENTS = np.array([0, 0, 1, 2])
LABELS = sparse.csr_array(
    np.array(
        [
            [1, 0, 0, 0],  # a
            [0, 1, 1, 0],  # b and c
            [0, 0, 1, 0],  # c
            [0, 0, 1, 0],  # c
            [0, 0, 1, 1],  # c and d
            [0, 0, 0, 1],  # d
            [0, 0, 0, 0],  # nothing
        ]
    )
)
# for segment 0: N_s = 2; of the five others 3 hold c, 2 hold d, 1 holds nothing: beta = 1.5, 1, 0.5


def test_sources_of_notes():
    origins = harmonic_weights.note_origins(LABELS, SEGMENTS)
    assert origins.sum(axis=0).tolist() == [2, 4, 2, 1]
    assert origins[4].tolist() == [False, True, True, False]


def test_betas_by_hand():
    assert harmonic_weights.betas(harmonic_weights.note_origins(LABELS, SEGMENTS), 0).tolist() == [0, 1.5, 1.0, 0.5]


@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        ("R1", [1, 1, 2 / 3, 2 / 3, (2 / 3 + 1) / 2, 1, 2]),
        ("R2", [1, 1, *[(2 / 3 + 1 + 2) / 3] * 5]),  # 1 / harmonic mean = mean of the inverses
        ("R3", [1, 1, *[1 / (1.5 + 1 + 0.5)] * 5]),
    ],
)
def test_weights_by_hand(beta, expected):
    origins = harmonic_weights.note_origins(LABELS, SEGMENTS)
    assert harmonic_weights.weights(origins, 0, beta=beta).tolist() == pytest.approx(expected)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=40).filter(lambda s: 0 in s))
def test_r1_gives_each_source_the_weight_of_the_positives(origin_of_note):
    # notes from one source each; source 3 is "no code"
    origins = np.eye(4, dtype=bool)[origin_of_note]
    weights = harmonic_weights.weights(origins, 0, beta="R1")
    positives = origin_of_note.count(0)
    for r in set(origin_of_note):
        assert weights[np.array(origin_of_note) == r].sum() == pytest.approx(positives)


@given(st.integers(1, 5), st.integers(0, 30), st.sampled_from(["R1", "R2", "R3"]))
def test_any_mix_is_finite_and_positive(n_segments, seed, beta):
    rng = np.random.default_rng(seed)
    labels = sparse.csr_array((rng.random((30, n_segments + 2)) < 0.2).astype(float))
    segments = np.append(np.arange(n_segments), [0, n_segments - 1])
    origins = harmonic_weights.note_origins(labels, segments)
    for s in np.flatnonzero(origins[:, :-1].any(axis=0)):
        weights = harmonic_weights.weights(origins, s, beta=beta)
        assert np.isfinite(weights).all()
        assert (weights > 0).all()
        assert (weights[origins[:, s]] == 1).all()


def test_a_segment_without_notes_is_refused():
    with pytest.raises(ValueError, match="segment 1 has no training note"):
        harmonic_weights.betas(np.array([[True, False, False]]), 1)


def test_no_negatives_at_all():
    assert harmonic_weights.weights(np.array([[True, False]]), 0, beta="R2").tolist() == [1]
