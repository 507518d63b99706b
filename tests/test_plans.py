"""What a plan gives its segments to train on: a corpus of nine notes by hand, seven of them for training."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from shl_utils import harmonic, losses
from shl_utils.parameters import check
from shl_utils.plans import Plan
from shl_utils.variants import Variant

# codes a, b in segment 0; c in 1; d in 2; e has no training note
SEGMENTS = np.array([0, 0, 1, 2, -1])
LABELS = sparse.csr_array(
    np.array(
        [
            [0, 0, 0, 0, 1],  # e: for validation
            [1, 0, 0, 0, 0],  # a
            [0, 1, 1, 0, 0],  # b and c
            [0, 0, 1, 0, 0],  # c
            [0, 0, 1, 0, 0],  # c
            [0, 0, 1, 1, 0],  # c and d
            [0, 0, 0, 1, 0],  # d
            [0, 0, 0, 0, 0],  # nothing
            [1, 0, 0, 1, 0],  # a and d: for test
        ]
    )
)
TRAIN = np.arange(1, 8)
# segments 0, 1, 2 and no code at all, of the training notes
SOURCES = np.array(
    [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=bool
)


def plan(**asked):
    return Plan(Variant("x", check(asked)), LABELS, SEGMENTS, TRAIN, Path("x"), None, "key")


@pytest.mark.parametrize("loss", losses.HARMONIC)
@pytest.mark.parametrize("largest", [0.0, 0.7])
@pytest.mark.parametrize("reading", ["R1", "R2", "R3"])
def test_training_notes_weigh_as_the_reading_and_the_cap_say(loss, reading, largest):
    asked = plan(loss=loss, reading=reading, harmonic_max=largest)
    for k in range(3):
        notes = asked.training_set(k)
        expected = harmonic.weights(SOURCES, k, reading=reading, largest=largest)
        assert notes.weights[TRAIN].tolist() == pytest.approx(expected.tolist())
        assert notes.positives.tolist() == TRAIN[SOURCES[:, k]].tolist()
        assert notes.negatives.tolist() == TRAIN[~SOURCES[:, k]].tolist()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"reading": "R1"}, [1, 1, 2 / 3, 2 / 3, 5 / 6, 1, 2]),
        ({"reading": "R2"}, [1, 1, *[11 / 9] * 5]),
        ({"reading": "R3"}, [1, 1, *[1 / 3] * 5]),
        ({"reading": "R1", "harmonic_max": 0.7}, [1, 1, 2 / 3, 2 / 3, 0.7, 0.7, 0.7]),
    ],
)
def test_weights_of_the_first_segment_by_hand(asked, expected):
    # N_s = 2; of the five others 3 hold c, 2 hold d, 1 holds nothing: beta = 1.5, 1, 0.5
    assert plan(loss="sh", **asked).training_set(0).weights[TRAIN].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [name for name in losses.NAMES if name not in losses.HARMONIC])
def test_under_other_losses_all_notes_weigh_the_same(loss):
    weights = plan(loss=loss, reading="R3", harmonic_max=0.7).training_set(0).weights
    assert weights.tolist() == [1] * LABELS.shape[0]
